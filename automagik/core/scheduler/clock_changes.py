"""Which occurrences of a rule fall into wall time that clocks leave out or show twice. Pure."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

from automagik.core.scheduler.dst import ELAPSED, Fold, Gap
from automagik.core.scheduler.rule import Rule
from automagik.core.scheduler.wall_clock import WallClock
from automagik.core.scheduler.zones import steady_from, wall_at, whole_second


@dataclass(frozen=True, kw_only=True, slots=True)
class GapHit:
    """A wall time that clocks leave out."""

    wall: datetime
    runs_at: datetime | None
    """None: not at all."""
    zone: ZoneInfo

    def describe(self) -> str:
        then = "it does not run then"
        if self.runs_at is not None:
            then = f"it runs at {wall_at(self.runs_at, self.zone):%H:%M} instead"
        return (
            f"On {self.wall:%a %-d %b %Y} clocks in {self.zone.key} leave out"
            f" {self.wall:%H:%M}: {then}."
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class FoldHit:
    """A wall time that clocks show twice."""

    wall: datetime
    runs_twice: bool
    zone: ZoneInfo

    def describe(self) -> str:
        then = "both times" if self.runs_twice else "the first time only"
        return (
            f"On {self.wall:%a %-d %b %Y} clocks in {self.zone.key} show"
            f" {self.wall:%H:%M} twice: it runs {then}."
        )


def clock_changes(rule: Rule, *, after: datetime, until: datetime) -> list[GapHit | FoldHit]:
    """The first of each cadence at each change; none of a cadence that goes by elapsed time.

    Such a one has the very ELAPSED: who asks for the same of times of day wants to hear of it.
    """
    return [
        hit
        for cadence in rule.cadences
        if isinstance(cadence, WallClock) and cadence.dst is not ELAPSED
        for change in _changes(cadence.zone, after, until)
        if (hit := _hit(rule, cadence, change)) is not None
    ]


@dataclass(frozen=True, kw_only=True, slots=True)
class _Change:
    """What clocks would have shown at an instant, and what they do show."""

    at: datetime
    before: datetime
    after: datetime


def _changes(zone: ZoneInfo, after: datetime, until: datetime) -> Iterator[_Change]:
    start = whole_second(after)
    while start < until:
        stretch = steady_from(start, zone)
        start = stretch.edge
        if stretch.ends_in_change:
            before = (start + stretch.shift).replace(tzinfo=None)
            yield _Change(at=start, before=before, after=wall_at(start, zone))


def _hit(rule: Rule, cadence: WallClock, change: _Change) -> GapHit | FoldHit | None:
    first, end = sorted((change.before, change.after))
    wall = cadence.walls.first_from(first)
    if wall is None or wall >= end:
        return None
    if change.before > change.after:
        instant = change.at - (change.before - wall)
        is_left_out = rule.closed_at(instant) is not None
        twice = cadence.dst.fold is Fold.BOTH
        return None if is_left_out else FoldHit(wall=wall, runs_twice=twice, zone=cadence.zone)
    if cadence.dst.gap is Gap.SKIP:
        return GapHit(wall=wall, runs_at=None, zone=cadence.zone)
    if rule.closed_at(change.at) is not None:
        return None
    return GapHit(wall=wall, runs_at=change.at, zone=cadence.zone)
