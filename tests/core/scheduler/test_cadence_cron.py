"""Cron: the dialect, the refusals, the words, the limits."""

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

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)  # a Friday


def cron(expr: str, *, timezone: str = "UTC") -> Cadence:
    return parse_cadence("cron", expr, timezone=timezone, now=NOW)


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
        ("0 0 28W * *", ["27 00:00:00", "28 00:00:00"]),
        ("0 0 LW * *", ["30 00:00:00", "31 00:00:00"]),
        ("0 0 L-3 * *", ["27 00:00:00", "28 00:00:00"]),
        ("0 0 l-2w * *", ["27 00:00:00", "29 00:00:00"]),
        ("0 0 22W,24,LW * *", ["23 00:00:00", "24 00:00:00"]),
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
        ("0 0 32W * *", "day of month field cannot be '32W': 32 is out of range"),
        ("0 0 1-5W * *", "day of month field cannot be '1-5W'"),
        ("0 0 W * *", "day of month field cannot be 'W'"),
        ("0 0 * * 5W", "day of week field cannot be '5W'"),
        ("0 0 L-31 * *", "at most 30 days before the last"),
        ("0 0 31W 2,4,6 *", "no date ever matches"),
        ("0 0 L, * *", "day of month field cannot be ''"),
        ("1,,2 * * * *", "minute field cannot be ''"),
        ("-1 * * * *", "minute field cannot be '-1'"),
        ("*-5 * * * *", r"minute field cannot be '\*-5'"),
        ("H(30-60) * * * *", "minute field cannot be 'H.30-60.': 60 is out of range"),
        ("H(9-5) * * * *", "the range of H rises"),
        ("H(0-9)/20 * * * *", "a step here is 1 to 10"),
        ("H/90 * * * *", "a step here is 1 to 60"),
        ("H+5 * * * *", "minute field cannot be 'H.5'"),
        ("@every", "there is no '@every'"),
        ("CRON_TZ=UTC @every 5m", "there is no '@every 5m'"),
        ("CRON_TZ=UTC", "0 fields instead of 5"),
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


def test_a_refusal_names_the_field_what_it_takes_and_an_example() -> None:
    with pytest.raises(InvalidCadence) as caught:
        cron("0 9 15Q * *")
    assert "day of month field cannot be '15Q': it takes 1-31" in str(caught.value)
    assert "15W for the weekday (Monday to Friday) nearest to day 15" in str(caught.value)
    assert "0 9 1,15 * *" in str(caught.value.hint)


def test_its_own_zone_beats_the_schedules() -> None:
    cadence = cron(" cron_tz=America/New_York  0 9 * * mon-fri", timezone="Europe/Berlin")
    assert cadence.expr == "CRON_TZ=America/New_York 0 9 * * MON-FRI"
    assert cadence.describe() == "at 09:00, Monday to Friday (America/New_York)"
    assert cadence.next_after(NOW) == datetime(2026, 11, 20, 14, tzinfo=UTC)
    assert load_cadence("cron", cadence.expr, timezone="Asia/Tokyo", anchor=NOW) == cadence


@pytest.mark.parametrize("zone", ["", "Europe/Berlim"])
def test_its_own_zone_exists(zone: str) -> None:
    with pytest.raises(InvalidCadence, match="is no IANA time zone"):
        cron(f"CRON_TZ={zone} @daily")


def test_at_every_is_an_interval() -> None:
    cadence = cron(" @Every  90s ")
    assert (cadence.type, cadence.expr) == (ScheduleType.INTERVAL, "1m30s")
    assert cadence.next_after(NOW) == NOW + timedelta(seconds=90)


def test_at_every_is_refused_like_an_interval() -> None:
    with pytest.raises(InvalidCadence, match="did you mean 5m or 5s"):
        cron("@every 5")


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
        (
            "0 0 1,15W,LW * *",
            "at 00:00, on day 1, the weekday nearest to day 15 and the last weekday of the month",
        ),
        ("0 0 L-1 * *", "at 00:00, on the 1st day before the last of the month"),
        (
            "0 0 L-3W * *",
            "at 00:00, on the weekday nearest to the 3rd day before the last of the month",
        ),
        ("0 0 13 * 5", "at 00:00, on day 13 of the month or Friday"),
        ("0 0 */15 * 5", "at 00:00, on days 1, 16 and 31 of the month if it is Friday"),
        ("0 0 * * 5#2,MONL", "at 00:00, the second Friday and the last Monday of the month"),
        ("0 0 1 1,JUN-AUG *", "at 00:00, on day 1 of the month, in January and June to August"),
    ],
)
def test_the_rule_in_words(expr: str, words: str) -> None:
    assert cron(expr, timezone="Europe/Berlin").describe() == f"{words} (Europe/Berlin)"
