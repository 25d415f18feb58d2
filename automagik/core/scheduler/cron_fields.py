"""The text of a cron rule: its fields, and what is wrong with them."""

import re
from dataclasses import dataclass
from datetime import date

from automagik.core.scheduler.cron_calendar import Days
from automagik.core.scheduler.cron_parts import (
    DAY,
    HOUR,
    MINUTE,
    MONTH,
    SECOND,
    WEEKDAY,
    bad_part,
    number,
    refusal,
    values,
)
from automagik.core.scheduler.timetable import Timetable

MACROS = {
    "@HOURLY": "0 * * * *",
    "@DAILY": "0 0 * * *",
    "@MIDNIGHT": "0 0 * * *",
    "@WEEKLY": "0 0 * * 0",
    "@MONTHLY": "0 0 1 * *",
    "@YEARLY": "0 0 1 1 *",
    "@ANNUALLY": "0 0 1 1 *",
}
NTH_WEEKDAY = re.compile(r"([0-7]|[A-Z]{3})#([0-9]+)")
LAST_WEEKDAY = re.compile(r"L([0-7])|([0-7]|[A-Z]{3})L")
SPECIAL_DAY = re.compile(r"(?:(?P<day>[0-9]+)(?=W)|L(?:-(?P<before>[0-9]+))?)W?")
FIELDS = {
    "second": SECOND,
    "minute": MINUTE,
    "hour": HOUR,
    "day": DAY,
    "month": MONTH,
    "weekday": WEEKDAY,
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Texts:
    """The fields of a rule as they are written, in capitals."""

    second: str
    minute: str
    hour: str
    day: str
    month: str
    weekday: str


def split_fields(expr: str) -> Texts:
    """Raises InvalidCadence when there are not 5 or 6 fields."""
    if expr.startswith("@") and expr not in MACROS:
        known = ", ".join(MACROS).lower()
        raise refusal(f"there is no {expr.lower()!r}; there are {known} and, alone, @every 90s")
    fields = MACROS.get(expr, expr).split()
    if len(fields) not in (5, 6):
        noun = "field" if len(fields) == 1 else "fields"
        raise refusal(f"it has {len(fields)} {noun} instead of 5 (or 6, seconds first)")
    second, minute, hour, day, month, weekday = ["0", *fields][-6:]
    return Texts(
        second=second,
        minute=minute,
        hour=hour,
        day="*" if day == "?" else day,
        month=month,
        weekday="*" if weekday == "?" else weekday,
    )


def compile_fields(texts: Texts) -> Timetable[Days]:
    """Of texts without `H`. Raises InvalidCadence, also when no date can ever match."""
    timetable = Timetable(
        dates=_dates(texts),
        hours=values(HOUR, texts.hour.split(",")),
        minutes=values(MINUTE, texts.minute.split(",")),
        seconds=values(SECOND, texts.second.split(",")),
    )
    # The Gregorian calendar repeats itself, with its weekdays, every 400 years.
    if timetable.dates.first_from(date(2000, 1, 1), end=date(2400, 1, 1)) is None:
        raise refusal(
            f"no date ever matches day of month {texts.day!r}, month {texts.month!r}"
            f" and day of week {texts.weekday!r}"
        )
    return timetable


def _dates(texts: Texts) -> Days:
    days, nearest = _split_days(texts.day)
    weekdays, nth, last = _split_weekdays(texts.weekday)
    return Days(
        months=frozenset(values(MONTH, texts.month.split(","))),
        days=frozenset(days),
        nearest=frozenset(nearest),
        weekdays=frozenset(values(WEEKDAY, weekdays)),
        nth_weekdays=frozenset(nth),
        last_weekdays=frozenset(last),
        either=not texts.day.startswith("*") and not texts.weekday.startswith("*"),
    )


def _split_days(text: str) -> tuple[set[int], set[int]]:
    """The days, and those with W; `L` is -1, `L-3` is -4."""
    days: set[int] = set()
    nearest: set[int] = set()
    for part in text.split(","):
        if match := SPECIAL_DAY.fullmatch(part):
            (nearest if part.endswith("W") else days).add(_special_day(match))
        else:
            days.update(values(DAY, [part]))
    return days, nearest


def _special_day(match: re.Match[str]) -> int:
    if match["day"]:
        return number(DAY, match["day"], part=match[0])
    count = int(match["before"] or 0)
    if count > 30:
        raise bad_part(DAY, match[0], "there are at most 30 days before the last")
    return -1 - count


def _split_weekdays(text: str) -> tuple[list[str], set[tuple[int, int]], set[int]]:
    """The plain parts, the `5#2` as (5, 2) and the `5L` as 5."""
    plain: list[str] = []
    nth: set[tuple[int, int]] = set()
    last: set[int] = set()
    for part in text.split(","):
        if match := NTH_WEEKDAY.fullmatch(part):
            if not 1 <= int(match[2]) <= 5:
                raise bad_part(WEEKDAY, part, "a month has at most five of a weekday")
            nth.add((_weekday(match[1], part), int(match[2])))
        elif match := LAST_WEEKDAY.fullmatch(part):
            last.add(_weekday(match[1] or match[2], part))
        else:
            plain.append(part)
    return plain, nth, last


def _weekday(text: str, part: str) -> int:
    return number(WEEKDAY, text, part=part) % 7
