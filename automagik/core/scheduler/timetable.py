"""Dates and times of day on the naive calendar: no zones here."""

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from math import prod
from typing import Generic, Protocol, TypeVar

FIRST_DATE = date(1, 2, 1)
LAST_DATE = date(9999, 12, 1)
"""Where searches end: a little inside what Python can express in every zone."""

_DAY = timedelta(days=1)


class Dates(Protocol):
    """Some days of the calendar."""

    def first_from(self, day: date, /) -> date | None:
        """The first of them that is no earlier than the day."""
        ...

    def last_until(self, day: date, /) -> date | None:
        """The last of them that is no later than the day."""
        ...


DatesT = TypeVar("DatesT", bound=Dates)


@dataclass(frozen=True, kw_only=True, slots=True)
class Timetable(Generic[DatesT]):
    """The dates, and the times of each of them as sorted values per unit."""

    dates: DatesT
    hours: tuple[int, ...]
    minutes: tuple[int, ...]
    seconds: tuple[int, ...]

    def first_from(self, wall: datetime) -> datetime | None:
        """The first matching wall time at or after this one."""
        day = self.dates.first_from(wall.date())
        if day == wall.date():
            found = _at_or_after(self._units, (wall.hour, wall.minute, wall.second))
            if found:
                return _combine(day, found)
            day = self.dates.first_from(day + _DAY)
        return _combine(day, [unit[0] for unit in self._units]) if day else None

    def last_until(self, wall: datetime) -> datetime | None:
        """The last matching wall time at or before this one."""
        day = self.dates.last_until(wall.date())
        if day == wall.date():
            found = _at_or_before(self._units, (wall.hour, wall.minute, wall.second))
            if found:
                return _combine(day, found)
            day = self.dates.last_until(day - _DAY)
        return _combine(day, [unit[-1] for unit in self._units]) if day else None

    @property
    def times_a_day(self) -> int:
        return prod(map(len, self._units))

    @property
    def _units(self) -> tuple[tuple[int, ...], ...]:
        return self.hours, self.minutes, self.seconds


def _combine(day: date, units: Sequence[int]) -> datetime:
    hour, minute, second = units
    return datetime.combine(day, time(hour, minute, second))


def _at_or_after(
    units: Sequence[tuple[int, ...]], limit: tuple[int, ...]
) -> tuple[int, ...] | None:
    """The smallest combination of one value per unit that is not below the limit."""
    if not units:
        return ()
    values, place = units[0], bisect_left(units[0], limit[0])
    if place < len(values) and values[place] == limit[0]:
        rest = _at_or_after(units[1:], limit[1:])
        if rest is not None:
            return (limit[0], *rest)
        place += 1
    return (values[place], *(unit[0] for unit in units[1:])) if place < len(values) else None


def _at_or_before(
    units: Sequence[tuple[int, ...]], limit: tuple[int, ...]
) -> tuple[int, ...] | None:
    """The largest combination of one value per unit that is not above the limit."""
    if not units:
        return ()
    values, place = units[0], bisect_right(units[0], limit[0]) - 1
    if place >= 0 and values[place] == limit[0]:
        rest = _at_or_before(units[1:], limit[1:])
        if rest is not None:
            return (limit[0], *rest)
        place -= 1
    return (values[place], *(unit[-1] for unit in units[1:])) if place >= 0 else None
