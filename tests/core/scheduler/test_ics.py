"""Which days an iCalendar file makes holidays."""

from datetime import date

import pytest

from automagik.core.exceptions import InvalidInput
from automagik.core.scheduler.ics import holidays_in

FIRST, LAST = date(2025, 1, 1), date(2028, 12, 31)


def calendar(*events: str) -> str:
    bodies = "".join(f"BEGIN:VEVENT\n{event.strip()}\nEND:VEVENT\n" for event in events)
    return f"BEGIN:VCALENDAR\nVERSION:2.0\nPRODID:-//test//\n{bodies}END:VCALENDAR\n"


def days(*events: str) -> list[str]:
    return [f"{day:%Y-%m-%d}" for day in holidays_in(calendar(*events), first=FIRST, last=LAST)]


def test_a_day_has_its_title_and_days_outside_do_not_count() -> None:
    found = holidays_in(
        calendar(
            "UID:1\nDTSTART;VALUE=DATE:20260101\nSUMMARY:Neujahr",
            "UID:2\nDTSTART;VALUE=DATE:20240101\nSUMMARY:too old",
            "UID:3\nDTSTART;VALUE=DATE:20290101\nSUMMARY:too far",
        ),
        first=FIRST,
        last=LAST,
    )

    assert found == {date(2026, 1, 1): "Neujahr"}


@pytest.mark.parametrize(
    "event, expected",
    [
        ("DTSTART;VALUE=DATE:20260501\nDTEND;VALUE=DATE:20260503", ["2026-05-01", "2026-05-02"]),
        ("DTSTART;VALUE=DATE:20260501\nDURATION:P2D", ["2026-05-01", "2026-05-02"]),
        ("DTSTART;VALUE=DATE:20241231\nDTEND;VALUE=DATE:20250102", ["2025-01-01"]),
        ("DTSTART:20260501T090000Z\nDTEND:20260501T170000Z", ["2026-05-01"]),
        ("DTSTART:20260501T220000Z\nDTEND:20260502T010000Z", ["2026-05-01", "2026-05-02"]),
        ("DTSTART:20260501T220000Z\nDTEND:20260502T000000Z", ["2026-05-01"]),
        ("DTSTART;VALUE=DATE:20260501\nSTATUS:CANCELLED", []),
    ],
)
def test_an_event_takes_all_days_that_it_touches(event: str, expected: list[str]) -> None:
    assert days(f"UID:1\n{event}") == expected


def test_what_repeats_is_expanded_with_its_exceptions() -> None:
    yearly = "UID:1\nDTSTART;VALUE=DATE:20201225\nDTEND;VALUE=DATE:20201227\nRRULE:FREQ=YEARLY"

    assert days(f"{yearly}\nEXDATE;VALUE=DATE:20261225\nRDATE;VALUE=DATE:20270105") == [
        *("2025-12-25", "2025-12-26", "2027-01-05", "2027-01-06"),
        *("2027-12-25", "2027-12-26", "2028-12-25", "2028-12-26"),
    ]
    assert days(f"{yearly};UNTIL=20251225") == ["2025-12-25", "2025-12-26"]


def test_a_changed_occurrence_replaces_that_of_its_series() -> None:
    series = "UID:1\nDTSTART;TZID=Europe/Berlin:20260305T090000\nRRULE:FREQ=YEARLY;COUNT=3"
    changed = (
        "UID:1\nRECURRENCE-ID;TZID=Europe/Berlin:20270305T090000\n"
        "DTSTART;TZID=Europe/Berlin:20270310T090000"
    )

    assert days(series, changed) == ["2026-03-05", "2027-03-10", "2028-03-05"]


@pytest.mark.parametrize(
    "text, said",
    [
        ("", "VCALENDAR"),
        ("hello", "read"),
        (calendar("UID:1\nSUMMARY:when?"), "read"),
        (calendar("UID:1\nDTSTART:nonsense"), "read"),
        (calendar("UID:1\nDTSTART:20260101T000000Z\nRRULE:FREQ=SECONDLY"), "by days"),
        (
            calendar("UID:1\nDTSTART;VALUE=DATE:20200101\nDTEND;VALUE=DATE:20280101"),
            "more than 366",
        ),
    ],
)
def test_what_is_no_calendar_of_days_is_refused(text: str, said: str) -> None:
    with pytest.raises(InvalidInput, match=said):
        holidays_in(text, first=FIRST, last=LAST)
