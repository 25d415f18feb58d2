"""Recurrence rules: what can be written, what is refused, the words, the limits."""

import time
from datetime import UTC, datetime, timedelta

import pytest

from automagik.core.scheduler.cadence import (
    Cadence,
    ScheduleType,
    load_cadence,
    parse_cadence,
    upcoming,
)
from automagik.core.scheduler.exceptions import InvalidCadence

NOW = datetime(2026, 11, 20, 14, 37, 22, tzinfo=UTC)  # a Friday


def rrule(expr: str, *, timezone: str = "UTC", now: datetime = NOW) -> Cadence:
    return parse_cadence("rrule", expr, timezone=timezone, now=now)


def runs(expr: str, *, count: int = 3, timezone: str = "UTC") -> list[str]:
    found = upcoming(rrule(expr, timezone=timezone), after=NOW, count=count)
    return [run.strftime("%m-%d %H:%M:%S") for run in found]


@pytest.mark.parametrize(
    "expr, expected",
    [
        (
            "FREQ=MONTHLY;BYDAY=MO,TU;BYSETPOS=1;BYHOUR=9",
            ["12-01 09:00:00", "01-04 09:00:00", "02-01 09:00:00"],
        ),
        (
            "FREQ=WEEKLY;INTERVAL=2;BYDAY=MO;BYHOUR=8;BYMINUTE=30",
            ["11-30 08:30:00", "12-14 08:30:00", "12-28 08:30:00"],
        ),
        ("FREQ=HOURLY;INTERVAL=5", ["11-20 14:38:00", "11-20 19:38:00", "11-21 00:38:00"]),
        ("FREQ=MINUTELY;INTERVAL=90", ["11-20 14:38:00", "11-20 16:08:00", "11-20 17:38:00"]),
        ("FREQ=SECONDLY;INTERVAL=45", ["11-20 14:38:00", "11-20 14:38:45", "11-20 14:39:30"]),
        (
            "rrule:freq=yearly;byweekno=1;byday=mo;byhour=0",
            ["01-04 00:00:00", "01-03 00:00:00", "01-01 00:00:00"],
        ),
        ("FREQ=DAILY;COUNT=2", ["11-20 14:38:00", "11-21 14:38:00"]),
        ("FREQ=DAILY;UNTIL=20261121T143800Z", ["11-20 14:38:00", "11-21 14:38:00"]),
    ],
)
def test_what_can_be_written(expr: str, expected: list[str]) -> None:
    assert runs(expr) == expected


@pytest.mark.parametrize(
    "expr, first",
    [
        ("FREQ=DAILY", "11-20 14:38:00"),  # the next full minute
        ("FREQ=DAILY;BYHOUR=9", "11-21 09:00:00"),  # sharp, not 09:38
        ("FREQ=DAILY;BYHOUR=9;BYMINUTE=15", "11-21 09:15:00"),
        ("FREQ=MINUTELY;BYHOUR=14", "11-20 14:38:00"),  # still in this hour
    ],
)
def test_where_a_rule_without_dtstart_begins(expr: str, first: str) -> None:
    assert runs(expr, count=1) == [first]


def test_a_rule_made_at_a_full_minute_begins_with_it() -> None:
    anchor = datetime(2026, 11, 20, 14, 37, tzinfo=UTC)
    cadence = load_cadence("rrule", "FREQ=DAILY", timezone="UTC", anchor=anchor)
    assert cadence.next_after(anchor - timedelta(seconds=1)) == anchor
    assert cadence.next_after(anchor - timedelta(days=30)) == anchor


LINES = """
DTSTART;TZID=America/New_York:20261126T090000
rrule:FREQ=WEEKLY;BYDAY=MO,TH;UNTIL=20261217T140000Z
EXDATE:20261130T090000,20261203T090000
RDATE;TZID=America/New_York:20261201T111500
EXDATE;TZID=Europe/Berlin:20261207T150000
"""


def test_the_other_lines() -> None:
    """In the zone of DTSTART, whatever the schedule's; UNTIL is included."""
    cadence = rrule(LINES, timezone="Asia/Tokyo")
    assert runs(LINES, count=9) == [
        "11-26 14:00:00",
        "12-01 16:15:00",
        "12-10 14:00:00",
        "12-14 14:00:00",
        "12-17 14:00:00",
    ]
    assert cadence.describe() == (
        "every week on Monday and Thursday at 09:00, from 2026-11-26 09:00 on,"
        " until 2026-12-17 09:00, and on 2026-12-01 11:15,"
        " but not on 2026-11-30 09:00, 2026-12-03 09:00 and 2026-12-07 09:00 (America/New_York)"
    )


def test_the_stored_text_loads_as_an_equal_cadence() -> None:
    """Lines may stand behind one another, as on a command line."""
    typed = rrule(" ".join(LINES.split()))
    assert typed.type is ScheduleType.RRULE
    assert typed.expr.splitlines()[:2] == [
        "DTSTART;TZID=America/New_York:20261126T090000",
        "RRULE:FREQ=WEEKLY;BYDAY=MO,TH;UNTIL=20261217T140000Z",
    ]
    assert load_cadence("rrule", typed.expr, timezone="UTC", anchor=NOW) == typed
    assert rrule("rrule:freq=daily").expr == "FREQ=DAILY"


def test_a_dtstart_in_utc_makes_it_a_rule_in_utc() -> None:
    expr = "DTSTART:20260101T090000Z FREQ=DAILY"
    assert runs(expr, timezone="Asia/Tokyo", count=1) == ["11-21 09:00:00"]


def test_added_times_do_not_count_and_left_out_ones_do() -> None:
    expr = (
        "DTSTART:20261121T090000 RRULE:FREQ=DAILY;COUNT=3"
        " EXDATE:20261122T090000 RDATE:20261201T090000"
    )
    assert runs(expr, count=9) == ["11-21 09:00:00", "11-23 09:00:00", "12-01 09:00:00"]


@pytest.mark.parametrize(
    "expr, reason",
    [
        ("FREQ=OFTEN", "FREQ is one of SECONDLY"),
        ("BYDAY=MO", "FREQ is one of"),
        ("DTSTART:20260101T090000", "it has no rule"),
        ("FREQ=DAILY;EVERY=2", "'EVERY=2' is no part of it; the parts are FREQ"),
        ("FREQ=DAILY;FREQ=DAILY", "FREQ stands twice"),
        ("FREQ=DAILY;INTERVAL=0", "INTERVAL cannot be '0': it takes 1 to 1000000"),
        ("FREQ=DAILY;BYHOUR=24", "BYHOUR cannot be '24': it takes 0 to 23"),
        ("FREQ=DAILY;BYHOUR=", "BYHOUR cannot be ''"),
        ("FREQ=MONTHLY;BYMONTHDAY=0", "BYMONTHDAY cannot be '0': it takes -31 to 31 but 0"),
        ("FREQ=WEEKLY;BYDAY=MON", "BYDAY cannot be 'MON': it takes MO, TU"),
        ("FREQ=YEARLY;BYDAY=54MO", "BYDAY cannot be '54MO'"),
        ("FREQ=WEEKLY;BYDAY=2MO", "FREQ=MONTHLY and FREQ=YEARLY alone"),
        ("FREQ=DAILY;WKST=1", "WKST is one of MO"),
        ("FREQ=DAILY;COUNT=10001", "COUNT cannot be '10001': it takes 1 to 10000"),
        ("FREQ=DAILY;COUNT=1;UNTIL=20300101T000000", "not by both"),
        ("FREQ=DAILY;UNTIL=20300101", "'20300101' is no date with a time"),
        ("FREQ=DAILY;UNTIL=20301301T000000", "there is no time '20301301T000000'"),
        ("FREQ=DAILY;BYHOUR=9,17;BYSETPOS=1", "BYSETPOS takes a rule with one time a day"),
        ("FREQ=HOURLY;BYSETPOS=1", "BYSETPOS takes a rule with one time a day"),
        ("DTSTART:00010101T000000 FREQ=DAILY", "not between 1900 and 9000"),
        ("DTSTART:20260101T000000,20270101T000000 FREQ=DAILY", "DTSTART is one time"),
        ("FREQ=DAILY RRULE:FREQ=DAILY", "2 lines RRULE instead of one"),
        ("EXRULE:FREQ=DAILY FREQ=DAILY", "the lines are RRULE, DTSTART, RDATE and EXDATE"),
        ("EXDATE;VALUE=DATE:20260101 FREQ=DAILY", "'EXDATE;VALUE=DATE:20260101' is no line"),
        ("DTSTART;TZID=Mars/Base:20260101T000000 FREQ=DAILY", "is no IANA time zone"),
        ("every monday", "not of words"),
    ],
)
def test_what_is_refused(expr: str, reason: str) -> None:
    with pytest.raises(InvalidCadence, match=reason) as caught:
        rrule(expr)
    assert caught.value.hint


@pytest.mark.parametrize(
    "expr",
    [
        "FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30",
        "FREQ=DAILY;BYMONTH=2;BYMONTHDAY=30",
        "FREQ=SECONDLY;BYMONTH=2;BYMONTHDAY=30",
        "DTSTART:20250101T000000 FREQ=YEARLY;INTERVAL=4;BYMONTH=2;BYMONTHDAY=29",
        "DTSTART:20260105T000000 FREQ=DAILY;INTERVAL=7;BYDAY=TU",
        "DTSTART:20260105T080000 FREQ=HOURLY;INTERVAL=48;BYHOUR=9",
        "DTSTART:20260105T080000 FREQ=MINUTELY;INTERVAL=2;BYMINUTE=31",
        "DTSTART:20260105T080000 FREQ=SECONDLY;INTERVAL=60;BYSECOND=59",
        "DTSTART:20260105T080000 FREQ=SECONDLY;INTERVAL=2;BYSECOND=1;COUNT=9999",
        "FREQ=YEARLY;BYWEEKNO=20;BYMONTH=1",
        "FREQ=DAILY;UNTIL=20260101T000000",
    ],
)
def test_a_rule_that_never_occurs_says_so_and_does_not_spin(expr: str) -> None:
    """With dateutil alone some of these would walk on to the year 9999 for hours."""
    cadence = rrule(expr)
    started = time.process_time()
    assert cadence.next_after(NOW) is None
    assert cadence.latest_until(NOW, after=datetime(1950, 1, 1, tzinfo=UTC)) is None
    assert time.process_time() - started < 10


@pytest.mark.parametrize(
    "expr",
    ["FREQ=SECONDLY", "FREQ=MINUTELY;INTERVAL=7", "FREQ=DAILY;BYHOUR=9", "FREQ=WEEKLY;COUNT=9999"],
)
def test_a_century_of_backlog_costs_few_looks(expr: str) -> None:
    cadence = load_cadence(
        "rrule", f"DTSTART:19000101T000000 {expr}", timezone="Europe/Berlin", anchor=NOW
    )
    started = time.process_time()
    latest = cadence.latest_until(NOW, after=datetime(1900, 2, 1, tzinfo=UTC))
    assert latest is not None
    assert NOW - latest < timedelta(days=7)
    assert time.process_time() - started < 5


def test_the_calendar_ends_without_an_error() -> None:
    for expr in ("FREQ=DAILY", "FREQ=SECONDLY", "FREQ=WEEKLY;BYDAY=MO,SU;BYSETPOS=-1"):
        cadence = rrule(f"DTSTART:20260101T000000 {expr}", timezone="Asia/Tokyo")
        assert cadence.next_after(datetime.max.replace(tzinfo=UTC)) is None


def test_by_the_hour_follows_elapsed_time_and_with_byhour_the_wall_clock() -> None:
    """As in cron: both passes of a fold, or the first alone."""
    before_fold = datetime(2026, 10, 25, 0, 15, tzinfo=UTC)
    expected = {"FREQ=HOURLY": [30, 90, 150], "FREQ=HOURLY;BYHOUR=2,3": [30, 150]}
    for rule, minutes in expected.items():
        cadence = load_cadence(
            "rrule",
            f"DTSTART:20260101T003000 {rule}",
            timezone="Europe/Berlin",
            anchor=NOW,
        )
        midnight = datetime(2026, 10, 25, tzinfo=UTC)
        found = upcoming(cadence, after=before_fold, count=len(minutes))
        assert [(run - midnight) // timedelta(minutes=1) for run in found] == minutes


@pytest.mark.parametrize(
    "expr, words",
    [
        ("FREQ=DAILY;BYHOUR=9", "every day at 09:00"),
        (
            "FREQ=WEEKLY;INTERVAL=2;BYDAY=TH,MO;BYHOUR=9,17",
            "every 2 weeks on Monday and Thursday at 09:00 and 17:00",
        ),
        (
            "FREQ=MONTHLY;BYDAY=-1FR;BYHOUR=17;BYMINUTE=30",
            "every month on the last Friday of the month at 17:30",
        ),
        (
            "FREQ=MONTHLY;BYDAY=MO,TU;BYSETPOS=1,-2;BYHOUR=0",
            "every month on Monday and Tuesday (of these the 2nd last and the 1st) at 00:00",
        ),
        (
            "FREQ=MONTHLY;BYMONTHDAY=13;BYDAY=FR;BYHOUR=0",
            "every month on the 13th day of the month if it is Friday at 00:00",
        ),
        (
            "FREQ=YEARLY;BYMONTH=1,6;BYDAY=2SU;BYHOUR=0",
            "every year in January and June on the 2nd Sunday of the month at 00:00",
        ),
        ("FREQ=YEARLY;BYDAY=20MO;BYHOUR=0", "every year on the 20th Monday of the year at 00:00"),
        (
            "FREQ=YEARLY;BYYEARDAY=1,-1;BYHOUR=0",
            "every year on the last and the 1st day of the year at 00:00",
        ),
        (
            "FREQ=YEARLY;BYWEEKNO=53;BYDAY=MO;BYHOUR=0",
            "every year in the 53rd week of the year on Monday at 00:00",
        ),
        ("FREQ=SECONDLY", "every second"),
        ("FREQ=MINUTELY;INTERVAL=15;BYHOUR=9,10", "every 15 minutes at hours 9 and 10"),
        ("FREQ=HOURLY;BYMINUTE=0,30", "every hour at minutes 0 and 30"),
        ("FREQ=DAILY;BYHOUR=9;COUNT=3", "every day at 09:00, 3 times at most"),
    ],
)
def test_the_rule_in_words(expr: str, words: str) -> None:
    assert rrule(expr, timezone="Europe/Berlin").describe() == f"{words} (Europe/Berlin)"


def test_words_are_for_another_kind_of_rule() -> None:
    with pytest.raises(InvalidCadence) as caught:
        load_cadence(
            "rrule", "every friday", timezone="UTC", anchor=datetime(2026, 1, 1, tzinfo=UTC)
        )
    assert "--every" in str(caught.value.hint)
    load_cadence(
        "calendar",
        "every week on fri at 09:00",
        timezone="UTC",
        anchor=datetime(2026, 1, 1, tzinfo=UTC),
    )
