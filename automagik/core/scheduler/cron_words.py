"""A cron rule in words."""

import re
from collections.abc import Iterable, Sequence

from automagik.core.scheduler.cron_calendar import Fields
from automagik.core.scheduler.cron_fields import LAST_WEEKDAY, MONTHS, NTH_WEEKDAY, WEEKDAYS, Texts

_MONTHS = ("", *MONTHS)
_WEEKDAYS = (*WEEKDAYS, WEEKDAYS[0])
_NUMBERS = tuple(map(str, range(60)))
_NTH = ("", "first", "second", "third", "fourth", "fifth")
_MOST_TIMES = 6


def describe_cron(texts: Texts, fields: Fields) -> str:
    """Such as `at 09:00, Monday to Friday`. The fields are those of the texts."""
    months = _items(texts.month, sorted(fields.days.months), names=_MONTHS)
    phrases = (
        _times(texts, fields),
        _days(texts, fields),
        "" if texts.month == "*" else f"in {months}",
    )
    return ", ".join(filter(None, phrases))


def _times(texts: Texts, fields: Fields) -> str:
    stars = "*" in texts.hour + texts.minute + texts.second
    if not stars and len(fields.hours) * len(fields.minutes) * len(fields.seconds) <= _MOST_TIMES:
        return "at " + _join(
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
        return f"in every {noun}" if step == "1" else f"in every {_ordinal(int(step))} {noun}"
    place = "at" if is_finest else "in"
    plural = "s" if len(values) > 1 else ""
    return f"{place} {noun}{plural} {_items(text, values, names=_NUMBERS)}"


def _days(texts: Texts, fields: Fields) -> str:
    days = "" if texts.day == "*" else _days_of_month(texts, fields)
    weekdays = "" if texts.weekday == "*" else _days_of_week(texts, fields)
    if days and weekdays:
        return f"{days} or {weekdays}" if fields.days.either else f"{days} if it is {weekdays}"
    return days or weekdays


def _days_of_month(texts: Texts, fields: Fields) -> str:
    numbered = ",".join(part for part in texts.day.split(",") if part != "L")
    found = ["the last day"] if fields.days.last_day else []
    if numbered:
        noun = "days" if len(fields.days.days) > 1 else "day"
        found.insert(0, f"{noun} {_items(numbered, sorted(fields.days.days), names=_NUMBERS)}")
    return f"on {_join(found)} of the month"


def _days_of_week(texts: Texts, fields: Fields) -> str:
    plain, of_the_month = [], []
    for part in texts.weekday.split(","):
        if match := NTH_WEEKDAY.fullmatch(part):
            of_the_month.append(f"the {_NTH[int(match[2])]} {_name(match[1], _WEEKDAYS)}")
        elif match := LAST_WEEKDAY.fullmatch(part):
            of_the_month.append(f"the last {_name(match[1] or match[2], _WEEKDAYS)}")
        else:
            plain.append(part)
    found = [f"{_join(of_the_month)} of the month"] if of_the_month else []
    if plain:
        values = sorted(fields.days.weekdays)
        found.insert(0, _items(",".join(plain), values, names=_WEEKDAYS))
    return " or ".join(found)


def _items(text: str, values: Iterable[int], *, names: Sequence[str]) -> str:
    """The parts as they are written, `9 to 17`; with steps the values themselves."""
    if "*" in text or "/" in text:
        return _join(names[value] for value in values)
    return _join(
        " to ".join(dict.fromkeys(_name(end, names) for end in part.split("-")))
        for part in text.split(",")
    )


def _name(text: str, names: Sequence[str]) -> str:
    if re.fullmatch("[0-9]+", text):
        return names[int(text)]
    return next((name for name in names if name.upper().startswith(text)), "the last")


def _ordinal(number: int) -> str:
    return f"{number}th" if number > 3 else ("", "1st", "2nd", "3rd")[number]


def _join(items: Iterable[str]) -> str:
    found = list(items)
    return " and ".join(filter(None, (", ".join(found[:-1]), found[-1])))
