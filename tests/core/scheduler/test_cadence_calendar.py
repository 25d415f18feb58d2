"""Calendar rules: every so many days, weeks or months at times of the day."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from automagik.core.scheduler.cadence import (
    Cadence,
    ScheduleType,
    load_cadence,
    parse_cadence,
    upcoming,
)
from automagik.core.scheduler.exceptions import InvalidCadence

NOW = datetime(2026, 11, 20, 14, 37, 22, tzinfo=UTC)  # a Friday
DAY = timedelta(days=1)
WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


def calendar(expr: str, *, timezone: str = "Europe/Berlin", now: datetime = NOW) -> Cadence:
    return parse_cadence("calendar", expr, timezone=timezone, now=now)


@pytest.mark.parametrize(
    "text, expr, words",
    [
        ("every 3 days at 09:00", "every 3 days at 09:00", "every 3 days at 09:00"),
        ("Every 1 day  at 9:00:30", "every day at 09:00:30", "every day at 09:00:30"),
        (
            "every 2 weeks on thursday, Mon at 17:30,8:00",
            "every 2 weeks on mon,thu at 08:00,17:30",
            "every 2 weeks on Monday and Thursday at 08:00 and 17:30",
        ),
        (
            "every month on last,15,1 at 06:00",
            "every month on 1,15,last at 06:00",
            "every month on day 1, day 15 and the last day at 06:00",
        ),
    ],
)
def test_what_can_be_written(text: str, expr: str, words: str) -> None:
    cadence = calendar(text)
    assert (cadence.type, cadence.expr) == (ScheduleType.CALENDAR, expr)
    assert cadence.describe() == f"{words} (Europe/Berlin)"
    assert load_cadence("calendar", expr, timezone="Europe/Berlin", anchor=NOW) == cadence


@pytest.mark.parametrize(
    "expr, expected",
    [
        ("every 3 days at 09:00", ["23 09:00", "26 09:00", "29 09:00"]),
        ("every 3 days at 16:00", ["20 16:00", "23 16:00", "26 16:00"]),
        ("every day at 15:37,15:38", ["20 15:38", "21 15:37", "21 15:38"]),
        ("every 2 weeks on mon,sun at 08:00", ["22 08:00", "30 08:00", "06 08:00"]),
        ("every 2 months on 15,31 at 00:00", ["15 00:00", "31 00:00", "15 00:00"]),
        ("every month on last at 00:00", ["30 00:00", "31 00:00", "31 00:00"]),
    ],
)
def test_counted_from_the_day_week_or_month_it_was_made_in(expr: str, expected: list[str]) -> None:
    berlin = ZoneInfo("Europe/Berlin")
    runs = upcoming(calendar(expr), after=NOW, count=3)
    assert [run.astimezone(berlin).strftime("%d %H:%M") for run in runs] == expected


def test_the_day_is_that_of_the_zone() -> None:
    evening = datetime(2026, 11, 20, 23, 30, tzinfo=UTC)
    cadence = calendar("every 2 days at 12:00", timezone="Asia/Tokyo", now=evening)
    assert cadence.next_after(evening) == datetime(2026, 11, 21, 3, tzinfo=UTC)


def test_nothing_occurs_before_it_was_made() -> None:
    cadence = calendar("every day at 09:00,16:00")
    assert cadence.latest_until(NOW, after=NOW - 10 * DAY) is None
    assert cadence.next_after(NOW - 10 * DAY) == cadence.next_after(NOW)


def test_the_wall_clock_stays_over_a_clock_change() -> None:
    cadence = calendar("every 100 days at 09:00", now=datetime(2026, 1, 1, tzinfo=UTC))
    runs = upcoming(cadence, after=datetime(2026, 1, 2, tzinfo=UTC), count=2)
    assert [run.hour for run in runs] == [7, 7]
    assert cadence.next_after(datetime(2026, 1, 1, tzinfo=UTC)) == datetime(
        2026, 1, 1, 8, tzinfo=UTC
    )


@pytest.mark.parametrize(
    "expr, reason",
    [
        ("every 5 minutes", "it reads: every"),
        ("3 days at 09:00", "it reads: every"),
        ("every 3 days", "it reads: every"),
        ("every 0 days at 09:00", "N is 1 to 1000"),
        ("every 1001 days at 09:00", "N is 1 to 1000"),
        ("every 2 days on mon at 09:00", "days have no on"),
        ("every 2 weeks at 09:00", "weeks say on which weekdays"),
        ("every month at 09:00", "months on which days"),
        ("every week on mo at 09:00", "'mo' is no weekday"),
        ("every week on month at 09:00", "'month' is no weekday"),
        ("every month on 32 at 09:00", "'32' is no day of the month"),
        ("every month on mon at 09:00", "'mon' is no day of the month"),
        ("every day at 24:00", "'24:00' is no time of the day"),
        ("every day at 9", "'9' is no time of the day"),
        ("every day at 09:00,", "'' is no time of the day"),
        ("", "is empty"),
    ],
)
def test_what_is_refused(expr: str, reason: str) -> None:
    with pytest.raises(InvalidCadence, match=reason) as caught:
        calendar(expr)
    assert "every 2 weeks on mon" in str(caught.value.hint)


def test_a_day_that_never_comes_is_no_endless_search() -> None:
    """Every 12 months from a February: never a 30th."""
    february = datetime(2026, 2, 3, tzinfo=UTC)
    cadence = calendar("every 12 months on 30 at 09:00", now=february)
    assert cadence.next_after(february) is None


def counted(unit: str, interval: int, days: set[int], *, first: date) -> Iterator[date]:
    """The oracle: day by day."""
    monday = first - first.weekday() * DAY
    for n in range(1500):
        day = first + n * DAY
        month = (day.year - first.year) * 12 + day.month - first.month
        is_last = (day + DAY).day == 1
        match unit:
            case "day":
                found = n % interval == 0
            case "week":
                found = (day - monday).days // 7 % interval == 0 and day.weekday() in days
            case _:
                found = month % interval == 0 and (day.day in days or (is_last and -1 in days))
        if found:
            yield day


@settings(deadline=None, max_examples=100)
@given(
    unit=st.sampled_from(["day", "week", "month"]),
    interval=st.integers(1, 40),
    data=st.data(),
    now=st.integers(0, 20 * 365 * 86_400),
    times=st.sets(st.times().map(lambda at: at.replace(microsecond=0)), min_size=1, max_size=3),
)
def test_occurrences_are_those_of_counting_day_by_day(
    unit: str, interval: int, data: st.DataObject, now: int, times: set[time]
) -> None:
    anchor = datetime(2015, 1, 1, tzinfo=UTC) + timedelta(seconds=now)
    choices = {
        "day": st.just(0),
        "week": st.integers(0, 6),
        "month": st.sampled_from([*range(1, 32), -1]),
    }
    days = data.draw(st.sets(choices[unit], min_size=1, max_size=4))
    names = {"day": "", "week": ",".join(WEEKDAYS[day] for day in days if unit == "week")}
    names["month"] = ",".join("last" if day == -1 else str(day) for day in days)
    on = f" on {names[unit]}" if names[unit] else ""
    text = f"every {interval} {unit}s{on} at {','.join(map(str, times))}"
    cadence = load_cadence("calendar", text, timezone="UTC", anchor=anchor)
    expected = [
        instant
        for day in counted(unit, interval, days, first=anchor.date())
        for at in sorted(times)
        if (instant := datetime.combine(day, at, tzinfo=UTC)) >= anchor
    ][:30]
    assert upcoming(cadence, after=anchor - timedelta(seconds=1), count=len(expected)) == expected
    for earlier, later in zip([anchor - timedelta(seconds=1), *expected], expected, strict=False):
        assert cadence.latest_until(later, after=earlier) == later
