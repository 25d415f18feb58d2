"""The dates of a recurrence, a calendar year at a time.

dateutil knows which days of a year the BYxxx parts name. It is asked for one year at once, with
FREQ=YEARLY: of itself it walks from DTSTART on, however far away, and to the year 9999 when nothing
matches. FREQ, INTERVAL and BYSETPOS, which are about periods, are applied here. Years with the same
layout are asked for once.
"""

from bisect import bisect_left, bisect_right
from calendar import isleap
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from enum import Enum
from functools import cache, lru_cache
from itertools import groupby

from automagik.core.scheduler.timetable import LAST_DATE

_LONGEST_SEARCH = 400
"""Years. The calendar repeats itself then: what has not matched so far counts as never."""
_ALL_MONTHS = tuple(range(1, 13))
_ALL_DAYS = tuple(range(1, 32))


class Every(Enum):
    YEAR = "year"
    MONTH = "month"
    WEEK = "week"
    DAY = "day"


@dataclass(frozen=True, kw_only=True, slots=True)
class DayFilter:
    """What the BYxxx parts say about days; empty: nothing."""

    week_start: int = 0
    """Weekdays count from Monday, 0."""
    months: tuple[int, ...] = ()
    week_numbers: tuple[int, ...] = ()
    year_days: tuple[int, ...] = ()
    month_days: tuple[int, ...] = ()
    weekdays: tuple[tuple[int, int], ...] = ()
    """(weekday, n): the n-th of the month or year, from its end when negative; 0: all of them."""
    counts_in_month: bool = False
    """That n: it counts in the month; else in the year, when no months are named."""

    @property
    def names_days(self) -> bool:
        return bool(self.week_numbers or self.year_days or self.month_days or self.weekdays)


@dataclass(frozen=True, kw_only=True, slots=True)
class RecurrenceDates:
    """None before `first`, which also says where periods are counted from."""

    every: Every
    interval: int
    first: date
    days: DayFilter
    positions: tuple[int, ...] = ()
    """Of the days in one period only those, from its end when negative."""

    def first_from(self, day: date) -> date | None:
        day = max(day, self.first)
        for year in range(day.year, min(day.year + _LONGEST_SEARCH + 1, LAST_DATE.year)):
            dates = self._in_year(year)
            place = bisect_left(dates, day)
            if place < len(dates):
                return dates[place]
        return None

    def last_until(self, day: date) -> date | None:
        earliest = max(self.first.year, day.year - _LONGEST_SEARCH)
        for year in range(min(day.year, LAST_DATE.year - 1), earliest - 1, -1):
            dates = self._in_year(year)
            place = bisect_right(dates, day)
            if place:
                return dates[place - 1]
        return None

    def period_of(self, day: date) -> int:
        """How many periods after that of `first`."""
        match self.every:
            case Every.YEAR:
                return day.year - self.first.year
            case Every.MONTH:
                return (day.year - self.first.year) * 12 + day.month - self.first.month
            case Every.WEEK:
                into_week = (self.first.weekday() - self.days.week_start) % 7
                return ((day - self.first).days + into_week) // 7
            case Every.DAY:
                return (day - self.first).days

    def _in_year(self, year: int) -> tuple[date, ...]:
        if self.every is Every.YEAR and (year - self.first.year) % self.interval:
            return ()
        return _in_year(self, year)


@lru_cache(maxsize=1024)
def _in_year(rule: RecurrenceDates, year: int) -> tuple[date, ...]:
    days: Iterable[date] = _named(rule.days, year)
    if rule.interval > 1:
        days = (day for day in days if rule.period_of(day) % rule.interval == 0)
    if rule.positions:
        days = _by_position(rule, year)
    return tuple(day for day in days if day >= rule.first)


def _by_position(rule: RecurrenceDates, year: int) -> Iterator[date]:
    """Weeks may reach into the year from the one before, and beyond it."""
    near = (*_named(rule.days, year - 1)[-7:], *_named(rule.days, year))
    for period, group in groupby((*near, *_named(rule.days, year + 1)[:7]), key=rule.period_of):
        if period % rule.interval == 0:
            # As in dateutil the very first week is counted from DTSTART on.
            days = [day for day in group if rule.every is not Every.WEEK or day >= rule.first]
            yield from (day for day in _picked(days, rule.positions) if day.year == year)


def _picked(days: Sequence[date], positions: Iterable[int]) -> list[date]:
    size = len(days)
    places = {position - 1 if position > 0 else size + position for position in positions}
    return [days[place] for place in sorted(places) if 0 <= place < size]


def _named(days: DayFilter, year: int) -> list[date]:
    new_year = date(year, 1, 1)
    return [new_year + timedelta(days=day) for day in _days_of_year(days, _layout(year))]


def _layout(year: int) -> int:
    """A year with the same weekdays, the same length and as long a year before."""
    return _layouts()[_layout_key(year)]


@cache
def _layouts() -> dict[tuple[int, bool, bool], int]:
    return {_layout_key(year): year for year in range(2000, 2400)}


def _layout_key(year: int) -> tuple[int, bool, bool]:
    return date(year, 1, 1).weekday(), isleap(year), isleap(year - 1)


@lru_cache(maxsize=16_384)
def _days_of_year(days: DayFilter, year: int) -> tuple[int, ...]:
    """Rising, from 0."""
    # Late, because only few schedules need it.
    from dateutil.rrule import YEARLY, rrule, weekday

    new_year = datetime(year, 1, 1)  # noqa: DTZ001 - naive like all walls
    found = rrule(
        YEARLY,
        dtstart=new_year,
        # There is no second year for it to go on to.
        interval=LAST_DATE.year,
        wkst=days.week_start,
        bymonth=days.months or (_ALL_MONTHS if days.counts_in_month else None),
        byweekno=days.week_numbers or None,
        byyearday=days.year_days or None,
        bymonthday=days.month_days or (None if days.names_days else _ALL_DAYS),
        byweekday=[weekday(day, n or None) for day, n in days.weekdays] or None,
    )
    return tuple((one - new_year).days for one in found)
