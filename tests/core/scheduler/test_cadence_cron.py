"""Cron: the dialect, the refusals, the words, and the known clock changes of the world."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from automagik.core.scheduler.cadence import (
    Cadence,
    ScheduleType,
    load_cadence,
    parse_cadence,
    upcoming,
)
from automagik.core.scheduler.exceptions import InvalidCadence

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)  # a Friday


def cron(expr: str, *, timezone: str = "UTC") -> Cadence:
    return parse_cadence("cron", expr, timezone=timezone, now=NOW)


def local_runs(expr: str, *, zone: str, start: str, count: int) -> list[str]:
    """The next occurrences after a local time, as local times with offset."""
    after = datetime.fromisoformat(start).replace(tzinfo=ZoneInfo(zone)).astimezone(UTC)
    runs = upcoming(cron(expr, timezone=zone), after=after, count=count)
    return [run.astimezone(ZoneInfo(zone)).strftime("%d %H:%M%z") for run in runs]


@pytest.mark.parametrize(
    "expr, runs",
    [
        ("*/15 * * * *", ["20 12:15:00", "20 12:30:00"]),
        ("59/15 * * * *", ["20 12:59:00", "20 13:59:00"]),
        ("10/25 * * * *", ["20 12:10:00", "20 12:35:00"]),
        ("50-10/10 13 * * *", ["20 13:00:00", "20 13:10:00"]),
        ("5-5 * * * *", ["20 12:05:00", "20 13:05:00"]),
        ("30 15 12 * * *", ["20 12:15:30", "21 12:15:30"]),
        ("*/20 * * * * *", ["20 12:00:20", "20 12:00:40"]),
        ("@hourly", ["20 13:00:00", "20 14:00:00"]),
        ("@Daily", ["21 00:00:00", "22 00:00:00"]),
        ("@midnight", ["21 00:00:00", "22 00:00:00"]),
        ("@weekly", ["22 00:00:00", "29 00:00:00"]),
        ("0 0 * * 7", ["22 00:00:00", "29 00:00:00"]),
        ("0 0 * * sat-mon", ["21 00:00:00", "22 00:00:00"]),
        ("0 0 * nov sat", ["21 00:00:00", "28 00:00:00"]),
        ("0 0 L * ?", ["30 00:00:00", "31 00:00:00"]),
        ("0 0 25,L * *", ["25 00:00:00", "30 00:00:00"]),
        ("0 0 30-L * *", ["30 00:00:00", "30 00:00:00"]),
        ("0 0 * * 5L", ["27 00:00:00", "25 00:00:00"]),
        ("0 0 * * L5", ["27 00:00:00", "25 00:00:00"]),
        ("0 0 * * FRI#4,MON", ["23 00:00:00", "27 00:00:00"]),
        ("0 0 * * 7#5", ["29 00:00:00", "31 00:00:00"]),
    ],
)
def test_the_dialect(expr: str, runs: list[str]) -> None:
    found = upcoming(cron(expr), after=NOW, count=2)
    assert [run.strftime("%d %H:%M:%S") for run in found] == runs


@pytest.mark.parametrize(
    "expr, days",
    [
        ("0 0 25 * 1", [23, 25, 30]),  # both restricted: either one
        ("0 0 25 * *", [25]),
        ("0 0 * * 1", [23, 30]),
        ("0 0 */2 * 1", [23]),  # one begins with a star: both
        ("0 0 1-31 * 1", [21, 22, 23, 24, 25, 26, 27, 28, 29, 30]),
    ],
)
def test_day_of_month_and_day_of_week_like_vixie(expr: str, days: list[int]) -> None:
    runs = upcoming(cron(expr), after=NOW, count=20)
    assert [run.day for run in runs if (run.year, run.month) == (2026, 11)] == days


@pytest.mark.parametrize("macro, month", [("@monthly", 12), ("@yearly", 1), ("@annually", 1)])
def test_the_long_macros(macro: str, month: int) -> None:
    assert cron(macro).next_after(NOW) == datetime(2027 - month // 12, month, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    "expr, reason",
    [
        ("60 * * * *", "minute field cannot be '60': 60 is out of range"),
        ("0 24 * * *", "hour field cannot be '24'"),
        ("0 0 0 * *", "day of month field cannot be '0'"),
        ("0 0 0-5 * *", "day of month field cannot be '0-5'"),
        ("0 0 * 13 *", "month field cannot be '13'"),
        ("0 0 * 1-0 *", "month field cannot be '1-0'"),
        ("0 0 * * 8", "day of week field cannot be '8'"),
        ("60 0 0 * * *", "second field cannot be '60'"),
        ("0 0 * * 5#6", "at most five"),
        ("0 0 * * 5#0", "at most five"),
        ("0 0 * * MAN", "day of week field cannot be 'MAN'"),
        ("0 0 * MON *", "month field cannot be 'MON'"),
        ("0 0 * * L", "day of week field cannot be 'L'"),
        ("0 5L * * *", "hour field cannot be '5L'"),
        ("0 5-L * * *", "hour field cannot be '5-L'"),
        ("0 0 15W * *", "day of month field cannot be '15W'"),
        ("0 0 L, * *", "day of month field cannot be ''"),
        ("1,,2 * * * *", "minute field cannot be ''"),
        ("-1 * * * *", "minute field cannot be '-1'"),
        ("*-5 * * * *", r"minute field cannot be '\*-5'"),
        ("H * * * *", "minute field cannot be 'H'"),
        ("R * * * *", "minute field cannot be 'R'"),
        ("? * * * *", r"minute field cannot be '\?'"),
        ("*/0 * * * *", "a step here is 1 to 60"),
        ("*/90 * * * *", "use an interval"),
        ("* * * *", "4 fields instead of 5"),
        ("often", "1 field instead of 5"),
        ("* * * * * * 2030", "7 fields instead of 5"),
        ("@reboot", "there is no '@reboot'; there are @hourly"),
        ("\u0663 * * * *", "plain ASCII"),
        ("0 0 30 2 *", "no date ever matches"),
        ("0 0 31 4 *", "no date ever matches"),
        ("0 0 31 2,4,6,9,11 *", "no date ever matches"),
        ("0 0 */30 2 1#2", "no date ever matches"),
        ("", "is empty"),
    ],
)
def test_what_is_refused(expr: str, reason: str) -> None:
    with pytest.raises(InvalidCadence, match=reason) as caught:
        cron(expr)
    assert "* *" in str(caught.value.hint)


def test_rare_dates_are_found_however_far_away() -> None:
    leap_day = cron("0 0 29 2 *")
    assert leap_day.next_after(datetime(2096, 3, 1, tzinfo=UTC)) == datetime(
        2104, 2, 29, tzinfo=UTC
    )
    fifth_monday = cron("0 0 * 2 1#5")
    assert fifth_monday.next_after(NOW) == datetime(2044, 2, 29, tzinfo=UTC)
    assert fifth_monday.latest_until(NOW, after=datetime(1970, 1, 1, tzinfo=UTC)) == datetime(
        2016, 2, 29, tzinfo=UTC
    )


def test_the_calendar_ends_without_an_error() -> None:
    for expr in ("* * * * *", "0 9 * * *", "0 0 29 2 *"):
        assert (
            cron(expr, timezone="Asia/Tokyo").next_after(datetime.max.replace(tzinfo=UTC)) is None
        )


@pytest.mark.parametrize("expr", ["* * * * * *", "0 3 * * *", "*/5 * * * *"])
def test_years_of_backlog_cost_one_look(expr: str) -> None:
    latest = cron(expr, timezone="Europe/Berlin").latest_until(
        NOW, after=datetime(1900, 1, 1, tzinfo=UTC)
    )
    assert latest is not None
    assert NOW - latest < timedelta(days=1)


def test_the_latest_occurrence_may_be_the_second_of_a_fold_long_ago() -> None:
    cadence = cron("0 * L 11 *", timezone="Antarctica/Rothera")
    latest = cadence.latest_until(
        datetime(1977, 6, 1, tzinfo=UTC), after=datetime(1970, 1, 1, tzinfo=UTC)
    )
    assert latest == datetime(1976, 12, 1, 2, tzinfo=UTC)


def test_the_second_pass_of_a_fold_is_over_for_a_fixed_hour() -> None:
    cadence = cron("*/20 2,3 * * *", timezone="Europe/Berlin")
    second_pass = datetime(2026, 10, 25, 1, 10, tzinfo=UTC)
    assert cadence.next_after(second_pass) == datetime(2026, 10, 25, 2, tzinfo=UTC)
    assert cadence.latest_until(second_pass, after=NOW - timedelta(days=90)) == datetime(
        2026, 10, 25, 0, 40, tzinfo=UTC
    )


def test_occurrences_until_the_limit_are_not_made_up_for_twice() -> None:
    cadence = cron("0 * * * *")
    assert cadence.latest_until(NOW, after=NOW - timedelta(seconds=1)) == NOW
    assert cadence.latest_until(NOW, after=NOW) is None
    assert cron("0 12 * * *").latest_until(NOW, after=NOW) is None


def test_a_fraction_of_a_second_does_not_repeat_an_occurrence() -> None:
    cadence = cron("* * * * * *")
    instant = NOW + timedelta(microseconds=250_000)
    assert cadence.next_after(instant) == NOW + timedelta(seconds=1)
    assert cadence.latest_until(instant, after=NOW - timedelta(days=1)) == NOW


def test_a_naive_instant_is_refused() -> None:
    with pytest.raises(TypeError):
        cron("@daily").next_after(NOW.replace(tzinfo=None))


def test_the_stored_text_loads_as_an_equal_cadence() -> None:
    typed = cron("  0 9  * jan-mar  mon,5l ", timezone="Europe/Berlin")
    assert (typed.type, typed.expr) == (ScheduleType.CRON, "0 9 * JAN-MAR MON,5L")
    assert load_cadence("cron", typed.expr, timezone="Europe/Berlin", anchor=NOW) == typed


@pytest.mark.parametrize(
    "expr, words",
    [
        ("0 9 * * 1-5", "at 09:00, Monday to Friday"),
        ("30 9,17 * * SAT,7", "at 09:30 and 17:30, Saturday and Sunday"),
        ("15 30 9 * * *", "at 09:30:15"),
        ("* * * * *", "every minute"),
        ("*/5 * * * *", "every 5 minutes"),
        ("*/10 * * * * *", "every 10 seconds"),
        ("@hourly", "every hour"),
        ("0 */2 * * *", "every 2 hours"),
        ("30 * * * *", "at minute 30 in every hour"),
        ("*/15 9-17 * * MON-FRI", "every 15 minutes in hours 9 to 17, Monday to Friday"),
        ("5 */5 * * * *", "at second 5 in every 5th minute in every hour"),
        ("*/25 * * * *", "at minutes 0, 25 and 50 in every hour"),
        ("0 0-23 * * *", "at minute 0 in hours 0 to 23"),
        ("* */2 * * *", "every minute in every 2nd hour"),
        ("0 0 1 * *", "at 00:00, on day 1 of the month"),
        ("0 0 1,15,L * *", "at 00:00, on days 1 and 15 and the last day of the month"),
        ("0 0 20-L * *", "at 00:00, on days 20 to the last of the month"),
        ("0 0 13 * 5", "at 00:00, on day 13 of the month or Friday"),
        ("0 0 */15 * 5", "at 00:00, on days 1, 16 and 31 of the month if it is Friday"),
        ("0 0 * * 5#2,MONL", "at 00:00, the second Friday and the last Monday of the month"),
        ("0 0 1 1,JUN-AUG *", "at 00:00, on day 1 of the month, in January and June to August"),
    ],
)
def test_the_rule_in_words(expr: str, words: str) -> None:
    assert cron(expr, timezone="Europe/Berlin").describe() == f"{words} (Europe/Berlin)"


@pytest.mark.parametrize(
    "zone, start, expr, runs",
    [
        # One hour is left out: the nominal times in it are one occurrence, at its end.
        ("Europe/Berlin", "2026-03-28T12:00", "30 2 * * *", ["29 03:00+0200", "30 02:30+0200"]),
        ("Europe/Berlin", "2026-03-29T01:00", "*/20 2,3 * * *", ["29 03:00+0200", "29 03:20+0200"]),
        # One hour is shown twice: the first pass counts.
        ("Europe/Berlin", "2026-10-24T12:00", "30 2 * * *", ["25 02:30+0200", "26 02:30+0100"]),
        # Half an hour of shift.
        (
            "Australia/Lord_Howe",
            "2026-10-04T00:00",
            "15 2 * * *",
            ["04 02:30+1100", "05 02:15+1100"],
        ),
        (
            "Australia/Lord_Howe",
            "2026-04-05T00:00",
            "45 1 * * *",
            ["05 01:45+1100", "06 01:45+1030"],
        ),
        # Midnight is left out.
        ("Africa/Cairo", "2026-04-23T12:00", "0 0 * * *", ["24 01:00+0300", "25 00:00+0300"]),
        ("Asia/Beirut", "2026-03-28T12:00", "@daily", ["29 01:00+0300", "30 00:00+0300"]),
        ("America/Sao_Paulo", "2018-11-03T12:00", "@daily", ["04 01:00-0200", "05 00:00-0200"]),
        # Midnight is shown twice: 24:00 becomes 23:00.
        (
            "America/Sao_Paulo",
            "2018-02-17T12:00",
            "30 23 * * *",
            ["17 23:30-0200", "18 23:30-0300"],
        ),
        # A whole day is left out; what was due on it occurs when it would have ended.
        ("Pacific/Apia", "2011-12-29T13:00", "0 12 * * *", ["31 00:00+1400", "31 12:00+1400"]),
        ("Pacific/Apia", "2011-12-29T13:00", "0 9,12 30 * *", ["31 00:00+1400", "30 09:00+1400"]),
        # New standard offsets, without daylight saving.
        ("Asia/Pyongyang", "2018-05-04T12:00", "45 23 * * *", ["05 00:00+0900", "05 23:45+0900"]),
        ("Asia/Pyongyang", "2015-08-14T12:00", "45 23 * * *", ["14 23:45+0900", "15 23:45+0830"]),
    ],
)
def test_a_fixed_hour_follows_the_wall_clock(
    zone: str, start: str, expr: str, runs: list[str]
) -> None:
    assert local_runs(expr, zone=zone, start=start, count=2) == runs


@pytest.mark.parametrize(
    "zone, start, expr, runs",
    [
        ("Europe/Berlin", "2026-03-29T01:15", "30 * * * *", ["29 01:30+0100", "29 03:30+0200"]),
        ("Europe/Berlin", "2026-03-29T01:15", "0 */2 * * *", ["29 04:00+0200", "29 06:00+0200"]),
        ("Europe/Berlin", "2026-10-25T02:15", "30 * * * *", ["25 02:30+0200", "25 02:30+0100"]),
        ("Europe/Berlin", "2026-10-25T00:15", "0 */2 * * *", ["25 02:00+0200", "25 02:00+0100"]),
        (
            "Australia/Lord_Howe",
            "2026-10-04T01:50",
            "*/20 * * * *",
            ["04 02:40+1100", "04 03:00+1100"],
        ),
        (
            "Australia/Lord_Howe",
            "2026-04-05T01:35",
            "*/20 * * * *",
            ["05 01:40+1100", "05 01:40+1030"],
        ),
        # The last hours of a month are shown twice.
        ("Antarctica/Rothera", "1976-11-30T23:30", "0 * L * *", ["30 21:00-0300", "30 22:00-0300"]),
        # Nearly a whole day is shown twice.
        (
            "Pacific/Kwajalein",
            "1969-09-30T12:30",
            "0 */12 30 9 *",
            ["30 12:00-1200", "30 00:00-1200"],
        ),
        ("Pacific/Apia", "2011-12-29T23:50", "0 */6 * * *", ["31 00:00+1400", "31 06:00+1400"]),
        ("Pacific/Apia", "2011-12-29T23:50", "0 * 30 * *", ["30 00:00+1400", "30 01:00+1400"]),
    ],
)
def test_a_free_hour_follows_elapsed_time(
    zone: str, start: str, expr: str, runs: list[str]
) -> None:
    assert local_runs(expr, zone=zone, start=start, count=2) == runs
