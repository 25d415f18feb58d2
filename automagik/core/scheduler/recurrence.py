"""Recurrence rules of RFC 5545, such as `FREQ=MONTHLY;BYDAY=-1FR;BYHOUR=17;BYMINUTE=0`.

- Lines DTSTART, RDATE and EXDATE may stand beside the rule, each on a line or after a space.
- Without DTSTART it counts from the first full minute (the first full hour when BYHOUR is given and
  BYMINUTE is not) after the schedule was made. So `BYHOUR=9` alone is nine o'clock sharp.
- DTSTART says the zone when it has one: `DTSTART;TZID=Europe/Berlin:20261201T090000`, or `…Z` for
  UTC. As in dateutil it is no occurrence when the rule does not match it.
- The rule is read on the wall clock of the zone. Clock changes are treated as in `cron.py`: a rule
  by the hour, minute or second without BYHOUR is an elapsed schedule, all others are wall-clock.
- COUNT is at most 10,000, BYSETPOS takes rules with one time a day, UNTIL is a date with a time.
- A search ends after 400 years; what has not occurred until then never does.
"""

from dataclasses import replace
from datetime import datetime, time, timedelta
from functools import lru_cache
from itertools import islice

from automagik.core.scheduler.dst import DEFAULT, ELAPSED, Dst
from automagik.core.scheduler.recurrence_dates import DayFilter, Every, RecurrenceDates
from automagik.core.scheduler.recurrence_text import (
    WEEKDAYS,
    RecurrenceText,
    read_recurrence,
    refusal,
)
from automagik.core.scheduler.recurrence_walls import Grid, RecurrenceWalls
from automagik.core.scheduler.recurrence_words import describe_recurrence
from automagik.core.scheduler.schedule_type import ScheduleType
from automagik.core.scheduler.timetable import LAST_DATE, Timetable
from automagik.core.scheduler.wall_clock import WallClock
from automagik.core.scheduler.zones import SECOND, wall_at, whole_second

_PERIODS = {"DAILY": Every.DAY, "WEEKLY": Every.WEEK, "MONTHLY": Every.MONTH, "YEARLY": Every.YEAR}
_UNITS = {
    "HOURLY": timedelta(hours=1),
    "MINUTELY": timedelta(minutes=1),
    "SECONDLY": timedelta(seconds=1),
}
_END = datetime.combine(LAST_DATE, time())


def parse_recurrence(
    expr: str, *, timezone: str, anchor: datetime, dst: Dst = DEFAULT
) -> WallClock:
    """Raises InvalidCadence."""
    return _parse(expr, timezone, whole_second(anchor), dst)


@lru_cache(maxsize=4096)
def _parse(expr: str, timezone: str, anchor: datetime, dst: Dst) -> WallClock:
    text = read_recurrence(expr, timezone=timezone)
    start = text.start or _default_start(text, wall_at(anchor, text.zone))
    walls = _walls(text, start)
    return WallClock(
        type=ScheduleType.RRULE,
        expr=text.canonical,
        words=describe_recurrence(text, walls.timetable),
        walls=walls,
        zone=text.zone,
        dst=ELAPSED if text.parts["FREQ"] in _UNITS and "BYHOUR" not in text.parts else dst,
    )


def _default_start(text: RecurrenceText, wall: datetime) -> datetime:
    minute_open = text.parts["FREQ"] in ("MINUTELY", "SECONDLY") or "BYMINUTE" in text.parts
    unit = _UNITS["MINUTELY" if minute_open or "BYHOUR" not in text.parts else "HOURLY"]
    return wall + (_midnight(wall) - wall) % unit


def _walls(text: RecurrenceText, start: datetime) -> RecurrenceWalls:
    walls = RecurrenceWalls(
        timetable=_timetable(text, start),
        start=start,
        until=text.until() or _END,
        grid=_grid(text, start),
        added=tuple(wall for wall in text.added if wall not in text.left_out),
        left_out=frozenset(text.left_out),
    )
    if "COUNT" not in text.parts:
        return walls
    return replace(walls, until=_last_counted(walls, text.number("COUNT", 1)))


def _last_counted(walls: RecurrenceWalls, count: int) -> datetime:
    """Dates that are left out count too, added ones do not."""
    counted = list(islice(walls.rising(walls.start), count))
    return counted[-1] if counted else walls.start - SECOND


def _timetable(text: RecurrenceText, start: datetime) -> Timetable[RecurrenceDates]:
    frequency = text.parts["FREQ"]
    hours = range(24) if frequency in _UNITS else (start.hour,)
    minutes = range(60) if frequency in ("MINUTELY", "SECONDLY") else (start.minute,)
    seconds = range(60) if frequency == "SECONDLY" else (start.second,)
    timetable = Timetable(
        dates=_dates(text, start),
        hours=text.numbers("BYHOUR") or tuple(hours),
        minutes=text.numbers("BYMINUTE") or tuple(minutes),
        seconds=text.numbers("BYSECOND") or tuple(seconds),
    )
    if "BYSETPOS" in text.parts and timetable.times_a_day > 1:
        raise refusal("BYSETPOS takes a rule with one time a day, such as BYHOUR=9;BYMINUTE=0")
    return timetable


def _dates(text: RecurrenceText, start: datetime) -> RecurrenceDates:
    every = _PERIODS.get(text.parts["FREQ"], Every.DAY)
    return RecurrenceDates(
        every=every,
        interval=text.number("INTERVAL", 1) if text.parts["FREQ"] in _PERIODS else 1,
        first=start.date(),
        days=_day_filter(text, every, start),
        positions=text.numbers("BYSETPOS"),
    )


def _day_filter(text: RecurrenceText, every: Every, start: datetime) -> DayFilter:
    """What the rule leaves open and DTSTART says is written out."""
    days = DayFilter(
        week_start=WEEKDAYS.index(text.parts.get("WKST", "MO")),
        months=text.numbers("BYMONTH"),
        week_numbers=text.numbers("BYWEEKNO"),
        year_days=text.numbers("BYYEARDAY"),
        month_days=text.numbers("BYMONTHDAY"),
        weekdays=text.weekdays(),
        counts_in_month=every is Every.MONTH,
    )
    if every in (Every.DAY, Every.WEEK) and any(number for _, number in days.weekdays):
        raise refusal("BYDAY takes numbers with FREQ=MONTHLY and FREQ=YEARLY alone")
    match every:
        case _ if days.names_days:
            return days
        case Every.YEAR:
            return replace(days, months=days.months or (start.month,), month_days=(start.day,))
        case Every.MONTH:
            return replace(days, month_days=(start.day,))
        case Every.WEEK:
            return replace(days, weekdays=((start.weekday(), 0),))
        case Every.DAY:
            return days


def _grid(text: RecurrenceText, start: datetime) -> Grid | None:
    """Counted from the beginning of the hour, minute or second that holds DTSTART."""
    unit = _UNITS.get(text.parts["FREQ"])
    interval = text.number("INTERVAL", 1)
    if unit is None or interval == 1:
        return None
    begin = start - (start - _midnight(start)) % unit
    return Grid(start=begin, unit=unit, interval=interval)


def _midnight(wall: datetime) -> datetime:
    return datetime.combine(wall, time())
