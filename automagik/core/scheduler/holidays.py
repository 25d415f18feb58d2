"""Holidays: days of a calendar that skip what occurs, or move it to a business day."""

from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from enum import StrEnum
from functools import lru_cache
from zoneinfo import ZoneInfo

from automagik.core.scheduler.closure import Closed, Reason, closed_by_walls
from automagik.core.scheduler.zones import wall_at

_DAY = timedelta(days=1)
_SATURDAY = 5
_FURTHEST = 366
"""So many days from a holiday there must be a business day; else nothing moves."""


class OnHoliday(StrEnum):
    """What becomes of an occurrence on a holiday."""

    SKIP = "skip"
    NEXT_BUSINESS_DAY = "next-business-day"
    PREVIOUS_BUSINESS_DAY = "previous-business-day"


@dataclass(frozen=True, kw_only=True, slots=True)
class Holidays:
    """Business days are Monday to Friday but holidays; a weekend alone moves nothing."""

    calendar: str
    days: frozenset[date]
    on_holiday: OnHoliday
    zone: ZoneInfo

    @property
    def moves(self) -> bool:
        return self.on_holiday is not OnHoliday.SKIP

    def around(self, instant: datetime) -> Closed | None:
        day = wall_at(instant, self.zone).date()
        if day not in self.days:
            return None
        start, end = (datetime.combine(each, time()) for each in (day, day + _DAY))
        return closed_by_walls(Reason.HOLIDAY, instant, zone=self.zone, start=start, end=end)

    def business_days_from(self, day: date) -> Iterator[tuple[date, tuple[date, ...]]]:
        """Those that something moves to, and from where, ascending."""
        targets, sources = _moves(self.days, self.on_holiday)
        for place in range(bisect_left(targets, day), len(targets)):
            yield targets[place], sources[place]

    def business_days_until(self, day: date) -> Iterator[tuple[date, tuple[date, ...]]]:
        """The same backwards."""
        targets, sources = _moves(self.days, self.on_holiday)
        for place in range(bisect_right(targets, day) - 1, -1, -1):
            yield targets[place], sources[place]

    def describe(self) -> str:
        if not self.moves:
            return f"not on holidays of {self.calendar}"
        which = "next" if self.on_holiday is OnHoliday.NEXT_BUSINESS_DAY else "previous"
        return f"on holidays of {self.calendar} on the {which} business day instead"


@lru_cache(maxsize=256)
def _moves(
    days: frozenset[date], on_holiday: OnHoliday
) -> tuple[list[date], list[tuple[date, ...]]]:
    """Business days, ascending, and beside each the holidays that move to it."""
    step = _DAY if on_holiday is OnHoliday.NEXT_BUSINESS_DAY else -_DAY
    found: defaultdict[date, list[date]] = defaultdict(list)
    for day in sorted(days):
        target = _business_day(day, step, days)
        if target is not None:
            found[target].append(day)
    targets = sorted(found)
    return targets, [tuple(found[target]) for target in targets]


def _business_day(day: date, step: timedelta, days: frozenset[date]) -> date | None:
    for _ in range(_FURTHEST):
        day += step
        if day.weekday() < _SATURDAY and day not in days:
            return day
    return None
