"""`automagik calendar`, as a person types it."""

from collections.abc import Iterator

import pytest
from icalendar import Calendar

from automagik.core.config import Settings
from automagik.core.flows.values import Flow
from tests.cli.command_line import Cli
from tests.core.records import opened
from tests.core.scheduler.stored import add_flow


@pytest.fixture
def echo(settings: Settings) -> Iterator[Flow]:
    with opened(settings.require_database_url()) as database:
        yield add_flow(database)


@pytest.fixture
def planned(cli: Cli, echo: Flow) -> Cli:
    create = ("schedules", "create", "Echo", "--name")
    cli(*create, "office", "--cron", "0 9 * * 1-5", "--label", "team=ops")
    cli(*create, "daily", "--cron", "0 9 * * *")
    cli(*create, "often", "--every", "5m")
    cli(*create, "asleep", "--cron", "0 9 * * *")
    cli("schedules", "pause", "asleep")
    cli(*create, "chained", "--after", "office")
    return cli


def test_a_month_is_a_picture_with_the_runs_of_each_day_and_the_collisions(planned: Cli) -> None:
    shown = planned("calendar", "--month", "2030-12", "-o", "table")
    lines = shown.stdout.splitlines()

    assert shown.exit_code == 0, shown.stderr
    assert lines[0] == "December 2030 · UTC"
    assert lines[2].split() == ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"]
    assert lines[3].split() == ["1", "▒", "289"]
    assert lines[4].split()[:6] == ["2", "█", "290", "3", "█", "290"]
    assert "22 collisions" in shown.stdout
    assert "Mon  2 Dec 09:00  2 start: daily, office" in shown.stdout


def test_a_day_is_told_hour_by_hour(planned: Cli) -> None:
    shown = planned("calendar", "--day", "2030-12-02", "-o", "table", "--tz", "Europe/Berlin")
    lines = shown.stdout.splitlines()

    assert lines[0] == "Monday 2 December 2030 · Europe/Berlin"
    assert "10:00 ████████████████████████   2 daily, office" in lines
    assert "all day often: 288 runs" in lines
    assert "11:00" in lines


def test_a_pipe_gets_a_row_for_each_start_and_one_for_what_starts_often(planned: Cli) -> None:
    often, *single = planned("calendar", "--day", "2030-12-02").lines

    assert (often[0], often[1][:4], often[2:]) == (
        "2030-12-02",
        "00:0",
        ["often", "Echo", "288", "false"],
    )
    assert single == [
        ["2030-12-02", "09:00:00", "daily", "Echo", "1", "false"],
        ["2030-12-02", "09:00:00", "office", "Echo", "1", "false"],
    ]


def test_only_some_schedules_are_told(planned: Cli) -> None:
    words = ("calendar", "--day", "2030-12-02", "-o", "json")

    assert [item["schedule"] for item in planned(*words, "--label", "team").items] == ["office"]
    assert planned(*words, "--flow", "nobody").exit_code == 3


def test_the_icalendar_file_is_one(planned: Cli) -> None:
    first, second = planned("calendar", "--ics"), planned("calendar", "--ics", "--week")
    events = Calendar.from_ical(first.stdout).walk("VEVENT")
    fewer = Calendar.from_ical(second.stdout).walk("VEVENT")

    assert {str(event["SUMMARY"]).partition(":")[0] for event in events} == {
        "office",
        "daily",
        "often",
    }
    assert len(fewer) < len(events) // 3


@pytest.mark.parametrize(
    "words",
    [
        ("--month", "2030-13"),
        ("--day", "tomorrow"),
        ("--month", "2030-12", "--week"),
        ("--tz", "Mars"),
        ("--month", "0001-01"),
    ],
)
def test_what_cannot_be_meant_is_a_usage_error(cli: Cli, words: tuple[str, ...]) -> None:
    refused = cli("calendar", *words)

    assert (refused.exit_code, "Traceback" in refused.stderr) == (2, False)


def test_the_singular_of_holidays_is_this_and_their_plural_stays(cli: Cli) -> None:
    assert "Import one" in cli("calendars", "list").stderr
    assert cli("calendar", "list").exit_code == 2
