"""A cron rule in words."""

import re
from collections.abc import Iterable, Sequence

from automagik.core.scheduler.cron_calendar import Days
from automagik.core.scheduler.cron_fields import LAST_WEEKDAY, NTH_WEEKDAY, SPECIAL_DAY, Texts
from automagik.core.scheduler.cron_parts import MONTHS, WEEKDAYS
from automagik.core.scheduler.timetable import Timetable
from automagik.core.scheduler.words import join, ordinal

_MONTHS = ("", *MONTHS)
_WEEKDAYS = (*WEEKDAYS, WEEKDAYS[0])
_NUMBERS = tuple(map(str, range(60)))
_NTH = ("", "first", "second", "third", "fourth", "fifth")
_MOST_TIMES = 6


def describe_cron(texts: Texts, fields: Timetable[Days]) -> str:
    """Such as `at 09:00, Monday to Friday`. The fields are those of the texts."""
    months = _items(texts.month, sorted(fields.dates.months), names=_MONTHS)
    phrases = (
        _times(texts, fields),
        _days(texts, fields),
        "" if texts.month == "*" else f"in {months}",
    )
    return ", ".join(filter(None, phrases))


def _times(texts: Texts, fields: Timetable[Days]) -> str:
    stars = "*" in texts.hour + texts.minute + texts.second
    if not stars and len(fields.hours) * len(fields.minutes) * len(fields.seconds) <= _MOST_TIMES:
        return "at " + join(
            f"{hour:02}:{minute:02}" + (f":{second:02}" if texts.second != "0" else "")
            for hour in fields.hours
            for minute in fields.minutes
            for second in fields.seconds
        )
    phrases: list[str] = []
    for text, noun, values, size in (
        (texts.second, "second", fields.seconds, 60),
        (texts.minute, "minute", fields.minutes, 60),
        (texts.hour, "hour", fields.hours, 24),
    ):
        on_the_dot = text == "0" and not phrases and (noun == "second" or "*" in texts.hour)
        goes_without_saying = text == "*" and phrases and phrases[-1].startswith("every")
        if not on_the_dot and not goes_without_saying:
            phrases.append(_unit(text, noun, values, size=size, is_finest=not phrases))
    return " ".join(phrases)


def _unit(text: str, noun: str, values: Sequence[int], *, size: int, is_finest: bool) -> str:
    """Such as `every 5 minutes` for the finest unit and `in hours 9 to 17` for those around it."""
    step = "1" if text == "*" else text.removeprefix("*/")
    if text.startswith("*") and step.isdigit() and size % int(step) == 0:
        if is_finest:
            return f"every {noun}" if step == "1" else f"every {step} {noun}s"
        return f"in every {noun}" if step == "1" else f"in every {ordinal(int(step))} {noun}"
    place = "at" if is_finest else "in"
    plural = "s" if len(values) > 1 else ""
    return f"{place} {noun}{plural} {_items(text, values, names=_NUMBERS)}"


def _days(texts: Texts, fields: Timetable[Days]) -> str:
    days = "" if texts.day == "*" else _days_of_month(texts, fields)
    weekdays = "" if texts.weekday == "*" else _days_of_week(texts, fields)
    if days and weekdays:
        return f"{days} or {weekdays}" if fields.dates.either else f"{days} if it is {weekdays}"
    return days or weekdays


def _days_of_month(texts: Texts, fields: Timetable[Days]) -> str:
    parts = texts.day.split(",")
    special = [match for part in parts if (match := SPECIAL_DAY.fullmatch(part))]
    numbered = [part for part in parts if not SPECIAL_DAY.fullmatch(part)]
    found = [_special_day(match) for match in special]
    if numbered:
        days = sorted(day for day in fields.dates.days if day > 0)
        noun = "days" if len(days) > 1 else "day"
        found.insert(0, f"{noun} {_items(','.join(numbered), days, names=_NUMBERS)}")
    return f"on {join(found)} of the month"


def _special_day(match: re.Match[str]) -> str:
    before = int(match["before"] or 0)
    if match["day"]:
        day = f"day {match['day']}"
    else:
        day = f"the {ordinal(before)} day before the last" if before else "the last day"
    if not match[0].endswith("W"):
        return day
    return f"the weekday nearest to {day}" if match["day"] or before else "the last weekday"


def _days_of_week(texts: Texts, fields: Timetable[Days]) -> str:
    plain, of_the_month = [], []
    for part in texts.weekday.split(","):
        if match := NTH_WEEKDAY.fullmatch(part):
            of_the_month.append(f"the {_NTH[int(match[2])]} {_name(match[1], _WEEKDAYS)}")
        elif match := LAST_WEEKDAY.fullmatch(part):
            of_the_month.append(f"the last {_name(match[1] or match[2], _WEEKDAYS)}")
        else:
            plain.append(part)
    found = [f"{join(of_the_month)} of the month"] if of_the_month else []
    if plain:
        values = sorted(fields.dates.weekdays)
        found.insert(0, _items(",".join(plain), values, names=_WEEKDAYS))
    return " or ".join(found)


def _items(text: str, values: Iterable[int], *, names: Sequence[str]) -> str:
    """The parts as they are written, `9 to 17`; with steps the values themselves."""
    if "*" in text or "/" in text:
        return join(names[value] for value in values)
    return join(
        " to ".join(dict.fromkeys(_name(end, names) for end in part.split("-")))
        for part in text.split(",")
    )


def _name(text: str, names: Sequence[str]) -> str:
    if re.fullmatch("[0-9]+", text):
        return names[int(text)]
    return next((name for name in names if name.upper().startswith(text)), "the last")
