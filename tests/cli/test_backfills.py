"""`automagik schedules backfill`, `automagik backfills` and `schedules history`, as typed."""

import io
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from threading import Event, Thread

import pytest

from automagik.cli.printer import Printer
from automagik.core.config import Settings
from automagik.core.database.session import WAKE, Database
from automagik.core.flows.values import Flow
from automagik.core.scheduler.backfill_manager import BackfillManager
from automagik.core.scheduler.backfills import advance
from automagik.core.tasks.states import TaskState
from tests.cli.command_line import Cli
from tests.core.records import rows
from tests.core.scheduler.stored import add_flow
from tests.core.tasks import rows as task_rows

HOURS = ("--from", "2026-01-05T00:00Z", "--to", "2026-01-05T04:00Z")
OPEN = """
SELECT id FROM tasks WHERE backfill_id IS NOT NULL
    AND state NOT IN ('completed', 'failed', 'cancelled')
"""


@pytest.fixture
def database(settings: Settings) -> Iterator[Database]:
    opened = Database(settings.require_database_url())
    yield opened
    opened.dispose()


@pytest.fixture(autouse=True)
def hourly(cli: Cli, database: Database) -> Flow:
    """A schedule of that name."""
    flow = add_flow(database)
    created = cli("schedules", "create", "Echo", "--name", "hourly", "--cron", "0 * * * *")
    assert created.exit_code == 0, created.stderr
    return flow


def step(database: Database, settings: Settings, *, state: TaskState | None = None) -> None:
    """Of a beat, and perhaps the end of all that it has begun."""
    with database.transaction() as connection:
        advance(connection, settings=settings, actor="beat")
    if state is None:
        return
    for task_id in rows(database, OPEN):
        task_rows.start(database, task_id)
        task_rows.end(database, task_id, state)


@contextmanager
def working(
    database: Database, settings: Settings, *, state: TaskState = TaskState.COMPLETED
) -> Iterator[None]:
    """A beat and a worker, from the first notification on."""
    ended = Event()

    def work() -> None:
        while not ended.is_set():
            listener.wait(timedelta(milliseconds=20))
            step(database, settings, state=state)

    with database.listen(WAKE) as listener:
        thread = Thread(target=work)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()


def test_it_shows_what_would_run_and_stores_nothing(cli: Cli, database: Database) -> None:
    found = cli("schedules", "backfill", "hourly", *HOURS, "--dry-run")

    assert found.exit_code == 0
    assert found.lines == [[f"2026-01-05T0{hour}:00:00Z", ""] for hour in range(4)]
    assert found.stderr.startswith("4 occurrences from Mon 5 Jan")
    assert rows(database, "SELECT count(*) FROM backfills") == [0]


def test_it_tells_what_has_a_task_already(cli: Cli, database: Database, settings: Settings) -> None:
    cli("schedules", "backfill", "hourly", *HOURS)
    step(database, settings)

    found = cli("schedules", "backfill", "hourly", *HOURS, "--dry-run", "-o", "json")

    [task_id] = rows(database, "SELECT id FROM tasks")
    assert [item["task_id"] for item in found.items] == [str(task_id), None, None, None]
    assert ": 3 to run, 1 has a task already." in found.stderr


def test_it_prints_its_id_and_how_to_follow_it(cli: Cli, database: Database) -> None:
    cli("schedules", "pause", "hourly")
    found = cli("schedules", "backfill", "hourly", *HOURS, "--max-concurrent", "3")

    [(backfill_id, most, actor)] = rows(database, "SELECT id, max_concurrent, actor FROM backfills")
    assert found.stdout == f"{backfill_id}\n"
    assert f"automagik backfills watch {backfill_id}" in found.stderr
    assert "Schedule hourly stays paused." in found.stderr
    assert "No worker is running" in found.stderr
    assert (most, actor) == (3, "cli")


@pytest.mark.parametrize("state, exit_code", [(TaskState.COMPLETED, 0), (TaskState.FAILED, 1)])
def test_waiting_for_it_tells_the_progress_and_the_exit_code_how_it_ended(
    cli: Cli, database: Database, settings: Settings, state: TaskState, exit_code: int
) -> None:
    with working(database, settings, state=state):
        found = cli("schedules", "backfill", "hourly", *HOURS, "--wait")

    assert found.exit_code == exit_code, found.stderr
    assert "hourly: 4 of 4" in found.stderr
    assert f"✓ completed · 4 {state}" in found.stderr
    assert ("--state failed" in found.stderr) == (state is TaskState.FAILED)
    assert found.stdout.strip() == str(rows(database, "SELECT id FROM backfills")[0])


def test_in_json_there_is_one_document_at_the_end(
    cli: Cli, database: Database, settings: Settings
) -> None:
    with working(database, settings):
        found = cli("schedules", "backfill", "hourly", *HOURS, "--wait", "-o", "json", "-q")
    listed = cli("backfills", "list", "-o", "json").items

    assert found.json["state"] == "completed"
    assert (found.json["made"], found.json["completed"], found.json["done"]) == (4, 4, 4)
    assert found.stderr == ""
    assert [item["id"] for item in listed] == [found.json["id"]]


def test_ctrl_c_leaves_it_alone(
    cli: Cli, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(BackfillManager, "follow", interrupted)
    found = cli("schedules", "backfill", "hourly", *HOURS, "--wait")

    assert found.exit_code == 130
    assert "The backfill goes on. Come back with: automagik backfills watch" in found.stderr
    assert rows(database, "SELECT state FROM backfills") == ["running"]


@pytest.mark.parametrize("words", [[], ["--wait"]])
def test_waiting_ends_with_8_when_the_time_is_up(
    cli: Cli, database: Database, words: list[str]
) -> None:
    found = cli("schedules", "backfill", "hourly", *HOURS, *words, "--wait-timeout", "0.1s")
    watched = cli("backfills", "watch", "@last", "--timeout", "0.1s")

    assert (found.exit_code, watched.exit_code) == (8, 8)
    assert "is still running" in found.stderr
    assert "automagik backfills watch" in watched.stderr
    assert rows(database, "SELECT state FROM backfills") == ["running"]


def test_it_is_listed_shown_watched_and_cancelled(
    cli: Cli, database: Database, settings: Settings
) -> None:
    backfill_id = cli("schedules", "backfill", "hourly", *HOURS).stdout.strip()
    step(database, settings)

    listed = cli("backfills", "list", "--schedule", "hourly", "--running").lines
    shown = cli("backfill", "show", backfill_id[:20], "-o", "json").json
    unasked = cli("backfills", "cancel", "@last")
    cancelled = cli("backfills", "cancel", "@last", "--yes")
    watched = cli("backfills", "watch", "@last")

    assert [line[:3] for line in listed] == [[backfill_id, "running", "hourly"]]
    assert (shown["made"], shown["unfinished"], shown["occurrences"]) == (1, 1, 4)
    assert unasked.exit_code == 2
    assert cancelled.stderr == f"✓ Backfill {backfill_id} cancelled.\n"
    assert watched.exit_code == 1
    assert "⊘ cancelled (by cli) · 1 cancelled" in watched.stderr
    assert cli("backfills", "list", "--running").stdout == ""
    assert cli("backfills", "show", "ffff").exit_code == 3


@pytest.mark.parametrize(
    "words, message, exit_code",
    [
        (("--from", "2999-01-01"), "begins before it ends", 2),
        (("--from", "2026-01-05", "--to", "2999-01-05"), "ends in the past", 2),
        (("--from", "2026-01-05T00:01", "--to", "2026-01-05T00:59"), "does not occur", 2),
        (("--from", "nonsense"), "nonsense", 2),
        ((*HOURS, "--overlap", "cancel-other"), "gives way to live runs", 2),
        ((*HOURS, "--max-concurrent", "0"), "not possible", 2),
        ((), "--from", 2),
    ],
)
def test_what_cannot_be_is_refused_in_words(
    cli: Cli, words: tuple[str, ...], message: str, exit_code: int
) -> None:
    found = cli("schedules", "backfill", "hourly", *words)

    assert found.exit_code == exit_code
    assert message in found.stderr
    assert found.stdout == ""


def test_its_tasks_say_of_which_backfill_they_are(
    cli: Cli, database: Database, settings: Settings
) -> None:
    backfill_id = cli("schedules", "backfill", "hourly", *HOURS).stdout.strip()
    step(database, settings, state=TaskState.FAILED)
    cli("flows", "run", "Echo")
    [task_id] = rows(database, "SELECT id FROM tasks WHERE backfill_id IS NOT NULL")

    listed = cli("tasks", "list", "--backfill", "@last", "--state", "failed").lines
    shown = cli("tasks", "show", str(task_id), "-o", "json").json
    why = cli("tasks", "why", str(task_id)).stdout
    explained = cli("schedules", "explain", "hourly", "--at", "2026-01-05T00:00Z").stdout

    assert [line[0] for line in listed] == [str(task_id)]
    assert shown["backfill_id"] == backfill_id
    assert f"it is part of the backfill {backfill_id}" in why
    assert f"it is part of the backfill {backfill_id}" in explained


class TestHistory:
    def test_runs_and_skipped_occurrences_are_one_list(
        self, cli: Cli, database: Database, settings: Settings
    ) -> None:
        cli("schedules", "backfill", "hourly", *HOURS)
        step(database, settings, state=TaskState.FAILED)
        by_hand = cli("schedules", "trigger", "hourly").stdout.strip()
        rows(
            database,
            "INSERT INTO skipped_occurrences (schedule_id, first_at, last_at, reason)"
            " SELECT id, '2026-01-05T01:00Z', '2026-01-05T03:00Z', 'paused' FROM schedules"
            " RETURNING 1",
        )

        found = cli("schedules", "history", "hourly", "-o", "json").items
        lines = cli("schedules", "history", "hourly").lines

        assert [(each["origin"], each["became"]) for each in found] == [
            ("by hand", "pending"),
            ("skipped", "skipped"),
            ("backfill", "failed"),
        ]
        assert found[0]["task_id"] == by_hand
        assert (found[1]["since"], found[1]["reason"]) == ("2026-01-05T01:00:00Z", "paused")
        assert "the schedule was paused" in found[1]["note"]
        assert [line[1] for line in lines] == ["by hand", "skipped", "backfill"]

    def test_filters_choose_what_is_shown(
        self, cli: Cli, database: Database, settings: Settings
    ) -> None:
        cli("schedules", "backfill", "hourly", *HOURS, "--max-concurrent", "4")
        step(database, settings, state=TaskState.FAILED)

        def instants(*words: str) -> list[str]:
            return [line[0][11:13] for line in cli("schedules", "history", "hourly", *words).lines]

        assert instants() == ["03", "02", "01", "00"]
        assert instants("-n", "2") == ["03", "02"]
        assert instants("--from", "2026-01-05T01:00Z", "--to", "2026-01-05T03:00Z") == ["02", "01"]
        assert instants("--state", "completed") == []
        assert len(instants("--state", "failed", "--skipped")) == 4
        nothing = cli("schedules", "history", "hourly", "--skipped")
        assert (nothing.stdout, nothing.stderr) == ("", "Nothing is known of that time.\n")


class TestTrigger:
    def test_a_policy_may_leave_a_run_out(self, cli: Cli, database: Database) -> None:
        first = cli("schedules", "trigger", "hourly", "--overlap", "skip")
        second = cli("schedules", "trigger", "hourly", "--overlap", "skip")
        third = cli("schedules", "trigger", "hourly", "--overlap", "cancel-other")

        assert (first.exit_code, second.exit_code, third.exit_code) == (0, 6, 0)
        assert "left out by the overlap policy skip" in second.stderr
        assert "--overlap allow-all" in second.stderr
        states = rows(database, "SELECT state FROM tasks ORDER BY id")
        assert states == ["cancelled", "pending"]


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_on_a_terminal_there_is_a_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = _Terminal()
    monkeypatch.setattr("sys.stderr", terminal)
    monkeypatch.setenv("TERM", "xterm")

    with Printer().progress(total=4) as tell:
        tell(4, "hourly: [bold]4 of 4")

    assert "━━━━" in terminal.getvalue()
    assert "hourly: [bold]4 of 4" in terminal.getvalue()


def test_in_a_pipe_a_line_stands_for_a_percent(capsys: pytest.CaptureFixture[str]) -> None:
    with Printer().progress(total=1_000) as tell:
        for done in range(1_000):
            tell(done, f"{done} of 1,000")
    with Printer(quiet=True).progress(total=1) as tell:
        tell(1, "never said")

    assert capsys.readouterr().err.splitlines() == [f"{10 * n} of 1,000" for n in range(100)]
