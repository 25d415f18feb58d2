"""`L`, `W` and `#` by the rules that Quartz documents for its cron triggers.

Quartz counts weekdays from Sunday, 1; here Sunday is 0, as in every other cron. So its `6L` and
`6#3` are `5L` and `5#3` here. Its `L-3` is three days before the last day of the month.
"""

from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta

import pytest
from croniter import croniter
from hypothesis import given, settings
from hypothesis import strategies as st

from automagik.core.scheduler.cadence import load_cadence

DAY = timedelta(days=1)
YEARS = 28
"""After so many years the weekdays of all dates come back, in the centuries around here."""


def days_by_us(day: str, weekday: str = "*", *, start: date, end: date) -> list[date]:
    cadence = load_cadence("cron", f"0 0 {day} * {weekday}", timezone="UTC", anchor=at(start))
    found = []
    instant = cadence.next_after(at(start) - timedelta(seconds=1))
    while instant is not None and instant.date() < end:
        found.append(instant.date())
        instant = cadence.next_after(instant)
    return found


def at(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=UTC)


def months(start: int, end: int) -> Iterator[tuple[date, date]]:
    """The first and the last day of each month of those years."""
    for year in range(start, end):
        for month in range(1, 13):
            following = date(year + month // 12, month % 12 + 1, 1)
            yield date(year, month, 1), following - DAY


def nearest(day: date) -> date:
    """By looking at the days around it: those of its month only, the nearer before the farther."""
    around = [day + offset * DAY for offset in (0, -1, 1, -2, 2)]
    return next(one for one in around if one.month == day.month and one.weekday() < 5)


@pytest.mark.parametrize(
    "day, weekday, month, expected",
    [
        ("15W", "*", (2026, 8), 14),  # a Saturday: the Friday before
        ("15W", "*", (2026, 11), 16),  # a Sunday: the Monday after
        ("15W", "*", (2026, 9), 15),  # a Tuesday: itself
        ("1W", "*", (2026, 8), 3),  # a Saturday that begins the month: it is not left
        ("31W", "*", (2026, 5), 29),  # a Sunday that ends the month
        ("L", "*", (2027, 2), 28),
        ("L", "*", (2028, 2), 29),
        ("LW", "*", (2026, 1), 30),
        ("L-3", "*", (2026, 10), 28),
        ("L-1W", "*", (2010, 10), 29),
        ("*", "5L", (2026, 11), 27),  # 6L in Quartz: the last Friday
        ("*", "FRIL", (2026, 11), 27),
        ("*", "5#3", (2026, 11), 20),  # 6#3: the third Friday
        ("*", "1#1", (2026, 11), 2),  # 2#1: the first Monday
    ],
)
def test_the_documented_examples(
    day: str, weekday: str, month: tuple[int, int], expected: int
) -> None:
    first = date(*month, 1)
    found = days_by_us(day, weekday, start=first, end=(first + 31 * DAY).replace(day=1))
    assert found == [first.replace(day=expected)]


def test_no_fifth_weekday_no_occurrence() -> None:
    """`4#5` in Quartz: the fifth Wednesday, in months that have one."""
    found = days_by_us("*", "3#5", start=date(2026, 1, 1), end=date(2027, 1, 1))
    assert [day.month for day in found] == [4, 7, 9, 12]
    assert all(day.weekday() == 2 and day.day > 28 for day in found)


RULES: dict[str, Callable[[date, date], date]] = {
    "L": lambda _, last: last,
    "LW": lambda _, last: (
        nearest(last) if last.weekday() < 5 else last - (last.weekday() - 4) * DAY
    ),
    "L-3": lambda _, last: last - 3 * DAY,
    "L-27": lambda _, last: last - 27 * DAY,
    "L-3W": lambda _, last: nearest(last - 3 * DAY),
    "1W": lambda first, _: nearest(first),
    "15W": lambda first, _: nearest(first.replace(day=15)),
    "28W": lambda first, _: nearest(first.replace(day=28)),
}


@pytest.mark.parametrize("text", RULES)
def test_every_month_has_the_day_that_looking_at_its_days_finds(text: str) -> None:
    expected = [RULES[text](first, last) for first, last in months(2000, 2000 + YEARS)]
    assert days_by_us(text, start=date(2000, 1, 1), end=date(2000 + YEARS, 1, 1)) == expected


@pytest.mark.parametrize("text, length", [("29W", 29), ("30W", 30), ("31W", 31), ("L-28", 29)])
def test_months_without_the_day_are_left_out(text: str, length: int) -> None:
    """As with a plain 31."""
    found = days_by_us(text, start=date(2000, 1, 1), end=date(2000 + YEARS, 1, 1))
    expected = [first for first, last in months(2000, 2000 + YEARS) if last.day >= length]
    assert [day.replace(day=1) for day in found] == expected


@settings(deadline=None, max_examples=60)
@given(
    day=st.integers(1, 28),
    month=st.sampled_from(["*", "2", "JAN-MAR", "*/3", "4,6,9,11"]),
    days=st.integers(-4 * 365, 60 * 365),
)
def test_croniter_agrees_on_w(day: int, month: str, days: int) -> None:
    """But for 29W to 31W, for which it takes the last weekday of shorter months."""
    text = f"30 6 {day}W {month} *"
    start = datetime(2000, 1, 1, tzinfo=UTC) + days * DAY
    cadence = load_cadence("cron", text, timezone="UTC", anchor=start)
    theirs = croniter(text, start)
    ours = start
    for _ in range(12):
        found = cadence.next_after(ours)
        assert found is not None
        assert found == theirs.get_next(datetime)
        assert cadence.latest_until(found, after=ours) == found
        ours = found
