"""`automagik calendars`, as a person types it."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from automagik.core.config import Settings
from automagik.core.database.session import Database
from automagik.core.flows.values import Flow
from tests.cli.command_line import Cli
from tests.core.scheduler.stored import add_flow

TODAY = datetime.now(UTC).date()


@pytest.fixture
def echo(settings: Settings) -> Iterator[Flow]:
    database = Database(settings.require_database_url())
    yield add_flow(database)
    database.dispose()


def ics(*days: int) -> str:
    """Holidays so many days from now."""
    events = "".join(
        f"BEGIN:VEVENT\nUID:{each}\nDTSTART;VALUE=DATE:{TODAY + timedelta(days=each):%Y%m%d}\n"
        f"SUMMARY:Größter Tag\nEND:VEVENT\n"
        for each in days
    )
    return f"BEGIN:VCALENDAR\nVERSION:2.0\nPRODID:-//test//\n{events}END:VCALENDAR\n"


def test_a_calendar_is_imported_listed_shown_heeded_and_deleted(
    cli: Cli, echo: Flow, tmp_path: Path
) -> None:
    (tmp_path / "de.ics").write_text(ics(100, 200), encoding="utf-8")
    first = cli("calendars", "import", "de", "de.ics")
    created = cli("schedules", "create", "Echo", "--cron", "0 12 * * *", "--calendar", "de")
    again = cli("calendars", "import", "de", "-", input=ics(0, 1, 100))
    [listed] = cli("calendars", "list", "-o", "json").items
    days = cli("calendars", "show", "de", "-o", "json").items
    schedule = cli("schedules", "show", "echo-cron", "-o", "json").json
    in_use = cli("calendars", "delete", "de", "--yes")
    cli("schedules", "delete", "echo-cron", "--yes")
    unasked = cli("calendars", "delete", "de")
    tried = cli("calendars", "delete", "de", "--dry-run")
    deleted = cli("calendars", "delete", "de", "--yes")

    assert (first.exit_code, first.stderr) == (
        0,
        (
            "✓ Calendar de: 2 holidays · 2 new, 0 gone.\n"
            "  Next: automagik schedules update SCHEDULE --calendar de\n"
        ),
    )
    assert created.exit_code == 0, created.stderr
    assert "3 holidays · 2 new, 1 gone." in again.stderr
    assert "Schedule echo-cron has another next run." in again.stderr
    assert (listed["name"], listed["days"], listed["schedules"]) == ("de", 3, 1)
    assert days[0] == {"day": f"{TODAY}", "title": "Größter Tag"}
    assert schedule["next_run_at"] == f"{TODAY + timedelta(days=2)}T12:00:00Z"
    assert "holidays of de" in schedule["rule"]
    assert (in_use.exit_code, "echo-cron" in in_use.stderr) == (6, True)
    assert (unasked.exit_code, deleted.exit_code) == (2, 0)
    assert tried.stderr == (
        "This would delete calendar de with 3 holiday(s). Nothing was changed.\n"
    )
    assert cli("calendars", "delete", "de", "--dry-run").exit_code == 3
    assert "automagik calendars import" in cli("calendars", "list").stderr


def test_a_preview_heeds_a_calendar(cli: Cli) -> None:
    cli("calendars", "import", "de", "-", input=ics(1, 2))
    rule = ("schedules", "preview", "--cron", "0 0 * * *", "--calendar", "de", "-n", "1")
    found = cli(*rule, "--from", f"{TODAY}", "-o", "json")

    assert [item["at"] for item in found.items] == [f"{TODAY + timedelta(days=3)}T00:00:00Z"]
    assert cli(*rule[:-3], "nowhere").exit_code == 3


@pytest.mark.parametrize(
    "words, text, said",
    [
        (("de", "nowhere.ics"), "", "nowhere.ics"),
        (("de", "-"), "no calendar", "not valid"),
        (("de", "-"), ics(-5_000), "no holiday between"),
        (("a b", "-"), ics(1), "no name"),
    ],
)
def test_what_cannot_be_imported_says_why(
    cli: Cli, words: tuple[str, ...], text: str, said: str
) -> None:
    result = cli("calendars", "import", *words, input=text)

    assert (result.exit_code, result.stdout) == (2, "")
    assert said in result.stderr
    assert cli("calendars", "list", "-o", "json").items == []
