"""Instants as a file says them: the time of day in the schedule's zone wherever that is enough."""

from datetime import datetime, time, timedelta

from automagik.core.scheduler.as_typed import instant_of
from automagik.core.scheduler.exceptions import InvalidCadence
from automagik.core.scheduler.zones import wall_at, zone_named


def time_text(instant: datetime, timezone: str) -> str:
    """With its offset where clocks show it twice. Raises InvalidCadence."""
    wall = wall_at(instant, zone_named(timezone))
    is_whole = not (wall.second or wall.microsecond)
    text = wall.isoformat(timespec="minutes" if is_whole else "auto")
    return text if instant_of(text, timezone=timezone) == instant else instant.isoformat()


def day_text(instant: datetime, timezone: str, *, is_last: bool) -> str:
    """A date where that means the same: of a start its first day, of an end its last one."""
    wall = wall_at(instant, zone_named(timezone))
    if wall.time() == time():
        day = wall.date() - timedelta(days=1) if is_last else wall.date()
        if _means(f"{day}", instant, timezone, is_last=is_last):
            return f"{day}"
    return time_text(instant, timezone)


def _means(text: str, instant: datetime, timezone: str, *, is_last: bool) -> bool:
    try:
        return instant_of(text, timezone=timezone, whole_day=is_last) == instant
    except InvalidCadence:
        return False
