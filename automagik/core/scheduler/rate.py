"""How many runs a source that takes so many a minute gets now. Pure.

The virtual scheduling form of the generic cell rate algorithm (ITU-T I.371, annex A): each run uses
up a span of the rate, and a run may go when the spans before it are used up. Runs are so spread
evenly, and nothing but one instant is kept per source.
"""

import math
from dataclasses import dataclass
from datetime import datetime, timedelta

TOLERANCE = timedelta(seconds=1)
"""How far ahead of its span a run may go: beats look several times a second, not at each span."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Rate:
    """A source's limit, and until when the runs that were sent use it up."""

    runs_per_minute: int
    used_until: datetime | None

    @property
    def span(self) -> timedelta:
        """A minute and the tolerance hold no more runs than one minute may."""
        return (timedelta(minutes=1) + TOLERANCE) / self.runs_per_minute

    def allows(self, now: datetime) -> int:
        """How many runs may go now."""
        ahead = max(timedelta(), (self.used_until or now) - now)
        if ahead > TOLERANCE:
            return 0
        return math.floor((TOLERANCE - ahead) / self.span) + 1

    def used_until_after(self, runs: int, now: datetime) -> datetime:
        return max(self.used_until or now, now) + runs * self.span
