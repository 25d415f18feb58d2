"""When a rule does not occur although its cadences do: for exclusions, holidays and the like.

Each answers for a whole stretch of time around an instant, so that a search can pass over it at one
leap. A stretch may end before what closes it does: the next question finds the rest.
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Protocol
from zoneinfo import ZoneInfo

from automagik.core.scheduler.zones import (
    LONGEST_JUMP,
    first_instant,
    steady_from,
    steady_until,
    wall_at,
    whole_second,
)


class Reason(StrEnum):
    """Why an instant of a cadence is left out."""

    EXCLUDED = "excluded"
    HOLIDAY = "holiday"
    QUIET_HOURS = "quiet-hours"
    WINDOW = "window"


@dataclass(frozen=True, kw_only=True, slots=True)
class Closed:
    """A stretch of time [since, until) in which nothing occurs; None: without an end there."""

    reason: Reason
    since: datetime | None
    until: datetime | None


class Closure(Protocol):
    """What leaves out instants, for one reason."""

    def around(self, instant: datetime) -> Closed | None:
        """A stretch that the instant lies in; None: it is open then."""
        ...

    def describe(self) -> str: ...


@dataclass(frozen=True, kw_only=True, slots=True)
class Window:
    """Open from one instant until just before another."""

    starts_at: datetime | None
    ends_at: datetime | None
    zone: ZoneInfo
    """Only for showing it."""

    def around(self, instant: datetime) -> Closed | None:
        if self.starts_at is not None and instant < self.starts_at:
            return Closed(reason=Reason.WINDOW, since=None, until=self.starts_at)
        if self.ends_at is not None and instant >= self.ends_at:
            return Closed(reason=Reason.WINDOW, since=self.ends_at, until=None)
        return None

    def describe(self) -> str:
        bounds = (("from", self.starts_at), ("until", self.ends_at))
        return " ".join(f"{word} {self._shown(at)}" for word, at in bounds if at is not None)

    def _shown(self, instant: datetime) -> str:
        local = instant.astimezone(self.zone).replace(tzinfo=None)
        return local.isoformat(" ", "seconds" if local.second else "minutes")


def closed_by_walls(
    reason: Reason, instant: datetime, *, zone: ZoneInfo, start: datetime, end: datetime
) -> Closed:
    """What is closed while clocks show [start, end).

    Where a clock that is set back might show a time outside, only as far as one offset reaches.
    """
    wall, second = wall_at(instant, zone), whole_second(instant)
    passed, left = wall - start, end - wall
    if passed >= LONGEST_JUMP:
        until = first_instant(end, zone)
    else:
        ahead = steady_from(second, zone)
        until = min((end - ahead.shift).replace(tzinfo=UTC), ahead.edge)
    if passed >= 2 * LONGEST_JUMP and left >= LONGEST_JUMP:
        since = first_instant(start + LONGEST_JUMP, zone)
    else:
        before = steady_until(second, zone)
        since = max((start - before.shift).replace(tzinfo=UTC), before.edge)
    return Closed(reason=reason, since=since, until=until)
