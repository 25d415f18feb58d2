"""Calendar rules: every so many days, weeks or months, at times of the day.

    every 3 days at 09:00
    every 2 weeks on mon,thu at 08:00,17:30
    every month on 1,15,last at 06:00

Days, weeks (from Monday) and months are counted from the one in which the schedule was made, in the
zone of the schedule; nothing occurs before that moment. A month without such a day is left out;
`last` is the last day of each. Clock changes are those of a wall-clock schedule in `cron.py`.
"""

import re
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from functools import lru_cache

from automagik.core.scheduler.dst import DEFAULT, Dst
from automagik.core.scheduler.exceptions import InvalidCadence
from automagik.core.scheduler.recurrence_dates import DayFilter, Every, RecurrenceDates
from automagik.core.scheduler.recurrence_words import weekday_name
from automagik.core.scheduler.schedule_type import ScheduleType
from automagik.core.scheduler.wall_clock import WallClock
from automagik.core.scheduler.words import every, join
from automagik.core.scheduler.zones import wall_at, whole_second, zone_named

_SHAPE = re.compile(
    r"every (?:(?P<interval>[0-9]{1,4}) )?(?P<unit>day|week|month)s?"
    r"(?: on (?P<on>[a-z0-9, ]+?))? at (?P<at>[0-9:, ]+)"
)
_WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_LAST = -1
_TIME = re.compile(r"([01]?[0-9]|2[0-3]):([0-5][0-9])(?::([0-5][0-9]))?")
_DAY = timedelta(days=1)


@dataclass(frozen=True, kw_only=True, slots=True)
class CalendarWalls:
    """Some times on each of the dates, none before start."""

    dates: RecurrenceDates
    times: tuple[time, ...]
    start: datetime

    def first_from(self, wall: datetime) -> datetime | None:
        wall = max(wall, self.start)
        day = self.dates.first_from(wall.date())
        if day == wall.date():
            for at in self.times:
                if at >= wall.time():
                    return datetime.combine(day, at)
            day = self.dates.first_from(day + _DAY)
        return datetime.combine(day, self.times[0]) if day else None

    def last_until(self, wall: datetime) -> datetime | None:
        found = self._last_until(wall)
        return found if found and found >= self.start else None

    def _last_until(self, wall: datetime) -> datetime | None:
        day = self.dates.last_until(wall.date())
        if day == wall.date():
            for at in reversed(self.times):
                if at <= wall.time():
                    return datetime.combine(day, at)
            day = self.dates.last_until(day - _DAY)
        return datetime.combine(day, self.times[-1]) if day else None


@dataclass(frozen=True, kw_only=True, slots=True)
class _Rule:
    interval: int
    unit: str
    days: tuple[int, ...]
    """Weekdays from Monday, 0, or days of the month, the last being -1."""
    times: tuple[time, ...]

    @property
    def text(self) -> str:
        names = (_WEEKDAYS[day] if self.unit == "week" else _day_text(day) for day in self.days)
        on = f" on {','.join(names)}" if self.days else ""
        return f"{every(self.interval, self.unit)}{on} at {','.join(map(_clock, self.times))}"

    @property
    def words(self) -> str:
        if self.unit == "week":
            on = f" on {join(map(weekday_name, self.days))}"
        else:
            on = f" on {join(map(_day_words, self.days))}" if self.days else ""
        return f"{every(self.interval, self.unit)}{on} at {join(map(_clock, self.times))}"

    def dates(self, first: date) -> RecurrenceDates:
        if self.unit == "week":
            days = DayFilter(weekdays=tuple((day, 0) for day in self.days))
        else:
            days = DayFilter(month_days=self.days)
        return RecurrenceDates(
            every=Every(self.unit), interval=self.interval, first=first, days=days
        )


def parse_calendar(expr: str, *, timezone: str, anchor: datetime, dst: Dst = DEFAULT) -> WallClock:
    """Raises InvalidCadence."""
    return _parse(expr, timezone, whole_second(anchor), dst)


@lru_cache(maxsize=4096)
def _parse(expr: str, timezone: str, anchor: datetime, dst: Dst) -> WallClock:
    zone = zone_named(timezone)
    start = wall_at(anchor, zone)
    rule = _read(" ".join(expr.lower().split()))
    return WallClock(
        type=ScheduleType.CALENDAR,
        expr=rule.text,
        words=rule.words,
        walls=CalendarWalls(dates=rule.dates(start.date()), times=rule.times, start=start),
        zone=zone,
        dst=dst,
    )


def _read(text: str) -> _Rule:
    match = _SHAPE.fullmatch(text)
    if not match:
        raise _refusal("it reads: every [N] days|weeks|months [on …] at HH:MM[,HH:MM]")
    interval = int(match["interval"] or 1)
    if not 1 <= interval <= 1000:
        raise _refusal("N is 1 to 1000")
    times = {_time(part.strip()) for part in match["at"].split(",")}
    return _Rule(
        interval=interval,
        unit=match["unit"],
        days=_days(match["unit"], match["on"]),
        times=tuple(sorted(times)),
    )


def _days(unit: str, text: str | None) -> tuple[int, ...]:
    if unit == "day":
        if text:
            raise _refusal("days have no on …; weeks and months have")
        return ()
    if not text:
        raise _refusal("weeks say on which weekdays, months on which days")
    read = _weekday if unit == "week" else _day_of_month
    days = {read(part.strip()) for part in text.split(",")}
    return tuple(sorted(days, key=lambda day: day % 32))


def _weekday(text: str) -> int:
    if text[:3] not in _WEEKDAYS or not weekday_name(
        day := _WEEKDAYS.index(text[:3])
    ).lower().startswith(text):
        raise _refusal(f"{text!r} is no weekday; they are {', '.join(_WEEKDAYS)}")
    return day


def _day_of_month(text: str) -> int:
    if text == "last":
        return _LAST
    if not text.isdigit() or not 1 <= int(text) <= 31:
        raise _refusal(f"{text!r} is no day of the month; they are 1 to 31 and last")
    return int(text)


def _time(text: str) -> time:
    match = _TIME.fullmatch(text)
    if not match:
        raise _refusal(f"{text!r} is no time of the day, such as 09:00 or 17:30:15")
    return time(int(match[1]), int(match[2]), int(match[3] or 0))


def _day_text(day: int) -> str:
    return "last" if day == _LAST else str(day)


def _day_words(day: int) -> str:
    return "the last day" if day == _LAST else f"day {day}"


def _clock(at: time) -> str:
    return at.isoformat("seconds" if at.second else "minutes")


def _refusal(reason: str) -> InvalidCadence:
    return InvalidCadence(
        f"The calendar rule is not valid: {reason}.",
        hint="For example: every 3 days at 09:00, every 2 weeks on mon,thu at 08:00,17:30,"
        " every month on 1,15 at 06:00.",
    )
