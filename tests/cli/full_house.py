"""A database with something of everything: what a real one has after a bad month.

Names and messages hold what people and flows put into them, also what would steer a terminal.
"""

from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from uuid import UUID

from sqlalchemy import insert

from automagik.core.config import get_settings
from automagik.core.database.models import (
    BackfillRow,
    QueueRow,
    ScheduleRow,
    SkippedOccurrencesRow,
    SourceRow,
)
from automagik.core.database.session import Database
from automagik.core.flows.manager import FlowManager
from automagik.core.flows.values import Flow
from automagik.core.tasks.states import TaskState
from automagik.demo.server import DemoServer
from tests.cli.command_line import Cli
from tests.core import records
from tests.core.records import add_schedules, add_task, now, put
from tests.core.tasks.rows import add_beat, add_flow, add_worker, end, say, start

STEERING = "a\x1b]0;owned\x07b\x9b31mc\x1b[2Jd\x08e\u202ef"
"""What would rename a window, clear the screen and turn the writing around."""
EVIL = f"{STEERING}\tafter a tab\nafter a line"
LONG = f"{'Täglicher Bericht für alle: 日本語のとても長い名前 🚀 ' * 3}end"
ERROR = "ConnectionError: " + "the server said nothing that anybody could use; " * 10
CALENDAR = """\
BEGIN:VCALENDAR
VERSION:2.0
PRODID:-//tests//EN
BEGIN:VEVENT
UID:1
DTSTAMP:20260101T000000Z
DTSTART;VALUE=DATE:20301225
SUMMARY:Weihnachten \x1b]0;owned\x07 🎄
END:VEVENT
END:VCALENDAR
"""
MANIFEST = """\
project: house
schedules:
  from-a-file:
    flow: Echo
    every: 2h
    input: hello
"""
_HOUR = timedelta(hours=1)


def furnish(database: Database, cli: Cli, server: DemoServer) -> dict[str, str]:
    """Fills an empty database; the ids and names of what is in it then.

    Files go into the folder that the command line is in.
    """
    _write_files(server)
    _by_hand(cli, server)
    plain, evil, long = (add_flow(database, name) for name in ("greeter", EVIL, LONG))
    _sources(database, evil, long)
    schedules = _schedules(database, cli, evil, long)
    _skipped(database, schedules["every"])
    backfills = _backfills(database, schedules["every"])
    echo = FlowManager(database, get_settings()).get("Echo")
    flows = (plain, evil, long)
    tasks = _tasks(database, echo, flows, schedules["every"], backfills["b_running"])
    add_beat(database)
    worker = add_worker(database, f"worker@{LONG}")
    add_worker(database, EVIL, silent_for=timedelta(minutes=30))
    _queues(database)
    names = {"url": server.url, "long": LONG, "worker": str(worker), "flow": str(evil.id)}
    for found in (schedules, backfills, tasks):
        names |= {name: str(each) for name, each in found.items()}
    return names


def _write_files(server: DemoServer) -> None:
    Path("key.txt").write_text(server.api_key)
    Path("holidays.ics").write_text(CALENDAR, newline="\r\n")
    Path("automagik.yaml").write_text(MANIFEST)


def _by_hand(cli: Cli, server: DemoServer) -> None:
    """What people do with the command line itself."""
    for words in (
        ("sources", "add", "demo", server.url, "--api-key-file", "key.txt"),
        ("flows", "sync"),
        ("calendars", "import", "de", "holidays.ics"),
        ("schedules", "create", "Echo", "--every", "5m", "--name", "every", "--label", "team=ops"),
        (
            "schedules",
            "create",
            "Echo",
            "--after",
            "every",
            "--name",
            "chain",
            "-i",
            "{{ output }}",
        ),
        ("schedules", "create", "Slow", "--cron", "0 9 * * 1-5", "--name", "nightly"),
        ("schedules", "update", "nightly", "--calendar", "de", "--quiet-hours", "22:00-06:00"),
        ("schedules", "pause", "nightly", "--until", "2h", "--note", "maintenance 日本語"),
        ("schedules", "create", "Echo", "--every", "1h", "--name", "broken"),
    ):
        done = cli(*words)
        assert done.exit_code == 0, done.stderr


def _sources(database: Database, evil: Flow, long: Flow) -> None:
    instant = now(database)
    put(
        database,
        SourceRow,
        evil.source_id,
        breaker_opened_at=instant,
        breaker_probe_at=instant + _HOUR,
        breaker_reason=EVIL,
        breaker_failures=5,
    )
    put(database, SourceRow, long.source_id, disabled_at=instant, disabled_reason=EVIL)


def _schedules(database: Database, cli: Cli, evil: Flow, long: Flow) -> dict[str, UUID]:
    items = cli("schedules", "list", "-o", "json").items
    found = {each["name"]: UUID(each["id"]) for each in items}
    put(
        database,
        ScheduleRow,
        found["broken"],
        status="error",
        status_reason=EVIL,
        expr="never",
        next_run_at=None,
    )
    [found["evil"]] = add_schedules(
        database, evil, name=EVIL, labels={"team": "ops"}, late=-2 * _HOUR
    )
    [found["long_schedule"]] = add_schedules(
        database, long, name=LONG, input_value=EVIL, late=-2 * _HOUR
    )
    return found


def _skipped(database: Database, schedule: UUID) -> None:
    with database.transaction() as connection:
        connection.execute(
            insert(SkippedOccurrencesRow).values(
                schedule_id=schedule,
                first_at=now(database) - 3 * _HOUR,
                last_at=now(database) - 2 * _HOUR,
                reason="downtime",
            )
        )


def _backfills(database: Database, schedule: UUID) -> dict[str, UUID]:
    return {
        f"b_{state}": _backfill(database, schedule, state)
        for state in ("running", "completed", "cancelled")
    }


def _backfill(database: Database, schedule: UUID, state: str) -> UUID:
    instant = now(database)
    row = insert(BackfillRow).values(
        schedule_id=schedule,
        begin_at=instant - 10 * _HOUR,
        end_at=instant - 5 * _HOUR,
        max_concurrent=1,
        state=state,
        reason=EVIL if state == "cancelled" else None,
        occurrences=60,
        told_until=instant - 5 * _HOUR,
        made=2,
        actor="cli",
        finished_at=None if state == "running" else instant,
    )
    with database.transaction() as connection:
        return connection.scalars(row.returning(BackfillRow.id)).one()


def _tasks(
    database: Database, echo: Flow, flows: Sequence[Flow], schedule: UUID, backfill: UUID
) -> dict[str, UUID]:
    """In every state; those of the middle flow with all that is evil."""
    plain, evil, long = flows
    occurrence = now(database) - 30 * records.MINUTE
    done = add_task(
        database,
        echo,
        schedule_id=schedule,
        scheduled_for=occurrence,
        input_value="hello",
        idempotency_key="once",
    )
    found = {
        "completed": done,
        "evil_end": add_task(
            database, evil, input_value=EVIL, session_id=EVIL, backfill_id=backfill
        ),
        "failed": add_task(database, evil, tweaks={"Component-x": {"field": EVIL}}),
        "failed_long": add_task(database, long, input_value=LONG * 10),
        "waiting": add_task(database, long),
        "running": add_task(database, plain, parent_task_id=done, parent_attempt=1),
        "pending": add_task(database, plain, priority=5, queue="gpu"),
        "queued": add_task(
            database, long, state=TaskState.QUEUED, queued_at=occurrence, run_at=occurrence
        ),
        "paused": add_task(database, plain, state=TaskState.PAUSED),
        "cancelled": add_task(database, evil, state=TaskState.CANCELLED, state_reason=EVIL),
    }
    for name in ("completed", "evil_end", "failed", "failed_long", "waiting", "running"):
        start(database, found[name])
        for message in ("thinking", EVIL, LONG, ERROR):
            say(database, found[name], message, level="warning")
    end(database, found["completed"])
    end(database, found["evil_end"], output=EVIL)
    end(database, found["failed"], TaskState.FAILED, error=f"{EVIL} {ERROR}")
    end(database, found["failed_long"], TaskState.FAILED, error=ERROR)
    end(database, found["waiting"], TaskState.WAITING, error=ERROR)
    return found


def _queues(database: Database) -> None:
    with database.transaction() as connection:
        connection.execute(
            insert(QueueRow).values(name="gpu", paused_at=now(database), pause_reason=EVIL)
        )
