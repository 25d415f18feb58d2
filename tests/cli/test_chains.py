"""Runs that start runs, as a person types it."""

from collections.abc import Iterator
from uuid import UUID

import pytest

from automagik.core.config import Settings
from automagik.core.database.session import Database
from automagik.core.flows.values import Flow
from automagik.core.scheduler.follow_ups import follow_up
from automagik.core.tasks.states import TaskState
from tests.cli.command_line import Cli
from tests.core.records import add_task, opened, rows
from tests.core.scheduler.stored import add_flow
from tests.core.tasks.rows import ended_as

NAMES = "SELECT name FROM schedules ORDER BY name"


@pytest.fixture
def database(settings: Settings) -> Iterator[Database]:
    with opened(settings.require_database_url()) as database:
        yield database


@pytest.fixture
def echo(database: Database, cli: Cli) -> Flow:
    """With a schedule that has a clock."""
    add_flow(database, "Failing")
    flow = add_flow(database)
    assert (
        cli("schedules", "create", "Echo", "--name", "nightly", "--cron", "0 3 * * *").exit_code
        == 0
    )
    return flow


def followed(database: Database, settings: Settings, flow: Flow, *, of: str = "nightly") -> UUID:
    """A run of the schedule completed, and a beat has seen it."""
    [schedule_id] = rows(database, "SELECT id FROM schedules WHERE name = :name", name=of)
    parent = add_task(database, flow, schedule_id=schedule_id)
    ended_as(database, parent, TaskState.COMPLETED)
    with database.transaction() as connection:
        follow_up(connection, settings=settings, actor="beat@here")
    return parent


def test_a_chain_is_told_in_words(cli: Cli, echo: Flow) -> None:
    made = cli("schedules", "create", "Echo", "--name", "next", "--after", "nightly", "--on", "any")

    assert made.exit_code == 0
    assert "created: after nightly has completed or failed" in made.stderr
    assert "Its input: {{ output }}" in made.stderr
    listed = cli("schedules", "list", "--fields", "name,rule,next_run_at").lines
    assert ["next", "after nightly has completed or failed", ""] in listed
    item = cli("schedules", "show", "next", "-o", "json").json
    assert item["after"]["name"] == "nightly"
    assert not any(words.startswith("Misfire") for words in item["policies"])
    [follower] = cli("schedules", "show", "nightly", "-o", "json").json["followers"]
    assert follower["name"] == "next"
    preview = cli("schedules", "preview", "next")
    assert (preview.exit_code, preview.stdout) == (0, "")
    assert "it has no times of its own" in preview.stderr
    assert "no such end is recorded" in cli("schedules", "explain", "next").stdout


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--after", "nightly", "--every", "5m"), "--after does not go with --every"),
        (("--after", "nightly", "--tz", "UTC", "--end", "2030-01-01"), "--timezone, --end"),
        (("--after", "nightly", "--misfire", "skip"), "--misfire belongs to a clock"),
        (("--on", "failed"), "--after is missing"),
        (("--after", "nightly", "--input", "{{ outptu }}"), "did you mean {{ output }}"),
        (("--after", "flow:Echo"), "would start itself"),
        (("--type", "after", "--expr", "completed"), "has no time rule"),
        (("--after", "nobody"), "neither a schedule nor a flow"),
    ],
)
def test_what_cannot_be_is_refused_with_a_reason(
    cli: Cli, echo: Flow, options: tuple[str, ...], said: str
) -> None:
    result = cli("schedules", "create", "Echo", "--name", "bad", *options)

    assert result.exit_code in (2, 3, 6)
    assert said in result.stderr


def test_reactions_are_given_replaced_and_taken_back_by_options(
    cli: Cli, database: Database, echo: Flow
) -> None:
    update = ("schedules", "update", "nightly")
    made = cli(*update, "--on-failure", "Failing", "--on-success", "Echo")
    assert made.exit_code == 0
    assert "nightly-on-failure: Failing, after nightly has failed" in made.stderr
    assert rows(database, NAMES) == ["nightly", "nightly-on-failure", "nightly-on-success"]
    assert cli(*update, "--unset", "on-success").exit_code == 0
    made = cli(
        "schedules", "create", "Echo", "--every", "1h", "--name", "h", "--on-recovery", "Echo"
    )
    assert made.exit_code == 0
    assert rows(database, NAMES) == ["h", "h-on-recovery", "nightly", "nightly-on-failure"]


def test_a_change_of_a_chain(cli: Cli, echo: Flow) -> None:
    cli("schedules", "create", "Echo", "--name", "next", "--after", "nightly")

    changed = cli("schedules", "update", "next", "--on", "failed", "--input", "{{ error }}!")

    assert "updated: after nightly has failed" in changed.stderr
    refused = cli("schedules", "update", "next", "--every", "5m")
    assert (refused.exit_code, "a time rule belongs to a clock" in refused.stderr) == (2, True)
    assert cli("schedules", "pause", "next").exit_code == 0
    assert cli("schedules", "resume", "next").exit_code == 0


def test_deletions_say_what_goes_along(cli: Cli, database: Database, echo: Flow) -> None:
    cli("schedules", "create", "Failing", "--name", "next", "--after", "nightly")
    cli("schedules", "create", "Failing", "--name", "of-flow", "--after", "Echo")

    deleted = cli("schedules", "delete", "nightly", "--yes")
    assert "Schedule nightly deleted, and with it next." in deleted.stderr
    assert rows(database, NAMES) == ["of-flow"]
    flow = cli("flows", "delete", "Echo", "--yes")
    assert "and the schedules that follow it: of-flow" in flow.stderr
    assert rows(database, NAMES) == []


def test_several_that_follow_each_other_are_deleted_at_once(
    cli: Cli, database: Database, echo: Flow
) -> None:
    cli("schedules", "create", "Failing", "--name", "next", "--after", "nightly")

    assert cli("schedules", "delete", "nightly", "next", "--yes").exit_code == 0
    assert rows(database, NAMES) == []


def test_tasks_tell_what_they_follow_and_what_they_started(
    cli: Cli, database: Database, settings: Settings, echo: Flow
) -> None:
    cli("schedules", "create", "Echo", "--name", "next", "--after", "nightly")
    parent = followed(database, settings, echo)
    [child] = rows(database, "SELECT id FROM tasks WHERE parent_task_id = :id", id=parent)

    [started] = cli("tasks", "show", str(parent), "-o", "json").json["started"]
    assert (started["id"], started["schedule_name"]) == (str(child), "next")
    assert cli("tasks", "show", str(child), "-o", "json").json["parent_task_id"] == str(parent)
    assert f"it follows task {parent}" in cli("tasks", "why", str(child)).stdout
    told = cli("schedules", "explain", "next")
    assert f"it follows task {parent}" in told.stdout
    at = cli("schedules", "explain", "next", "-o", "json").json["at"]
    again = cli("schedules", "explain", "next", "--at", at[:19] + "Z", "-o", "json").json
    assert again["task_id"] == str(child)


def test_a_chain_can_be_triggered_with_an_input_of_its_own(
    cli: Cli, database: Database, echo: Flow
) -> None:
    cli("schedules", "create", "Echo", "--name", "next", "--after", "nightly")

    refused = cli("schedules", "trigger", "next")
    assert refused.exit_code == 6
    assert "--input TEXT" in refused.stderr
    assert cli("schedules", "trigger", "next", "--input", "by hand").exit_code == 0
    assert rows(database, "SELECT input_value FROM tasks") == ["by hand"]
