"""`automagik schedules` for many at once: by names, or by what they have in common."""

from collections.abc import Iterator
from datetime import timedelta

import pytest

from automagik.core.config import Settings
from automagik.core.database.session import Database
from automagik.core.flows.values import Flow
from tests.cli.command_line import Cli, Result
from tests.core.records import now, rows
from tests.core.scheduler.stored import add_flow, mark_gone

STATUS = "SELECT name, status FROM schedules ORDER BY name"


@pytest.fixture
def database(settings: Settings) -> Iterator[Database]:
    opened = Database(settings.require_database_url())
    yield opened
    opened.dispose()


@pytest.fixture
def echo(database: Database) -> Flow:
    return add_flow(database)


@pytest.fixture
def three(cli: Cli, echo: Flow) -> None:
    """`a` and `b` are of the team ops, `c` is of nobody."""
    for name, *labels in (("a", "--label", "team=ops"), ("b", "--label", "team=ops"), ("c",)):
        cli("schedules", "create", "Echo", "--every", "5m", "--name", name, *labels)


def statuses(database: Database) -> dict[str, str]:
    return dict(rows(database, STATUS))


def test_labels_are_given_changed_shown_and_asked_for(cli: Cli, echo: Flow) -> None:
    new = ("schedules", "create", "Echo", "--every", "5m", "--name", "mine")
    cli(*new, "--label", "team=ops", "--label", "nightly")
    cli("schedules", "update", "mine", "--label", "team=web", "--unset", "label:nightly")

    assert cli("schedules", "show", "mine", "-o", "json").json["labels"] == {"team": "web"}
    assert "team=web" in cli("schedules", "show", "mine", "-o", "table").stdout
    assert "team=web" in cli("schedules", "list", "-o", "table").stdout
    assert cli("schedules", "list", "--label", "team", "-o", "name").stdout == "mine\n"
    assert cli("schedules", "list", "--label", "team=ops", "-o", "name").stdout == ""
    assert cli(*new, "--label", "two words").exit_code == 2


@pytest.mark.usefixtures("three")
class TestMany:
    def test_statuses_are_said_as_states_of_tasks_are(self, cli: Cli) -> None:
        cli("schedules", "pause", "a")

        def names(*words: str) -> list[str]:
            return sorted(cli("schedules", "list", "-o", "name", *words).stdout.split())

        assert names("--status", "paused") == ["a"]
        assert names("--status", "paused,active") == ["a", "b", "c"]
        assert names("--status", "paused", "--status", "active") == ["a", "b", "c"]
        wrong = cli("schedules", "list", "--status", "pausd")
        assert (wrong.exit_code, "Did you mean 'paused'?" in wrong.stderr) == (2, True)

    def test_the_newest_is_the_last(self, cli: Cli) -> None:
        assert cli("schedules", "show", "@last", "-o", "json").json["name"] == "c"
        cli("schedules", "trigger", "@last")
        assert len(cli("tasks", "list", "--schedule", "@last").lines) == 1

    def test_names_are_all_taken_once(self, cli: Cli, database: Database) -> None:
        done = cli("schedules", "pause", "a", "c", "a", "--note", "why")

        assert (done.exit_code, done.stdout) == (0, "")
        assert statuses(database) == {"a": "paused", "b": "active", "c": "paused"}
        assert "2 schedules paused." in done.stderr

    def test_filters_take_what_can_be_paused_and_resumed(
        self, cli: Cli, database: Database
    ) -> None:
        cli("schedules", "pause", "b", "--note", "mine")
        done = cli("schedules", "pause", "--label", "team=ops", "--note", "theirs")
        assert "1 schedule" not in done.stderr, "one that is alone needs no sum"
        assert statuses(database) == {"a": "paused", "b": "paused", "c": "active"}
        assert cli("schedules", "show", "b", "-o", "json").json["status_reason"] == "mine"

        cli("schedules", "resume", "--all", "--label", "team")

        assert set(statuses(database).values()) == {"active"}

    def test_a_dry_run_lists_and_changes_nothing(self, cli: Cli, database: Database) -> None:
        for verb in ("pause", "delete", "trigger"):
            done = cli("schedules", verb, "--label", "team=ops", "--dry-run", "-o", "name")
            assert (done.exit_code, done.stdout.split()) == (0, ["a", "b"])
            assert "2 schedules would be" in done.stderr

        assert set(statuses(database).values()) == {"active"}
        assert rows(database, "SELECT id FROM tasks") == []

    def test_nothing_that_fits_is_no_error_but_a_name_that_nobody_has_is(self, cli: Cli) -> None:
        nothing = cli("schedules", "pause", "--label", "team=web")
        unknown = cli("schedules", "pause", "nobody")

        assert (nothing.exit_code, nothing.stdout) == (0, "")
        assert "No schedule fits" in nothing.stderr
        assert unknown.exit_code == 3

    @pytest.mark.parametrize(
        "words", [(), ("a", "--all"), ("a", "--label", "team"), ("--dry-run",), ("--label", "ä")]
    )
    def test_it_must_be_clear_which_are_meant(
        self, cli: Cli, database: Database, words: tuple[str, ...]
    ) -> None:
        assert cli("schedules", "pause", *words).exit_code == 2
        assert set(statuses(database).values()) == {"active"}

    def test_one_that_goes_wrong_stops_no_other_and_says_so(
        self, cli: Cli, database: Database
    ) -> None:
        broken = "status = 'error', next_run_at = NULL"
        rows(database, f"UPDATE schedules SET {broken} WHERE name = 'b' RETURNING 1")
        done = cli("schedules", "pause", "a", "b", "c")
        several = cli("schedules", "pause", "a", "b", "nobody")

        assert statuses(database) == {"a": "paused", "b": "error", "c": "paused"}
        assert done.exit_code == 6
        assert "'b' is error" in done.stderr
        assert "2 schedules paused." in done.stderr
        assert several.exit_code == 1, "they went wrong in different ways"

    def test_delete_asks_once(self, cli: Cli, database: Database) -> None:
        assert cli("schedules", "delete", "--label", "team=ops").exit_code == 2
        done = cli("schedules", "delete", "--label", "team=ops", "--yes")

        assert (done.exit_code, statuses(database)) == (0, {"c": "active"})

    def test_filters_trigger_the_active_ones_unless_a_status_is_said(self, cli: Cli) -> None:
        cli("schedules", "pause", "a")

        assert len(cli("schedules", "trigger", "--all").stdout.split()) == 2
        assert len(cli("schedules", "trigger", "--label", "team=ops").stdout.split()) == 1
        assert len(cli("schedules", "trigger", "--status", "paused").stdout.split()) == 1
        assert len(cli("schedules", "trigger", "a").stdout.split()) == 1

    def test_trigger_prints_an_id_for_each_that_began(
        self, cli: Cli, database: Database, echo: Flow
    ) -> None:
        ids = cli("schedules", "trigger", "--all").stdout.split()
        items = cli("schedules", "trigger", "a", "b", "-o", "json").items
        assert cli("schedules", "trigger", "a", "b", "--wait").exit_code == 2

        assert {*ids, *(item["id"] for item in items)} == {
            str(task_id) for task_id in rows(database, "SELECT id FROM tasks")
        }
        assert (len(ids), len(items)) == (3, 2)
        mark_gone(database, echo)
        assert cli("schedules", "trigger", "a", "b").exit_code == 6


@pytest.mark.usefixtures("three")
class TestPauses:
    @pytest.mark.parametrize("until", ["2h", "+2h", "1h60m"])
    def test_a_pause_ends_after_so_long(self, cli: Cli, database: Database, until: str) -> None:
        done = cli("schedules", "pause", "a", "--until", until)

        [end] = rows(database, "SELECT paused_until FROM schedules WHERE name = 'a'")
        assert timedelta() <= now(database) + timedelta(hours=2) - end < timedelta(minutes=1)
        assert "paused until" in done.stderr
        assert "Paused until" in cli("schedules", "show", "a", "-o", "table").stdout

    def test_a_time_is_read_in_the_zone_of_each(self, cli: Cli, database: Database) -> None:
        cli("schedules", "update", "a", "--timezone", "Asia/Tokyo")
        cli("schedules", "update", "b", "--timezone", "UTC")
        cli("schedules", "pause", "a", "b", "--until", "2031-12-01T09:00")

        ends = rows(database, "SELECT paused_until FROM schedules WHERE name < 'c' ORDER BY name")
        assert ends[1] - ends[0] == timedelta(hours=9)

    @pytest.mark.parametrize("until", ["2020-01-01", "soon", "0h", "-2h", "999999999d"])
    def test_another_end_is_refused(self, cli: Cli, database: Database, until: str) -> None:
        assert cli("schedules", "pause", "a", f"--until={until}").exit_code == 2
        assert statuses(database)["a"] == "active"

    def test_resume_may_begin_with_what_was_held_back(self, cli: Cli, database: Database) -> None:
        rows(database, "UPDATE schedules SET next_run_at = now() - interval '1h' RETURNING 1")
        cli("schedules", "pause", "a", "b")
        cli("schedules", "resume", "a", "--from", "last")
        cli("schedules", "resume", "b")

        due = rows(database, "SELECT name FROM schedules WHERE next_run_at < now()")
        assert sorted(due) == ["a", "c"]


class TestDisabledSources:
    def test_it_is_disabled_shown_and_enabled(self, cli: Cli, echo: Flow) -> None:
        def shown() -> Result:
            return cli("sources", "show", echo.source_name, "-o", "json")

        done = cli("sources", "disable", echo.source_name, "--note", "upgrade")
        assert (done.exit_code, done.stdout) == (0, "")
        assert shown().json["disabled_reason"] == "upgrade"
        assert "disabled" in cli("status").stdout
        cli("sources", "enable", echo.source_name)
        assert shown().json["disabled_at"] is None

    def test_a_run_waits_and_says_for_what(self, cli: Cli, echo: Flow) -> None:
        cli("sources", "disable", echo.source_name, "--note", "upgrade")
        started = cli("flows", "run", "Echo", "--input", "hi")
        task_id = started.stdout.strip()

        assert f"! The source {echo.source_name} is disabled (upgrade)" in started.stderr
        assert "is disabled (upgrade)" in cli("tasks", "why", task_id).stdout
