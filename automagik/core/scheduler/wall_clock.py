"""Cadences that follow the clock on the wall of a zone: cron, recurrence and calendar rules.

A rule of walls knows naive times only. Here they become instants, in one of two orders. When the
second pass of a fold does not count, walls rise with real time, and the furthest wall that clocks
have shown says where the search goes on. When it does count, the search goes by stretches of time
with one offset.
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol
from zoneinfo import ZoneInfo

from automagik.core.scheduler.dst import Dst, Fold, Gap
from automagik.core.scheduler.schedule_type import ScheduleType
from automagik.core.scheduler.zones import (
    LONGEST_JUMP,
    SECOND,
    Stretch,
    first_instant,
    furthest_wall,
    steady_from,
    steady_until,
    wall_at,
    whole_second,
)

_LONGEST_SEARCH = 500
"""Years. The calendar and, from 2038 on, the clock changes of all zones repeat every 400 years:
what has only met gaps until then always will."""


class Walls(Protocol):
    """A rule on the naive calendar, by whole seconds."""

    def first_from(self, wall: datetime) -> datetime | None:
        """The first matching wall time at or after this one."""
        ...

    def last_until(self, wall: datetime) -> datetime | None:
        """The last matching wall time at or before this one."""
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class WallClock:
    """Occurs when clocks of the zone show what the rule names."""

    type: ScheduleType
    expr: str
    words: str
    walls: Walls
    zone: ZoneInfo
    dst: Dst

    def next_after(self, instant: datetime) -> datetime | None:
        start = whole_second(instant)
        try:
            if self.dst.fold is Fold.FIRST:
                return self._next_by_wall(start)
            return self._next_by_stretches(start + SECOND)
        except OverflowError:
            return None

    def latest_until(self, instant: datetime, *, after: datetime) -> datetime | None:
        until = whole_second(instant)
        if self.dst.fold is Fold.FIRST:
            latest = self._latest_by_wall(until, after=after)
        else:
            latest = self._latest_by_stretches(until, after=after)
        return latest if latest and latest > after else None

    def describe(self) -> str:
        return f"{self.words} ({self.zone.key})"

    def _next_by_wall(self, instant: datetime) -> datetime | None:
        wall = self.walls.first_from(furthest_wall(instant, self.zone) + SECOND)
        while wall and wall.year - instant.year < _LONGEST_SEARCH:
            found = first_instant(wall, self.zone)
            if self._occurs(wall, found):
                return found
            wall = self.walls.first_from(wall_at(found, self.zone))
        return None

    def _latest_by_wall(self, until: datetime, *, after: datetime) -> datetime | None:
        wall = self.walls.last_until(furthest_wall(until, self.zone))
        while wall:
            found = first_instant(wall, self.zone)
            if found <= after or self._occurs(wall, found):
                return found
            wall = self.walls.last_until(wall_at(found - SECOND, self.zone))
        return None

    def _occurs(self, wall: datetime, instant: datetime) -> bool:
        return self.dst.gap is Gap.NEXT or wall_at(instant, self.zone) == wall

    def _next_by_stretches(self, start: datetime) -> datetime | None:
        """The first occurrence at or after start.

        A wall time beyond the stretch is no answer. It only says that nothing matches before it,
        and not even that when the stretch ends in a change, which may set the clock back.
        """
        last_year = start.year + _LONGEST_SEARCH
        while start.year < last_year:
            if self._ends_gap(start):
                return start
            stretch = steady_from(start, self.zone)
            wall = self.walls.first_from(_wall(start, stretch))
            if wall and _instant(wall, stretch) < stretch.edge:
                return _instant(wall, stretch)
            if stretch.ends_in_change:
                start = stretch.edge
            elif wall:
                start = max(stretch.edge, first_instant(wall, self.zone))
            else:
                return None
        return None

    def _latest_by_stretches(self, until: datetime, *, after: datetime) -> datetime | None:
        """The same backwards; a wall time may be shown again, up to the longest jump later."""
        while until > after:
            stretch = steady_until(until, self.zone)
            wall = self.walls.last_until(_wall(until, stretch))
            if wall and _instant(wall, stretch) >= stretch.edge:
                return _instant(wall, stretch)
            if self._ends_gap(stretch.edge):
                return stretch.edge
            until = stretch.edge - SECOND
            if wall and not stretch.ends_in_change:
                until = min(until, first_instant(wall, self.zone) + LONGEST_JUMP)
            elif not stretch.ends_in_change:
                return None
        return None

    def _ends_gap(self, instant: datetime) -> bool:
        """Whether clocks leave out a wall time of the rule at this instant, which stands for it."""
        if self.dst.gap is Gap.SKIP:
            return False
        left_out = wall_at(instant - SECOND, self.zone) + SECOND
        shown = wall_at(instant, self.zone)
        wall = self.walls.first_from(left_out) if left_out < shown else None
        return wall is not None and wall < shown


def _wall(instant: datetime, stretch: Stretch) -> datetime:
    return (instant + stretch.shift).replace(tzinfo=None)


def _instant(wall: datetime, stretch: Stretch) -> datetime:
    return (wall - stretch.shift).replace(tzinfo=UTC)
