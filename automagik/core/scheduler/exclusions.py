"""Exclusions: dates, ranges of dates, and minutes that a cron rule names; all in a zone."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from functools import lru_cache
from typing import Any, cast
from zoneinfo import ZoneInfo

from automagik.core.scheduler.closure import Closed, Closure, Reason, closed_by_walls
from automagik.core.scheduler.cron import parse_cron
from automagik.core.scheduler.exceptions import InvalidCadence
from automagik.core.scheduler.timetable import Timetable
from automagik.core.scheduler.zones import wall_at, zone_named

_DATE = r"[0-9]{4}-[0-9]{2}-[0-9]{2}"
_DATES = re.compile(rf"({_DATE})(?:\.\.({_DATE}))?")
_DAY = timedelta(days=1)
_MINUTE = timedelta(minutes=1)
_HOUR = timedelta(hours=1)
_ALL_MINUTES, _ALL_HOURS = 60, 24
_DAYS_AT_A_LEAP = 366
"""So many days in a row are looked at before the search goes on."""
_LAST_YEAR = 9000


@dataclass(frozen=True, kw_only=True, slots=True)
class ExcludedDays:
    """Whole days, both ends included."""

    first: date
    last: date
    zone: ZoneInfo

    def around(self, instant: datetime) -> Closed | None:
        if not self.first <= wall_at(instant, self.zone).date() <= self.last:
            return None
        start, end = (datetime.combine(day, time()) for day in (self.first, self.last + _DAY))
        return closed_by_walls(Reason.EXCLUDED, instant, zone=self.zone, start=start, end=end)

    def describe(self) -> str:
        return f"{self.first}" if self.first == self.last else f"{self.first} to {self.last}"


@dataclass(frozen=True, kw_only=True, slots=True)
class ExcludedMinutes:
    """Each minute in which a timetable has a time, from its beginning to its end."""

    timetable: Timetable[Any]
    zone: ZoneInfo
    words: str

    def around(self, instant: datetime) -> Closed | None:
        wall, table = wall_at(instant, self.zone), self.timetable
        is_in_it = wall.minute in table.minutes and wall.hour in table.hours
        if not is_in_it or not self._has(wall.date()):
            return None
        start, end = self._stretch(wall.replace(minute=0, second=0, microsecond=0), wall.minute)
        return closed_by_walls(Reason.EXCLUDED, instant, zone=self.zone, start=start, end=end)

    def describe(self) -> str:
        return self.words

    def _stretch(self, hour: datetime, minute: int) -> tuple[datetime, datetime]:
        """Minutes in a row, or hours where they are whole, or days."""
        table = self.timetable
        if len(table.minutes) < _ALL_MINUTES:
            first, last = _run(table.minutes, minute)
            return hour + first * _MINUTE, hour + (last + 1) * _MINUTE
        midnight = hour.replace(hour=0)
        if len(table.hours) < _ALL_HOURS:
            first, last = _run(table.hours, hour.hour)
            return midnight + first * _HOUR, midnight + (last + 1) * _HOUR
        return self._last_in_row(midnight, -_DAY), self._last_in_row(midnight, _DAY) + _DAY

    def _last_in_row(self, midnight: datetime, step: timedelta) -> datetime:
        for _ in range(_DAYS_AT_A_LEAP):
            if not self._has((midnight + step).date()):
                break
            midnight += step
        return midnight

    def _has(self, day: date) -> bool:
        return bool(self.timetable.dates.first_from(day) == day)


def _run(values: Sequence[int], value: int) -> tuple[int, int]:
    """The ends of the values in a row around this one."""
    first = last = value
    while first - 1 in values:
        first -= 1
    while last + 1 in values:
        last += 1
    return first, last


@lru_cache(maxsize=1024)
def parse_exclusion(text: str, *, timezone: str, name: str = "") -> Closure:
    """Raises InvalidCadence."""
    if match := _DATES.fullmatch(text.strip()):
        return _days(text, match[1], match[2] or match[1], zone=zone_named(timezone))
    try:
        cron = parse_cron(text, timezone=timezone, name=name)
    except InvalidCadence as error:
        raise _refusal(text, error.message[:1].lower() + error.message[1:]) from error
    # What a cron rule is made of.
    timetable = cast("Timetable[Any]", cron.walls)
    return ExcludedMinutes(timetable=timetable, zone=cron.zone, words=f"while {cron.describe()}")


def _days(text: str, first: str, last: str, *, zone: ZoneInfo) -> ExcludedDays:
    try:
        days = ExcludedDays(
            first=date.fromisoformat(first), last=date.fromisoformat(last), zone=zone
        )
    except ValueError as error:
        raise _refusal(text, f"there is no such day ({error}).") from error
    if days.last < days.first:
        raise _refusal(text, "it ends before it begins.")
    if days.last.year > _LAST_YEAR:
        raise _refusal(text, f"the last year is {_LAST_YEAR}.")
    return days


def _refusal(text: str, reason: str) -> InvalidCadence:
    return InvalidCadence(
        f"The exclusion {text!r} is not valid: {reason}",
        hint="For example: 2026-12-24, 2026-12-24..2027-01-02, '* 12-13 * * *'.",
    )
