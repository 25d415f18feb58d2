"""A recurrence in words."""

from collections.abc import Iterable, Sequence
from itertools import product

from automagik.core.scheduler.cron_parts import MONTHS
from automagik.core.scheduler.recurrence_dates import Every, RecurrenceDates
from automagik.core.scheduler.recurrence_text import RecurrenceText
from automagik.core.scheduler.timetable import Timetable
from automagik.core.scheduler.words import every, join, ordinal

_WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_NOUNS = {
    "SECONDLY": "second",
    "MINUTELY": "minute",
    "HOURLY": "hour",
    "DAILY": "day",
    "WEEKLY": "week",
    "MONTHLY": "month",
    "YEARLY": "year",
}
_MOST_TIMES = 6


def describe_recurrence(text: RecurrenceText, timetable: Timetable[RecurrenceDates]) -> str:
    """Such as `every month on the last Friday at 17:30`."""
    phrases = (
        every(text.number("INTERVAL", 1), _NOUNS[text.parts["FREQ"]]),
        *_date_phrases(timetable.dates),
        *_time_phrases(text, timetable),
    )
    return ", ".join((" ".join(phrases), *_bounds(text)))


def weekday_name(number: int) -> str:
    return _WEEKDAYS[number]


def _date_phrases(dates: RecurrenceDates) -> Iterable[str]:
    days = dates.days
    period = "year" if dates.every is Every.YEAR and not days.months else "month"
    if days.months:
        yield f"in {join(MONTHS[month - 1] for month in days.months)}"
    if days.week_numbers:
        yield f"in {_ordinals(days.week_numbers)} week of the year"
    if days.year_days:
        yield f"on {_ordinals(days.year_days)} day of the year"
    if days.month_days:
        yield f"on {_ordinals(days.month_days)} day of the month"
    if days.weekdays:
        condition = "if it is" if days.month_days or days.year_days else "on"
        yield f"{condition} {_weekdays(days.weekdays, period)}"
    if dates.positions:
        yield f"(of these {_ordinals(dates.positions)})"


def _ordinals(numbers: Iterable[int]) -> str:
    """`the 1st and the last`."""
    return join(f"the {ordinal(number)}" for number in numbers)


def _weekdays(weekdays: Sequence[tuple[int, int]], period: str) -> str:
    names = [
        f"the {ordinal(number)} {_WEEKDAYS[day]}" if number else _WEEKDAYS[day]
        for day, number in weekdays
    ]
    return join(names) + (f" of the {period}" if any(number for _, number in weekdays) else "")


def _time_phrases(text: RecurrenceText, timetable: Timetable[RecurrenceDates]) -> Iterable[str]:
    units = timetable.hours, timetable.minutes, timetable.seconds
    if timetable.times_a_day <= _MOST_TIMES:
        yield f"at {join(_clock(*time) for time in product(*units))}"
        return
    hidden = {"HOURLY": 1, "MINUTELY": 2, "SECONDLY": 3}.get(text.parts["FREQ"], 0)
    for place, (noun, values) in enumerate(zip(("hour", "minute", "second"), units, strict=True)):
        is_open = place < hidden and f"BY{noun.upper()}" not in text.parts
        if not is_open and not (noun == "second" and values == (0,)):
            plural = "s" if len(values) > 1 else ""
            yield f"at {noun}{plural} {join(map(str, values))}"


def _clock(hour: int, minute: int, second: int) -> str:
    return f"{hour:02}:{minute:02}" + (f":{second:02}" if second else "")


def _bounds(text: RecurrenceText) -> Iterable[str]:
    until = text.until()
    if text.start:
        yield f"from {text.start:%Y-%m-%d %H:%M} on"
    if until:
        yield f"until {until:%Y-%m-%d %H:%M}"
    if "COUNT" in text.parts:
        yield f"{text.number('COUNT', 1)} times at most"
    if text.added:
        yield f"and on {join(f'{wall:%Y-%m-%d %H:%M}' for wall in text.added)}"
    if text.left_out:
        yield f"but not on {join(f'{wall:%Y-%m-%d %H:%M}' for wall in text.left_out)}"
