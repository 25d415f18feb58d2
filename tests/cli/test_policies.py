"""The options that say what a schedule does when runs overlap, come late, fail or are enough."""

from collections.abc import Iterator

import pytest

from automagik.core.config import Settings
from automagik.core.database.session import Database
from automagik.core.flows.values import Flow
from automagik.core.scheduler.fire import fire
from tests.cli.command_line import Cli
from tests.core.records import rows
from tests.core.scheduler.stored import add_flow

CREATE = ("schedules", "create", "Echo", "--every", "1s", "--name", "mine")
ALL = {
    "overlap": "buffer-one",
    "misfire": "run-all",
    "misfire-grace": "0",
    "catch-up": "2h",
    "catch-up-order": "newest-first",
    "jitter": "30s",
    "spread": "1m",
    "max-runs": "5",
    "pause-after-failures": "3",
}
WORDS = [word for name, value in ALL.items() for word in (f"--{name}", value)]


@pytest.fixture
def database(settings: Settings) -> Iterator[Database]:
    opened = Database(settings.require_database_url())
    yield opened
    opened.dispose()


@pytest.fixture(autouse=True)
def _echo(database: Database) -> Flow:
    return add_flow(database)


def test_every_policy_can_be_given_and_shows_in_json_and_in_words(cli: Cli) -> None:
    assert cli(*CREATE, *WORDS, "--at-most-once").exit_code == 0

    item = cli("schedules", "show", "mine", "-o", "json").json

    shown = {name: item[name.replace("-", "_")] for name in ALL}
    assert shown == ALL | {
        "misfire-grace": 0.0,
        "catch-up": 7_200.0,
        "jitter": 30.0,
        "spread": 60.0,
        "max-runs": 5,
        "pause-after-failures": 3,
    }
    assert item["at_most_once"] is True
    assert len(item["policies"]) == 7
    table = cli("schedules", "show", "mine", "-o", "table").stdout
    for sentence in item["policies"]:
        assert sentence in table


def test_the_defaults_need_no_option_and_are_explained(cli: Cli) -> None:
    cli(*CREATE)

    item = cli("schedules", "show", "mine", "-o", "json").json

    assert (item["overlap"], item["misfire"], item["max_runs"]) == ("allow-all", "run-once", None)
    assert [sentence.split(":")[0] for sentence in item["policies"]] == [
        "Overlap allow-all",
        "Misfire run-once",
    ]


def test_what_is_updated_changes_and_the_rest_stays(cli: Cli) -> None:
    cli(*CREATE, *WORDS)
    unset = ("--unset", "jitter", "--unset", "misfire-grace", "--unset", "overlap")
    assert cli("schedules", "update", "mine", "--catch-up", "1h", *unset).exit_code == 0

    item = cli("schedules", "show", "mine", "-o", "json").json

    assert (item["catch_up"], item["spread"], item["max_runs"]) == (3_600.0, 60.0, 5)
    assert (item["jitter"], item["misfire_grace"], item["overlap"]) == (None, None, "allow-all")


@pytest.mark.parametrize(
    "words",
    [
        ("--overlap", "sometimes"),
        ("--misfire", "never"),
        ("--jitter", "0"),
        ("--max-runs", "0"),
        ("--catch-up", "99999d"),
    ],
)
def test_what_cannot_be_is_refused(cli: Cli, words: tuple[str, ...]) -> None:
    assert cli(*CREATE, *words).exit_code == 2


def test_a_schedule_that_is_used_up_goes_on_when_it_may_make_more(
    cli: Cli, database: Database, settings: Settings
) -> None:
    cli(*CREATE, "--max-runs", "1")
    fire_now(database, settings)
    item = cli("schedules", "show", "mine", "-o", "json").json
    assert (item["status"], item["status_reason"]) == (
        "completed",
        "it has made all of its runs: 1",
    )
    refused = cli("schedules", "resume", "mine")
    assert (refused.exit_code, "--max-runs" in refused.stderr) == (6, True)

    cli("schedules", "update", "mine", "--max-runs", "2")

    item = cli("schedules", "show", "mine", "-o", "json").json
    assert (item["status"], item["runs"]) == ("active", 0)


def test_explain_and_why_say_the_same_of_a_run_and_json_has_its_parts(
    cli: Cli, database: Database, settings: Settings
) -> None:
    cli(*CREATE)
    fire_now(database, settings)
    [(task_id, at)] = rows(database, "SELECT id, scheduled_for FROM tasks")

    said = cli("tasks", "why", "@last").stdout

    assert said.startswith(f"Task {task_id}, a run of the flow Echo for the occurrence ")
    assert cli("schedules", "explain", "mine", "--at", at.isoformat()).stdout == said
    parts = cli("schedules", "explain", "mine", "--at", at.isoformat(), "-o", "json").json
    assert (parts["fate"], parts["task_id"]) == ("task", str(task_id))
    assert cli("tasks", "why", "@last", "-o", "json").json["state"] == "pending"


def test_explain_of_an_instant_that_is_none_names_its_neighbours(cli: Cli) -> None:
    cli("schedules", "create", "Echo", "--cron", "0 9 * * *", "--name", "mine")

    said = cli("schedules", "explain", "mine", "--at", "2031-12-01T08:00").stdout

    assert "2031-12-01 08:00:00 UTC is no occurrence of mine" in said
    assert "the one before is 2031-11-30 09:00:00 UTC" in said
    assert "the one after is 2031-12-01 09:00:00 UTC" in said


def fire_now(database: Database, settings: Settings) -> None:
    """The one occurrence that is next is due."""
    rows(database, "UPDATE schedules SET next_run_at = anchor_at + interval '1 second' RETURNING 1")
    rows(
        database,
        "UPDATE schedules SET anchor_at = anchor_at - interval '2 seconds',"
        " next_run_at = next_run_at - interval '2 seconds',"
        " counts_from = counts_from - interval '2 seconds' RETURNING 1",
    )
    with database.transaction() as connection:
        assert fire(connection, settings=settings, actor="beat@here") == 1
