"""Cron rules: the dialect, and what happens when clocks change.

The dialect is Vixie cron's with croniter 7's extensions:

- Five fields, or six with the seconds FIRST, or one of `@hourly @daily @midnight @weekly @monthly
  @yearly @annually`.
- Lists, ranges, steps and names; a range may wrap (`FRI-MON`, `22-2`); `7` and `0` are Sunday; `?`
  is `*` in the two day fields.
- `10/20` is `10-59/20`, so `59/15` is 59 alone. A step longer than the field is refused.
- `L` is the last day of the month, `5L` (or `L5`) the last Friday, `5#2` the second Friday.
- Day of month and day of week: when neither begins with `*`, one of them is enough; else both must
  match.

When clocks change, the hour field decides:

- Hour fixed (neither `*` nor `*/n`) is a wall-clock schedule, "at nine in the morning". Each wall
  time occurs once. One in a gap occurs at the first instant after the gap; several in one gap, and
  one that is due at that instant anyway, are a single occurrence. One in a fold occurs in the first
  pass.
- Hour `*` or `*/n` is an elapsed schedule, "every quarter of an hour". Every real instant whose
  wall time matches is an occurrence: those in a gap do not exist, and in a fold both passes count.
"""

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import ClassVar
from zoneinfo import ZoneInfo

from automagik.core.scheduler.cron_calendar import Fields
from automagik.core.scheduler.cron_fields import compile_fields, split_fields
from automagik.core.scheduler.cron_words import describe_cron
from automagik.core.scheduler.schedule_type import ScheduleType
from automagik.core.scheduler.zones import (
    LONGEST_JUMP,
    SECOND,
    first_instant,
    furthest_wall,
    steady_from,
    steady_until,
    whole_second,
    zone_named,
)

_ELAPSED_HOUR = re.compile(r"\*(/[0-9]+)?")


@dataclass(frozen=True, kw_only=True, slots=True)
class Cron:
    """Occurs when the wall clock of a zone matches the fields, by the contract above."""

    type: ClassVar[ScheduleType] = ScheduleType.CRON
    expr: str
    zone: ZoneInfo
    fields: Fields
    is_elapsed: bool

    def next_after(self, instant: datetime) -> datetime | None:
        start = whole_second(instant)
        try:
            return self._next_elapsed(start + SECOND) if self.is_elapsed else self._next_wall(start)
        except OverflowError:
            return None

    def latest_until(self, instant: datetime, *, after: datetime) -> datetime | None:
        until = whole_second(instant)
        if self.is_elapsed:
            return self._latest_elapsed(until, after=after)
        wall = self.fields.last_until(furthest_wall(until, self.zone))
        latest = wall and first_instant(wall, self.zone)
        return latest if latest and latest > after else None

    def describe(self) -> str:
        return f"{describe_cron(split_fields(self.expr.upper()), self.fields)} ({self.zone.key})"

    def _next_wall(self, instant: datetime) -> datetime | None:
        wall = self.fields.first_from(furthest_wall(instant, self.zone) + SECOND)
        return wall and first_instant(wall, self.zone)

    def _next_elapsed(self, start: datetime) -> datetime | None:
        """The first occurrence at or after start: by stretches of time with one offset.

        A wall time beyond the stretch is no answer. It only says that nothing matches before it,
        and not even that when the stretch ends in a change, which may set the clock back.
        """
        while True:
            stretch = steady_from(start, self.zone)
            wall = self.fields.first_from((start + stretch.shift).replace(tzinfo=None))
            if wall is None:
                return None
            instant = (wall - stretch.shift).replace(tzinfo=UTC)
            if instant < stretch.edge:
                return instant
            start = stretch.edge
            if not stretch.ends_in_change:
                start = max(start, first_instant(wall, self.zone))

    def _latest_elapsed(self, until: datetime, *, after: datetime) -> datetime | None:
        """The same backwards; a wall time may be shown again, up to the longest jump later."""
        while until > after:
            stretch = steady_until(until, self.zone)
            wall = self.fields.last_until((until + stretch.shift).replace(tzinfo=None))
            if wall is None:
                return None
            instant = (wall - stretch.shift).replace(tzinfo=UTC)
            if instant >= stretch.edge:
                return instant if instant > after else None
            until = stretch.edge - SECOND
            if not stretch.ends_in_change:
                until = min(until, first_instant(wall, self.zone) + LONGEST_JUMP)
        return None


def parse_cron(expr: str, *, timezone: str) -> Cron:
    """Raises InvalidCadence."""
    return _parse(" ".join(expr.upper().split()), timezone)


@lru_cache(maxsize=4096)
def _parse(expr: str, timezone: str) -> Cron:
    texts = split_fields(expr)
    return Cron(
        expr=expr.lower() if expr.startswith("@") else expr,
        zone=zone_named(timezone),
        fields=compile_fields(texts),
        is_elapsed=_ELAPSED_HOUR.fullmatch(texts.hour) is not None,
    )
