"""The wall times of a recurrence: dates and times of day, thinned by INTERVAL, and single ones."""

from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from automagik.core.scheduler.recurrence_dates import RecurrenceDates
from automagik.core.scheduler.timetable import Timetable
from automagik.core.scheduler.zones import SECOND

_MOST_LEAPS = 20_000


@dataclass(frozen=True, kw_only=True, slots=True)
class Grid:
    """Every so many hours, minutes or seconds, counted from the one that holds `start`."""

    start: datetime
    unit: timedelta
    interval: int

    def first_from(self, wall: datetime) -> datetime:
        """The wall itself when its unit counts; else where the next one begins."""
        missing = -((wall - self.start) // self.unit) % self.interval
        return self._unit_of(wall) + missing * self.unit if missing else wall

    def last_until(self, wall: datetime) -> datetime:
        """The wall itself when its unit counts; else the end of the one before."""
        beyond = ((wall - self.start) // self.unit) % self.interval
        return self._unit_of(wall) - (beyond - 1) * self.unit - SECOND if beyond else wall

    def _unit_of(self, wall: datetime) -> datetime:
        return self.start + (wall - self.start) // self.unit * self.unit


@dataclass(frozen=True, kw_only=True, slots=True)
class RecurrenceWalls:
    """Those of the timetable, from start until the end, that the grid meets, and the added ones."""

    timetable: Timetable[RecurrenceDates]
    start: datetime
    until: datetime
    grid: Grid | None = None
    added: tuple[datetime, ...] = ()
    left_out: frozenset[datetime] = frozenset()

    def first_from(self, wall: datetime) -> datetime | None:
        place = bisect_left(self.added, wall)
        found = (self._first_by_rule(wall), *self.added[place : place + 1])
        return min(filter(None, found), default=None)

    def last_until(self, wall: datetime) -> datetime | None:
        place = bisect_right(self.added, wall)
        found = (self._last_by_rule(wall), *self.added[max(place - 1, 0) : place])
        return max(filter(None, found), default=None)

    def rising(self, wall: datetime) -> Iterator[datetime]:
        """What the rule alone gives from there on, without an end.

        Timetable and grid leap over each other to the next time that both have. When there is none
        the number of leaps ends it.
        """
        place: datetime | None = wall
        for _ in range(_MOST_LEAPS):
            place = place and self.timetable.first_from(place)
            if place is None:
                return
            met = self.grid.first_from(place) if self.grid else place
            if met == place:
                yield place
                met += SECOND
            place = met

    def _falling(self, wall: datetime) -> Iterator[datetime]:
        place: datetime | None = wall
        for _ in range(_MOST_LEAPS):
            place = place and self.timetable.last_until(place)
            if place is None:
                return
            met = self.grid.last_until(place) if self.grid else place
            if met == place:
                yield place
                met -= SECOND
            place = met

    def _first_by_rule(self, wall: datetime) -> datetime | None:
        for found in self.rising(max(wall, self.start)):
            if found > self.until:
                return None
            if found not in self.left_out:
                return found
        return None

    def _last_by_rule(self, wall: datetime) -> datetime | None:
        for found in self._falling(min(wall, self.until)):
            if found < self.start:
                return None
            if found not in self.left_out:
                return found
        return None
