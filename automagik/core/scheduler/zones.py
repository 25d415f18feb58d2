"""Time zones: the names, and where the wall clock jumps.

A gap is wall time that is left out, a fold is wall time that is shown twice. Both come from any
change of offset: daylight saving, a new standard offset, a crossing of the date line. Instants here
are whole seconds in UTC, walls are naive local times. All rests on one fact of the tz database: no
zone has two changes of offset within two days of each other, and none is larger than 24 hours.
"""

from bisect import bisect_left
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from difflib import get_close_matches
from functools import lru_cache
from zoneinfo import ZoneInfo, available_timezones

from automagik.core.scheduler.exceptions import InvalidCadence

LONGEST_JUMP = timedelta(hours=24)

SECOND = timedelta(seconds=1)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_WINDOW = LONGEST_JUMP + timedelta(hours=1)
_NO_PLACES = {"Factory", "localtime", "posixrules"}


@dataclass(frozen=True, kw_only=True, slots=True)
class Stretch:
    """Time with one offset, to an edge at most 25 hours away: no fold reaches back over it all."""

    shift: timedelta
    edge: datetime
    ends_in_change: bool


@lru_cache(maxsize=1024)
def zone_named(name: str) -> ZoneInfo:
    """The zone with this IANA name; InvalidCadence names a close one when there is none."""
    if name not in _NO_PLACES:
        with suppress(KeyError, ValueError, OSError):
            return ZoneInfo(name)
    close = _closest(name)
    raise InvalidCadence(
        f"{name!r} is no IANA time zone" + (f"; did you mean {close}?" if close else "."),
        hint="For example: Europe/Berlin, America/New_York, UTC.",
    )


def whole_second(instant: datetime) -> datetime:
    """The instant in UTC without its fraction. TypeError for a naive one."""
    return _EPOCH + SECOND * ((instant - _EPOCH) // SECOND)


def first_instant(wall: datetime, zone: ZoneInfo) -> datetime:
    """When clocks there first show this wall time or, in a gap, the end of the gap."""
    before, after = (_shift(wall.replace(tzinfo=zone, fold=fold)) for fold in (0, 1))
    instant = (wall - before).replace(tzinfo=UTC)
    if after <= before:
        return instant
    return _change(zone, whole_second(instant - (after - before)), whole_second(instant))


def wall_at(instant: datetime, zone: ZoneInfo) -> datetime:
    """What clocks there show."""
    return instant.astimezone(zone).replace(tzinfo=None, fold=0)


def furthest_wall(instant: datetime, zone: ZoneInfo) -> datetime:
    """The latest wall time that clocks there have shown until now.

    It is what they show, but in the second pass of a fold the last second of the first.
    first_instant(wall) <= instant holds for exactly the walls up to it.
    """
    local = instant.astimezone(zone)
    if not local.fold:
        return local.replace(tzinfo=None)
    before = _shift(local.replace(fold=0))
    change = _change(zone, instant - (before - _shift(local)), instant)
    return (change + before).replace(tzinfo=None) - SECOND


def steady_from(instant: datetime, zone: ZoneInfo) -> Stretch:
    """The time from here on; the edge no longer belongs to it."""
    shift, limit = _shift_at(instant, zone), instant + _WINDOW
    if _shift_at(limit, zone) == shift:
        return Stretch(shift=shift, edge=limit, ends_in_change=False)
    return Stretch(shift=shift, edge=_change(zone, instant, limit), ends_in_change=True)


def steady_until(instant: datetime, zone: ZoneInfo) -> Stretch:
    """The time back from here; the edge belongs to it."""
    shift, limit = _shift_at(instant, zone), instant - _WINDOW
    if _shift_at(limit, zone) == shift:
        return Stretch(shift=shift, edge=limit, ends_in_change=False)
    return Stretch(shift=shift, edge=_change(zone, limit, instant), ends_in_change=True)


def _change(zone: ZoneInfo, low: datetime, high: datetime) -> datetime:
    """The first instant in (low, high] with another offset than low."""
    shift = _shift_at(low, zone)
    seconds = range((high - low) // SECOND)
    return low + SECOND * bisect_left(
        seconds, x=True, key=lambda second: _shift_at(low + SECOND * second, zone) != shift
    )


def _shift_at(instant: datetime, zone: ZoneInfo) -> timedelta:
    return _shift(instant.astimezone(zone))


def _shift(local: datetime) -> timedelta:
    return local.utcoffset() or timedelta(0)


def _closest(name: str) -> str | None:
    spellings: dict[str, str] = {}
    for zone in sorted(available_timezones() - _NO_PLACES):
        spellings.setdefault(zone.rpartition("/")[2].lower(), zone)
        spellings[zone.lower()] = zone
    wanted = name.strip().lower().replace(" ", "_")
    return next((spellings[close] for close in get_close_matches(wanted, spellings, n=1)), None)
