"""Quiet hours: a part of each day in which nothing occurs, on the clocks of a zone."""

import re
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from zoneinfo import ZoneInfo

from automagik.core.scheduler.closure import Closed, Reason, closed_by_walls
from automagik.core.scheduler.exceptions import InvalidCadence
from automagik.core.scheduler.zones import wall_at

_TIME = "([01]?[0-9]|2[0-3]):([0-5][0-9])"
_SHAPE = re.compile(rf"\s*{_TIME}\s*-\s*(?:{_TIME}|(24):00)\s*")
_DAY = timedelta(days=1)


@dataclass(frozen=True, kw_only=True, slots=True)
class QuietHours:
    """From `start` until just before `end`; over midnight when that is earlier."""

    start: time
    end: time
    zone: ZoneInfo

    @property
    def text(self) -> str:
        return f"{self.start:%H:%M}-{self.end:%H:%M}"

    def around(self, instant: datetime) -> Closed | None:
        wall = wall_at(instant, self.zone)
        start = datetime.combine(wall.date(), self.start)
        if wall < start:
            start -= _DAY
        end = datetime.combine(start.date(), self.end)
        if end <= start:
            end += _DAY
        if wall >= end:
            return None
        return closed_by_walls(Reason.QUIET_HOURS, instant, zone=self.zone, start=start, end=end)

    def describe(self) -> str:
        return f"{self.start:%H:%M} to {self.end:%H:%M}"


def parse_quiet_hours(text: str, *, zone: ZoneInfo) -> QuietHours:
    """Such as `22:00-06:00`. Raises InvalidCadence."""
    match = _SHAPE.fullmatch(text)
    if not match:
        raise _refusal(text, "they are two times of day")
    first = time(int(match[1]), int(match[2]))
    last = time() if match[5] else time(int(match[3]), int(match[4]))
    if first == last:
        raise _refusal(text, "they would be the whole day, or nothing")
    return QuietHours(start=first, end=last, zone=zone)


def _refusal(text: str, reason: str) -> InvalidCadence:
    return InvalidCadence(
        f"The quiet hours {text!r} are not valid: {reason}.",
        hint="For example: 22:00-06:00, or 12:00-13:30.",
    )
