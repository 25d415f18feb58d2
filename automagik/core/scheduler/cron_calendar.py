"""What a cron rule matches, on the naive calendar: no zones here."""

from bisect import bisect_left, bisect_right
from calendar import monthrange
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta

FIRST_DATE = date(1, 2, 1)
LAST_DATE = date(9999, 12, 1)
"""Where searches end: a little inside what Python can express in every zone."""

_DAY = timedelta(days=1)


@dataclass(frozen=True, kw_only=True, slots=True)
class Days:
    """The dates of a rule. Weekdays count from Sunday, 0, to Saturday, 6."""

    months: frozenset[int]
    days: frozenset[int]
    last_day: bool
    weekdays: frozenset[int]
    nth_weekdays: frozenset[tuple[int, int]]
    """(weekday, n): the n-th such weekday of the month."""
    last_weekdays: frozenset[int]
    either: bool
    """Day of month or day of week is enough; else both must match."""

    def __contains__(self, day: date) -> bool:
        if day.month not in self.months:
            return False
        if self.either:
            return self._has_day_of_month(day) or self._has_day_of_week(day)
        return self._has_day_of_month(day) and self._has_day_of_week(day)

    def first_from(self, day: date, *, end: date = LAST_DATE) -> date | None:
        """The first matching date in [day, end)."""
        while day < end:
            if day in self:
                return day
            skip = day.month not in self.months
            day = (day.replace(day=28) + 4 * _DAY).replace(day=1) if skip else day + _DAY
        return None

    def last_until(self, day: date) -> date | None:
        while day > FIRST_DATE:
            if day in self:
                return day
            day = (day if day.month in self.months else day.replace(day=1)) - _DAY
        return None

    def _has_day_of_month(self, day: date) -> bool:
        return day.day in self.days or (self.last_day and _is_last_day(day))

    def _has_day_of_week(self, day: date) -> bool:
        weekday = day.isoweekday() % 7
        return (
            weekday in self.weekdays
            or (weekday, (day.day + 6) // 7) in self.nth_weekdays
            or (weekday in self.last_weekdays and (day + 7 * _DAY).month != day.month)
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Fields:
    """A whole rule: the dates, and the times of such a date as sorted values per unit."""

    days: Days
    hours: tuple[int, ...]
    minutes: tuple[int, ...]
    seconds: tuple[int, ...]

    def first_from(self, wall: datetime) -> datetime | None:
        """The first matching wall time at or after this one."""
        if wall.date() in self.days and wall.date() < LAST_DATE:
            found = _at_or_after(self._units, (wall.hour, wall.minute, wall.second))
            if found:
                return _combine(wall.date(), found)
        day = self.days.first_from(wall.date() + _DAY)
        return _combine(day, [unit[0] for unit in self._units]) if day else None

    def last_until(self, wall: datetime) -> datetime | None:
        """The last matching wall time at or before this one."""
        if wall.date() in self.days:
            found = _at_or_before(self._units, (wall.hour, wall.minute, wall.second))
            if found:
                return _combine(wall.date(), found)
        day = self.days.last_until(wall.date() - _DAY)
        return _combine(day, [unit[-1] for unit in self._units]) if day else None

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


def _is_last_day(day: date) -> bool:
    return day.day == monthrange(day.year, day.month)[1]
