"""Instants and durations in words. The zone is always said."""

import json
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from datetime import UTC, datetime, timedelta, tzinfo
from enum import StrEnum
from typing import Any
from zoneinfo import ZoneInfo

import typer

from automagik.core.duration import parse_duration as duration_of
from automagik.core.exceptions import InvalidInput

_UNITS = {"d": 86_400, "h": 3_600, "m": 60, "s": 1}
_SECOND = timedelta(seconds=1)
_MINUTE = timedelta(minutes=1)


class TimeFormat(StrEnum):
    """How people read instants."""

    RELATIVE = "relative"
    LOCAL = "local"
    UTC = "utc"
    ISO = "iso"


chosen: ContextVar[TimeFormat | None] = ContextVar("time format", default=None)
"""By the person who asks; None: relative and local, each where it fits."""


def in_words(value: Any) -> str:
    """A value for a person."""
    match value:
        case bool():
            return "yes" if value else "no"
        case datetime():
            return when(value)
        case timedelta():
            return duration(value)
        case Mapping() | list() | tuple():
            return json.dumps(value, default=str, ensure_ascii=False)
    return str(value)


def when(instant: datetime, *, now: datetime | None = None, zone: str | None = None) -> str:
    """`in 12m · Fri 20 Nov 09:00:00 CET`: in the given zone, else in the one of this machine."""
    now = now or datetime.now(UTC)
    if wanted := _as_chosen(instant, now=now):
        return wanted
    return f"{relative(instant, now=now)} · {at(instant, now=now, zone=zone)}"


def ago(instant: datetime) -> str:
    """The distance alone, where there is little room, unless another format was chosen."""
    now = datetime.now(UTC)
    return _as_chosen(instant, now=now) or relative(instant, now=now)


def _as_chosen(instant: datetime, *, now: datetime) -> str | None:
    match chosen.get():
        case TimeFormat.RELATIVE:
            return relative(instant, now=now)
        case TimeFormat.LOCAL:
            return at(instant, now=now)
        case TimeFormat.UTC:
            return at(instant, now=now, zone="UTC")
        case TimeFormat.ISO:
            return instant.astimezone(UTC).isoformat().replace("+00:00", "Z")
    return None


def relative(instant: datetime, *, now: datetime) -> str:
    """`in 12m`, `3h 5m ago`, `now`: at most two units."""
    distance = abs(instant - now)
    if distance < _SECOND:
        return "now"
    words = duration(distance)
    return f"in {words}" if instant > now else f"{words} ago"


def at(instant: datetime, *, now: datetime | None = None, zone: str | None = None) -> str:
    """`Fri 20 Nov 09:00:00 CET`; the year only when it is not this one."""
    place: tzinfo | None = ZoneInfo(zone) if zone else None
    local = instant.astimezone(place)
    today = (now or datetime.now(UTC)).astimezone(place)
    year = "" if local.year == today.year else f" {local.year}"
    return f"{local:%a} {local.day} {local:%b}{year} {local:%H:%M:%S} {zone or local.tzname()}"


def duration(length: timedelta) -> str:
    """`850ms`, `4.2s`, `1m 4s`, `3d 2h`: at most two units."""
    seconds = length.total_seconds()
    if seconds < 1:
        return f"{seconds * 1000:.0f}ms"
    if seconds < 10 and seconds % 1:
        return f"{seconds:.1f}s"
    rest = int(seconds)
    parts: list[tuple[int, str]] = []
    for unit, size in _UNITS.items():
        count, rest = divmod(rest, size)
        if count or parts:
            parts.append((count, unit))
    return " ".join(f"{count}{unit}" for count, unit in parts[:2] if count)


def parse_duration(text: str) -> timedelta:
    """`90`, `90s`, `5m`, `1h30m`: what options such as --timeout take. Seconds without a unit."""
    return parsed(duration_of, text)


def parsed(read: Callable[[str], timedelta], text: str) -> timedelta:
    """What is wrong is told as that of an option."""
    try:
        return read(text)
    except InvalidInput as error:
        raise typer.BadParameter(error.message.rstrip(".")) from None
