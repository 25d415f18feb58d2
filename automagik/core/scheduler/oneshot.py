"""One-shots: a single instant."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import ClassVar
from zoneinfo import ZoneInfo

from automagik.core.scheduler.exceptions import InvalidCadence
from automagik.core.scheduler.interval import in_words, parse_every
from automagik.core.scheduler.schedule_type import ScheduleType
from automagik.core.scheduler.zones import first_instant, whole_second, zone_named

_SHAPE = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2})[T ]+([0-9]{2}:[0-9]{2}(?::[0-9]{2}(?:\.[0-9]{1,6})?)?)"
    r" ?(Z|[+-][0-9]{2}(?::?[0-9]{2})?)?",
    re.IGNORECASE,
)
_FROM_NOW = re.compile(r"in\s+(.+)", re.IGNORECASE)
_UNIT = re.compile(r"\s*(second|minute|hour|day|week)s?\b\s*", re.IGNORECASE)


@dataclass(frozen=True, kw_only=True, slots=True)
class OneShot:
    """Occurs once. `zone` is only for showing it."""

    type: ClassVar[ScheduleType] = ScheduleType.ONESHOT
    at: datetime
    zone: ZoneInfo

    @property
    def expr(self) -> str:
        return self.at.isoformat()

    def next_after(self, instant: datetime) -> datetime | None:
        return self.at if self.at > instant else None

    def latest_until(self, instant: datetime, *, after: datetime) -> datetime | None:
        return self.at if after < self.at <= instant else None

    def describe(self) -> str:
        local = self.at.astimezone(self.zone).replace(tzinfo=None)
        text = local.isoformat(" ", "seconds" if local.second else "minutes")
        return f"once, on {text.replace(' ', ' at ')} ({self.zone.key})"


def parse_oneshot(expr: str, *, timezone: str, now: datetime) -> OneShot:
    """What a person typed. Raises InvalidCadence, also for the past.

    `now` becomes the first instant after now, so that next_after(now) finds it; `in 10m` and `in 10
    minutes` count from now.
    """
    if expr.strip().lower() == "now":
        at = now.astimezone(UTC) + timedelta(microseconds=1)
        return OneShot(at=at, zone=zone_named(timezone))
    if from_now := _FROM_NOW.fullmatch(expr.strip()):
        at = whole_second(now + _length(from_now[1], expr))
        return OneShot(at=at, zone=zone_named(timezone))
    cadence = load_oneshot(expr, timezone=timezone)
    if cadence.at <= now:
        ago = in_words(now - cadence.at, units=2)
        raise _refusal(expr, f"it lies in the past, {ago} ago" if ago else "it is already now")
    return cadence


def _length(text: str, expr: str) -> timedelta:
    try:
        return parse_every(_UNIT.sub(lambda unit: unit[1][0], text))
    except InvalidCadence:
        raise _refusal(expr, "after 'in' comes a length, such as 10m or 2 hours") from None


def load_oneshot(expr: str, *, timezone: str) -> OneShot:
    """What is stored; it may be past. Raises InvalidCadence."""
    zone = zone_named(timezone)
    match = _SHAPE.fullmatch(expr.strip())
    if not match:
        raise _refusal(expr, "it takes a date with a time, or: in 10m, now")
    try:
        moment = datetime.fromisoformat("".join((match[1], "T", match[2], match[3] or "")).upper())
        at = moment.astimezone(UTC) if moment.tzinfo else first_instant(moment, zone)
    except (ValueError, OverflowError) as error:
        raise _refusal(expr, f"there is no such time ({error})") from error
    return OneShot(at=at, zone=zone)


def _refusal(expr: str, reason: str) -> InvalidCadence:
    return InvalidCadence(
        f"The time {expr!r} is not valid: {reason}.",
        hint="For example: 2030-12-01T09:00, 2030-12-01T09:00:00+01:00, in 10m, now.",
    )
