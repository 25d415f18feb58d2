"""The dates of a cron rule. A month has 28 layouts: four lengths, seven weekdays to begin with."""

from calendar import monthrange
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from functools import lru_cache

from automagik.core.scheduler.timetable import FIRST_DATE, LAST_DATE


@dataclass(frozen=True, kw_only=True, slots=True)
class Days:
    """The dates of a rule. Weekdays count from Sunday, 0, to Saturday, 6."""

    months: frozenset[int]
    days: frozenset[int]
    """-1 is the last day of the month, -2 the one before it."""
    nearest: frozenset[int]
    """The same, but each stands for the Monday to Friday that is nearest to it in its month."""
    weekdays: frozenset[int]
    nth_weekdays: frozenset[tuple[int, int]]
    """(weekday, n): the n-th such weekday of the month."""
    last_weekdays: frozenset[int]
    either: bool
    """Day of month or day of week is enough; else both must match."""

    def first_from(self, day: date, *, end: date = LAST_DATE) -> date | None:
        """The first matching date in [day, end)."""
        year, month, low = day.year, day.month, day.day
        while (year, month) <= (end.year, end.month):
            for found in self._in_month(year, month):
                if found >= low:
                    first = date(year, month, found)
                    return first if first < end else None
            year, month, low = (year, month + 1, 1) if month < 12 else (year + 1, 1, 1)
        return None

    def last_until(self, day: date) -> date | None:
        year, month, high = day.year, day.month, day.day
        while year >= FIRST_DATE.year:
            for found in reversed(self._in_month(year, month)):
                if found <= high:
                    last = date(year, month, found)
                    return last if last > FIRST_DATE else None
            year, month, high = (year, month - 1, 31) if month > 1 else (year - 1, 12, 31)
        return None

    def _in_month(self, year: int, month: int) -> tuple[int, ...]:
        if month not in self.months:
            return ()
        first, length = monthrange(year, month)
        return _in_month(self, (first + 1) % 7, length)


@lru_cache(maxsize=16_384)
def _in_month(rule: Days, first: int, length: int) -> tuple[int, ...]:
    """The days, rising, in a month that begins on the weekday `first`."""
    by_number = _numbered(rule.days, length) | {
        _nearest(day, first, length) for day in _numbered(rule.nearest, length)
    }
    by_weekday = {day for day in range(1, length + 1) if _has_weekday(rule, day, first, length)}
    return tuple(sorted(by_number | by_weekday if rule.either else by_number & by_weekday))


def _numbered(days: Iterable[int], length: int) -> set[int]:
    """Those that the month has, counted from its beginning."""
    counted = {day if day > 0 else length + 1 + day for day in days}
    return {day for day in counted if 1 <= day <= length}


def _has_weekday(rule: Days, day: int, first: int, length: int) -> bool:
    weekday = _weekday(day, first)
    return (
        weekday in rule.weekdays
        or (weekday, (day + 6) // 7) in rule.nth_weekdays
        or (weekday in rule.last_weekdays and day + 7 > length)
    )


def _nearest(day: int, first: int, length: int) -> int:
    """The Monday to Friday nearest to the day; the month is never left."""
    match _weekday(day, first):
        case 6:
            return day - 1 if day > 1 else day + 2
        case 0:
            return day + 1 if day < length else day - 2
    return day


def _weekday(day: int, first: int) -> int:
    return (first + day - 1) % 7
