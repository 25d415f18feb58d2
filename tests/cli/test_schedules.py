"""`automagik schedules`, as a person types it."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from sqlalchemy import select

from automagik.core.config import Settings
from automagik.core.database.models import TaskRow
from automagik.core.database.session import WAKE, Database
from automagik.core.flows.values import Flow
from automagik.core.tasks.states import TaskState
from tests.cli.command_line import Cli, Result
from tests.core.scheduler.stored import add_flow, mark_gone
from tests.core.tasks import rows as task_rows

NEXT_YEAR = datetime.now(UTC).year + 1
SUNDAY = ("--from", "2031-03-29T00:00", "--timezone", "Europe/Berlin")


@pytest.fixture
def database(settings: Settings) -> Iterator[Database]:
    opened = Database(settings.require_database_url())
    yield opened
    opened.dispose()


@pytest.fixture
def echo(database: Database) -> Flow:
    return add_flow(database)


class Worker:
    """Runs the first task that comes."""

    def __init__(self, database: Database, *, fails: bool) -> None:
        self._database = database
        self._fails = fails
        self._listener = database.listen(WAKE)
        self._thread = Thread(target=self._run)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._thread.join()
        self._listener.close()

    def _run(self) -> None:
        if not self._listener.wait(timedelta(seconds=10)):
            return
        with self._database.transaction() as connection:
            task_id = connection.scalars(select(TaskRow.id)).one()
        task_rows.start(self._database, task_id)
        if self._fails:
            task_rows.end(self._database, task_id, TaskState.FAILED, error="broken")
        else:
            task_rows.end(self._database, task_id)


def shown(cli: Cli, name: str) -> dict[str, Any]:
    item: dict[str, Any] = cli("schedules", "show", name, "-o", "json").json
    return item


def instants(result: Result) -> list[str]:
    return [item["at"] for item in result.items]


def test_preview_needs_no_database(offline_cli: Cli) -> None:
    result = offline_cli("schedules", "preview", "--every", "90m", "--from", "2031-01-01T00:00Z")

    assert (result.exit_code, result.stderr) == (0, "every 1 hour 30 minutes\n")
    assert result.lines[0] == ["2031-01-01T01:30:00Z", "2031-01-01T01:30:00+00:00"]
    assert len(result.lines) == 5


def test_preview_tells_what_happens_when_clocks_change(offline_cli: Cli) -> None:
    words = ("schedules", "preview", "--cron", "30 2 * * *", *SUNDAY, "-n", "3", "-o", "json")
    result = offline_cli(*words)

    assert [item["local"] for item in result.items] == [
        "2031-03-29T02:30:00+01:00",
        "2031-03-30T03:00:00+02:00",
        "2031-03-31T02:30:00+02:00",
    ]
    assert {item["timezone"] for item in result.items} == {"Europe/Berlin"}


def test_preview_tells_that_a_name_decides_what_h_is(offline_cli: Cli) -> None:
    assert "name" in offline_cli("schedules", "preview", "--cron", "H 3 * * *").stderr
    assert "name" not in offline_cli("schedules", "preview", "--cron", "0 3 * * *").stderr


def test_preview_takes_a_date_for_its_midnight(offline_cli: Cli) -> None:
    words = ("schedules", "preview", "--every", "1h", "--timezone", "Europe/Berlin", "-n", "1")

    assert instants(offline_cli(*words, "--from", "2031-01-01", "-o", "json")) == [
        "2031-01-01T00:00:00Z"
    ]


def test_preview_for_people_names_the_zone(offline_cli: Cli) -> None:
    words = ("schedules", "preview", "--every", "1h", *SUNDAY, "-n", "1", "-o", "table")
    heading, line = offline_cli(*words).stdout.splitlines()

    assert heading.split("  ")[0] == "EUROPE/BERLIN"
    assert line.split("  ")[0] == "Sat 29 Mar 2031 01:00:00 +01:00"
    assert datetime(2031, 3, 29, tzinfo=UTC).astimezone().isoformat()[-6:] in line.split("  ")[1]
    assert "in 1h" in line


def test_preview_of_one_instant_has_one_line(offline_cli: Cli) -> None:
    at = ("--at", "2031-12-01T09:00", "--timezone", "Asia/Tokyo", "-o", "json")

    assert instants(offline_cli("schedules", "preview", *at)) == ["2031-12-01T00:00:00Z"]


def test_preview_of_a_stored_schedule_counts_from_its_anchor(cli: Cli, echo: Flow) -> None:
    cli("schedules", "create", "Echo", "--every", "5m", "--name", "mine")
    stored = shown(cli, "mine")
    preview = cli("schedules", "preview", "mine", "-n", "3", "-o", "json")

    assert instants(preview) == stored["next_runs"]
    assert cli("schedules", "preview", "mine", "--every", "5m").exit_code == 2


@pytest.mark.parametrize(
    "words, said",
    [
        ((), "missing"),
        (("--every", "5m", "--exclude", "christmas"), "'christmas'"),
        (("--every", "5m", "--exclude", "2026-13-01"), "'2026-13-01'"),
        (("--every", "5m", "--exclude", "2026-12-24..2026-12-20"), "before"),
        (("--every", "5m", "--quiet-hours", "22-6"), "22:00-06:00"),
        (("--every", "5m", "--quiet-hours", "06:00-06:00"), "whole day"),
        (("--every", "5m", "--start", "2031-01-02", "--end", "2031-01-01"), "not later"),
        (("--every", "5m", "--start", "soon"), "'soon'"),
        (("--every", "1s", "--type", "cron", "--expr", "* * * * * *", "--tz", "Mars"), "'Mars'"),
        (("--type", "interval"), "belong together"),
        (("--every", "5"), "5m"),
        (("--cron", "0 0 30 2 *"), "no date"),
        (("--at", "2020-01-01T00:00"), "past"),
        (("--type", "intervall", "--expr", "5m"), "interval"),
        (("--every", "5m", "--timezone", "Europe/Berln"), "Europe/Berlin"),
        (("--every", "5m", "--from", "yesterday"), "yesterday"),
    ],
)
def test_rules_that_are_wrong_say_what_is_and_give_an_example(
    offline_cli: Cli, words: tuple[str, ...], said: str
) -> None:
    result = offline_cli("schedules", "preview", *words)

    assert (result.exit_code, result.stdout) == (2, "")
    assert said in result.stderr
    assert len(result.stderr.splitlines()) == 2


def test_create_prints_the_id_and_says_the_rule_and_the_next_runs(cli: Cli, echo: Flow) -> None:
    rule = ("--cron", "0 9 * * 1-5", "--timezone", "Europe/Berlin")
    result = cli("schedules", "create", "Echo", *rule, "--name", "mornings")
    said, following = result.stderr.splitlines()

    assert result.exit_code == 0
    assert result.stdout == f"{shown(cli, 'mornings')['id']}\n"
    assert said.startswith("✓ Schedule mornings created: ")
    assert "(Europe/Berlin)" in said
    assert following.count("09:00:00 Europe/Berlin") == 3


def test_the_words_of_the_first_days_still_work(cli: Cli, echo: Flow) -> None:
    """Type and expression, options before the flow, JSON as input, singular nouns."""
    options = ("--type", "interval", "--expr", "5m", "--input", '{"input": "message"}')
    before = cli("schedule", "create", *options, "Echo", "-o", "json")
    after = cli("schedules", "create", "Echo", *options, "-o", "json")
    once = cli("schedules", "create", "Echo", "--type", "one-time", "--expr", "now", "-o", "json")

    assert (before.json["name"], after.json["name"]) == ("echo-every-5m", "echo-every-5m-2")
    assert before.json["input_value"] == "message"
    assert (once.json["type"], once.json["name"]) == ("oneshot", "echo-once")


def test_everything_that_can_be_given_is_kept(cli: Cli, database: Database) -> None:
    add_flow(database, "Slow")
    result = cli(
        *("schedules", "create", "slow", "--at", f"{NEXT_YEAR}-12-01T09:00", "--tz", "Asia/Tokyo"),
        *("--name", "big day", "--input", "-", "--session", "s1", "--priority", "5"),
        *("--tweak", "Sleep.seconds=0.5", "--max-retries", "0", "--timeout", "1h30m"),
        *("-o", "json"),
        input="from stdin",
    )

    assert result.exit_code == 0, result.stderr
    expected = {
        "name": "big day",
        "flow_name": "Slow",
        "timezone": "Asia/Tokyo",
        "next_run_at": f"{NEXT_YEAR}-12-01T00:00:00Z",
        "input_value": "from stdin",
        "session_id": "s1",
        "tweaks": {"SleepComponent-slow": {"seconds": 0.5}},
        "priority": 5,
        "max_retries": 0,
        "timeout": 5400.0,
        "status": "active",
    }
    assert {key: result.json[key] for key in expected} == expected


def test_priority_and_queue_are_left_to_the_flow_until_they_are_given_and_when_they_are_unset(
    cli: Cli, echo: Flow
) -> None:
    cli("flows", "update", "Echo", "--priority", "9", "--queue", "gpu")
    created = cli("schedules", "create", "Echo", "--every", "5m", "--name", "a", "-o", "json").json
    of_flow = cli("schedules", "trigger", "a", "-o", "json").json
    options = ("--priority", "-1", "--queue", "night")
    updated = cli("schedules", "update", "a", *options)
    own = cli("schedules", "trigger", "a", "-o", "json").json
    table = cli("schedules", "show", "a", "-o", "table").stdout
    cli("schedules", "update", "a", "--unset", "priority", "--unset", "queue")

    assert (created["priority"], created["queue"]) == (None, None)
    assert (of_flow["priority"], of_flow["queue"]) == (9, "gpu")
    assert updated.exit_code == 0, updated.stderr
    assert (own["priority"], own["queue"]) == (-1, "night")
    assert "night" in table
    assert (shown(cli, "a")["priority"], shown(cli, "a")["queue"]) == (None, None)


@pytest.mark.parametrize(
    "words, said",
    [
        (("--priority", "1001"), "from -1000 to 1000"),
        (("--queue", "a b"), "'a b'"),
        (("--queue", "gpu", "--unset", "queue"), "given and unset"),
        (("--unset", "name"), "name"),
    ],
)
def test_options_that_cannot_be_are_refused(
    cli: Cli, echo: Flow, words: tuple[str, ...], said: str
) -> None:
    cli("schedules", "create", "Echo", "--every", "5m", "--name", "a")
    result = cli("schedules", "update", "a", *words)

    assert result.exit_code == 2
    assert said in result.stderr


def test_input_comes_from_a_file(cli: Cli, echo: Flow, tmp_path: Path) -> None:
    (tmp_path / "input.txt").write_text("größer\n", encoding="utf-8")
    created = cli("schedules", "create", "Echo", "--every", "1d", "-i", "@input.txt", "-o", "json")
    missing = cli("schedules", "create", "Echo", "--every", "1d", "-i", "@nowhere.txt")

    assert created.json["input_value"] == "größer\n"
    assert (missing.exit_code, "nowhere.txt" in missing.stderr) == (2, True)


def test_what_cannot_be_created_says_why(cli: Cli, echo: Flow) -> None:
    cli("schedules", "create", "Echo", "--every", "1d", "--name", "taken")
    for exit_code, said, words in (
        (2, "missing", ["Echo"]),
        (3, "'Echo'", ["Ecko", "--every", "5m"]),
        (2, "JSON", ["Echo", "--every", "5m", "--input", '{"input": ']),
        (2, "Nobody", ["Echo", "--every", "5m", "--tweak", "Nobody.x=1"]),
        (6, "taken", ["Echo", "--every", "5m", "--name", "taken"]),
    ):
        result = cli("schedules", "create", *words)
        assert (result.exit_code, result.stdout) == (exit_code, "")
        assert said in result.stderr
    assert len(cli("schedules", "list", "-o", "json").items) == 1


def test_a_flow_that_is_gone_is_refused_with_what_to_do(
    cli: Cli, echo: Flow, database: Database
) -> None:
    mark_gone(database, echo)
    result = cli("schedules", "create", "Echo", "--every", "5m")

    assert result.exit_code == 6
    assert "automagik flows sync" in result.stderr


def test_list_shows_the_next_to_run_first_and_can_be_narrowed(
    cli: Cli, echo: Flow, database: Database
) -> None:
    add_flow(database, "Slow")
    cli("schedules", "create", "Slow", "--every", "2h", "--name", "later")
    cli("schedules", "create", "Echo", "--every", "1h", "--name", "sooner")
    cli("schedules", "create", "Echo", "--every", "1m", "--name", "paused")
    cli("schedules", "pause", "paused")

    def names(*words: str) -> list[str]:
        return cli("schedules", "list", *words, "-o", "name").stdout.split()

    assert names() == ["sooner", "later", "paused"]
    assert names("--flow", "Slow") == ["later"]
    assert names("--status", "paused") == ["paused"]
    in_a_pipe = cli("schedules", "list", "--status", "paused").lines
    assert in_a_pipe[0][:4] == ["paused", "paused", "every minute", "Echo"]
    assert "⏸ paused" in cli("schedules", "list", "-o", "table").stdout


def test_an_empty_list_says_what_to_do(cli: Cli) -> None:
    result = cli("schedules", "list")

    assert (result.exit_code, result.stdout) == (0, "")
    assert "automagik schedules create" in result.stderr


def test_show_has_the_rule_the_next_runs_and_the_latest_tasks(cli: Cli, echo: Flow) -> None:
    cli("schedules", "create", "Echo", "--every", "5m", "--input", "hi", "--name", "mine")
    task_id = cli("schedules", "trigger", "mine").stdout.strip()
    item = shown(cli, "mine")
    table = cli("schedules", "show", "mine", "-o", "table").stdout

    assert item["rule"] == "every 5 minutes"
    assert len(item["next_runs"]) == 3
    assert item["next_runs"][0] == item["next_run_at"]
    assert [task["id"] for task in item["recent_tasks"]] == [task_id]
    assert f"◌ pending  now  {task_id}" in table
    assert "Max retries" not in table


def test_pause_keeps_its_note_and_resume_goes_on(cli: Cli, echo: Flow) -> None:
    cli("schedules", "create", "Echo", "--every", "5m", "--name", "mine")
    paused = cli("schedules", "pause", "mine", "--note", "maintenance")
    while_paused = shown(cli, "mine")
    resumed = cli("schedules", "resume", "mine")

    assert (paused.exit_code, paused.stdout) == (0, "")
    assert while_paused["status_reason"] == "maintenance"
    assert (while_paused["next_run_at"], while_paused["next_runs"]) == (None, [])
    assert resumed.stderr.startswith("✓ Schedule mine resumed: every 5 minutes\n  Next: ")


def test_update_changes_what_is_given_and_nothing_else(cli: Cli, echo: Flow) -> None:
    cli("schedules", "create", "Echo", "--every", "5m", "-i", "hi", "--session", "s", "--name", "a")
    before = shown(cli, "a")
    cli("schedules", "update", "a", "--name", "b", "--input", "ho")
    renamed = shown(cli, "b")
    result = cli("schedules", "update", "b", "--cron", "@daily", "--session", "")
    after = shown(cli, "b")

    assert (renamed["input_value"], renamed["session_id"]) == ("ho", "s")
    assert renamed["next_run_at"] == before["next_run_at"]
    assert result.stderr.startswith("✓ Schedule b updated: ")
    assert (after["type"], after["session_id"], after["input_value"]) == ("cron", None, "ho")
    assert cli("schedules", "update", "b").exit_code == 2


def test_delete_wants_a_yes_and_leaves_the_tasks(cli: Cli, echo: Flow) -> None:
    cli("schedules", "create", "Echo", "--every", "5m", "--name", "mine")
    task_id = cli("schedules", "trigger", "mine").stdout.strip()

    assert cli("schedules", "delete", "mine").exit_code == 2
    assert cli("schedules", "delete", "mine", "--yes").stderr == "✓ Schedule mine deleted.\n"
    assert cli("schedules", "show", "mine").exit_code == 3
    assert cli("tasks", "show", task_id).exit_code == 0


def test_trigger_runs_now_without_moving_the_next_run(
    cli: Cli, echo: Flow, database: Database
) -> None:
    cli("schedules", "create", "Echo", "--every", "5m", "--name", "mine", "--priority", "2")
    before = shown(cli, "mine")
    task_id = cli("schedules", "trigger", "mine").stdout.strip()
    query = select(
        TaskRow.schedule_id, TaskRow.scheduled_for, TaskRow.priority, TaskRow.state_actor
    )
    with database.transaction() as connection:
        task = connection.execute(query.where(TaskRow.id == task_id)).one()

    assert [str(task.schedule_id), *task[1:]] == [before["id"], None, 2, "cli"]
    assert shown(cli, "mine")["next_run_at"] == before["next_run_at"]


@pytest.mark.parametrize("ends_well", [True, False])
def test_trigger_can_wait_for_the_end(
    cli: Cli, echo: Flow, database: Database, *, ends_well: bool
) -> None:
    cli("schedules", "create", "Echo", "--every", "5m", "--name", "mine")
    with Worker(database, fails=not ends_well):
        result = cli("schedules", "trigger", "mine", "--wait")

    assert result.exit_code == (0 if ends_well else 1)
    assert result.stdout == ("hello" if ends_well else "")
    assert ("broken" in result.stderr) is not ends_well


def test_several_rules_and_limits_are_kept_shown_and_taken_back(cli: Cli, echo: Flow) -> None:
    rules = ("--every", "90m", "--every", "2 weeks on mon at 09:00", "--cron", "0 12 * * *")
    excluded = ("--exclude", "2031-12-24..2032-01-02", "--exclude", "* 12 * * SUN")
    wrong = cli("schedules", "create", "Echo", *rules, *excluded, "--end", "2031")
    limits = (*excluded, "--end", f"{NEXT_YEAR}-12-31", "--quiet-hours", "22:00-06:00")
    zone = ("--timezone", "Europe/Berlin")
    created = cli("schedules", "create", "Echo", *rules, *limits, *zone, "--name", "a")
    item, table = shown(cli, "a"), cli("schedules", "show", "a", "-o", "table").stdout
    cli("schedules", "update", "a", "--unset", "exclude", "--unset", "--end", "--dst-gap", "skip")
    less = shown(cli, "a")
    cli("schedules", "update", "a", "--every", "1h")
    one = shown(cli, "a")

    assert (wrong.exit_code, "'2031'" in wrong.stderr) == (2, True)
    assert created.exit_code == 0, created.stderr
    assert [item["type"], *(each["type"] for each in item["more_cadences"])] == [
        *("interval", "calendar", "cron")
    ]
    assert item["exclusions"] == ["2031-12-24..2032-01-02", "* 12 * * SUN"]
    assert item["ends_at"] == f"{NEXT_YEAR}-12-31T23:00:00Z"
    assert (item["quiet_hours"], item["on_holiday"], item["dst_gap"]) == (
        *("22:00-06:00", "skip", "next"),
    )
    assert "quiet from 22:00 to 06:00" in table
    assert (less["exclusions"], less["ends_at"], less["dst_gap"]) == ([], None, "skip")
    assert less["quiet_hours"] == "22:00-06:00"
    assert (one["expr"], one["more_cadences"], one["quiet_hours"]) == ("1h", [], "22:00-06:00")


def test_what_comes_too_often_is_refused(
    cli: Cli, echo: Flow, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AUTOMAGIK_MIN_INTERVAL_SECONDS", "60")
    too_often = ("--cron", "0 * * * *", "--cron", "30 0 * * * *")
    refused = cli("schedules", "create", "Echo", *too_often)
    fine = cli("schedules", "create", "Echo", "--every", "1m", "--name", "a")
    update = cli("schedules", "update", "a", "--every", "59s")

    assert (refused.exit_code, fine.exit_code, update.exit_code) == (2, 0, 2)
    assert "30 seconds apart" in refused.stderr
    assert "the shortest gap allowed is 1 minute" in update.stderr


def test_preview_says_what_clock_changes_do_and_ends_where_it_is_told(offline_cli: Cli) -> None:
    rule = ("schedules", "preview", "--cron", "30 2 * * *", "--timezone", "Europe/Berlin")
    said = offline_cli(*rule, "--from", "2031-03-28", "--to", "2031-03-31", "-o", "json")
    never = offline_cli(*rule, "--from", "2031-03-28T03:00", "--to", "2031-03-28")

    assert [item["local"][:16] for item in said.items] == [
        *("2031-03-28T02:30", "2031-03-29T02:30", "2031-03-30T03:00", "2031-03-31T02:30")
    ]
    assert "! On Sun 30 Mar 2031 clocks in Europe/Berlin leave out 02:30" in said.stderr
    assert "! On Sun 26 Oct 2031 clocks in Europe/Berlin show 02:30 twice" in said.stderr
    assert "does not fire in that time" in never.stderr


def test_a_rule_that_never_fires_is_said_and_not_stored(cli: Cli, echo: Flow) -> None:
    rule = ("--every", "5m", "--exclude", "* * * * *")
    preview = cli("schedules", "preview", *rule)
    created = cli("schedules", "create", "Echo", *rule)

    assert (preview.exit_code, preview.stdout) == (0, "")
    assert "It never fires after that." in preview.stderr
    assert (created.exit_code, created.stdout) == (2, "")
    assert "never fires: every 5 minutes; not while every minute" in created.stderr


def test_what_can_be_unset_is_said(cli: Cli, echo: Flow) -> None:
    cli("schedules", "create", "Echo", "--every", "5m", "--name", "a")
    result = cli("schedules", "update", "a", "--unset", "quiet-hour")

    assert result.exit_code == 2
    assert "did you mean quiet-hours?" in result.stderr
