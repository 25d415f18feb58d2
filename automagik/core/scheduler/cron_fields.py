"""The text of a cron rule: its fields, and what is wrong with them. croniter expands each part."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date

from croniter import CroniterError, croniter

from automagik.core.scheduler.cron_calendar import Days, Fields
from automagik.core.scheduler.exceptions import InvalidCadence

MACROS = {
    "@HOURLY": "0 * * * *",
    "@DAILY": "0 0 * * *",
    "@MIDNIGHT": "0 0 * * *",
    "@WEEKLY": "0 0 * * 0",
    "@MONTHLY": "0 0 1 * *",
    "@YEARLY": "0 0 1 1 *",
    "@ANNUALLY": "0 0 1 1 *",
}
MONTHS = (
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
)
WEEKDAYS = ("Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday")
_PART = re.compile(
    r"(?P<low>\*|[0-9]+|[A-Z]{3})(?:-(?P<high>[0-9]+|[A-Z]{3}|L))?(?:/(?P<step>[0-9]+))?"
)
NTH_WEEKDAY = re.compile(r"([0-7]|[A-Z]{3})#([0-9]+)")
LAST_WEEKDAY = re.compile(r"L([0-7])|([0-7]|[A-Z]{3})L")


@dataclass(frozen=True, kw_only=True, slots=True)
class Texts:
    """The fields of a rule as they are written, in capitals."""

    second: str
    minute: str
    hour: str
    day: str
    month: str
    weekday: str


@dataclass(frozen=True, kw_only=True, slots=True)
class _Field:
    name: str
    low: int
    high: int
    place: int
    """Where croniter takes such values; seconds are like minutes."""
    names: tuple[str, ...] = ()
    more: str = ""

    @property
    def takes(self) -> str:
        names = f" or {self.names[0]}-{self.names[-1]}" if self.names else ""
        return f"{self.low}-{self.high}{names}, lists (,), ranges (-) and steps (/){self.more}"


def _abbreviated(names: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(name[:3].upper() for name in names)


_SECOND = _Field(name="second", low=0, high=59, place=0)
_MINUTE = _Field(name="minute", low=0, high=59, place=0)
_HOUR = _Field(name="hour", low=0, high=23, place=1)
_DAY = _Field(name="day of month", low=1, high=31, place=2, more=", L for the last day")
_MONTH = _Field(name="month", low=1, high=12, place=3, names=_abbreviated(MONTHS))
_WEEKDAY = _Field(
    name="day of week",
    low=0,
    high=7,
    place=4,
    names=_abbreviated(WEEKDAYS),
    more=", 5L for the last Friday, 5#2 for the second Friday",
)


def split_fields(expr: str) -> Texts:
    """Raises InvalidCadence when there are not 5 or 6 fields."""
    if expr.startswith("@") and expr not in MACROS:
        known = ", ".join(MACROS).lower()
        raise refusal(f"there is no {expr.lower()!r}; there are {known}")
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


def compile_fields(texts: Texts) -> Fields:
    """Raises InvalidCadence, also when no date can ever match."""
    fields = Fields(
        days=_days(texts),
        hours=_values(_HOUR, texts.hour.split(",")),
        minutes=_values(_MINUTE, texts.minute.split(",")),
        seconds=_values(_SECOND, texts.second.split(",")),
    )
    # The Gregorian calendar repeats itself, with its weekdays, every 400 years.
    if fields.days.first_from(date(2000, 1, 1), end=date(2400, 1, 1)) is None:
        raise refusal(
            f"no date ever matches day of month {texts.day!r}, month {texts.month!r}"
            f" and day of week {texts.weekday!r}"
        )
    return fields


def refusal(reason: str) -> InvalidCadence:
    return InvalidCadence(
        f"The cron rule is not valid: {reason}.",
        hint="For example: */15 * * * *, 0 9 * * MON-FRI, 0 0 L * *, @daily.",
    )


def _days(texts: Texts) -> Days:
    days = texts.day.split(",")
    plain, nth, last = _split_weekdays(texts.weekday)
    return Days(
        months=frozenset(_values(_MONTH, texts.month.split(","))),
        days=frozenset(_values(_DAY, [part for part in days if part != "L"])),
        last_day="L" in days,
        weekdays=frozenset(_values(_WEEKDAY, plain)),
        nth_weekdays=frozenset(nth),
        last_weekdays=frozenset(last),
        either=not texts.day.startswith("*") and not texts.weekday.startswith("*"),
    )


def _split_weekdays(text: str) -> tuple[list[str], set[tuple[int, int]], set[int]]:
    """The plain parts, the `5#2` as (5, 2) and the `5L` as 5."""
    plain: list[str] = []
    nth: set[tuple[int, int]] = set()
    last: set[int] = set()
    for part in text.split(","):
        if match := NTH_WEEKDAY.fullmatch(part):
            if not 1 <= int(match[2]) <= 5:
                raise _bad_part(_WEEKDAY, part, "a month has at most five of a weekday")
            nth.add((_weekday(match[1], part), int(match[2])))
        elif match := LAST_WEEKDAY.fullmatch(part):
            last.add(_weekday(match[1] or match[2], part))
        else:
            plain.append(part)
    return plain, nth, last


def _weekday(text: str, part: str) -> int:
    return _number(_WEEKDAY, text, part=part) % 7


def _values(field: _Field, parts: list[str]) -> tuple[int, ...]:
    return tuple(sorted({value for part in parts for value in _expand(field, part)}))


def _expand(field: _Field, part: str) -> Iterator[int]:
    """The values of one part, such as `*`, `5`, `MON-FRI` or `10-50/20`."""
    match = _PART.fullmatch(part)
    if not match or (match["low"] == "*" and match["high"]):
        raise _bad_part(field, part)
    low, high, step = match.group("low", "high", "step")
    first = field.low if low == "*" else _number(field, low, part=part)
    last = field.high if high in (None, "L") else _number(field, high, part=part)
    _check_step(field, step, part=part)
    if high == "L" and field is not _DAY:
        raise _bad_part(field, part)
    # To croniter a range from a value to itself is the whole field.
    if high is not None and (first == last or (first, last) == (7, 0)):
        part = low
    yield from _expand_by_croniter(field, part)


def _expand_by_croniter(field: _Field, part: str) -> Iterator[int]:
    texts = ["*"] * 5
    texts[field.place] = part
    try:
        values = croniter.expand(" ".join(texts))[0][field.place]
    except CroniterError as error:
        raise _bad_part(field, part) from error
    highest = 6 if field is _WEEKDAY else field.high
    for value in values:
        if isinstance(value, int):
            yield value
        else:
            yield from range(field.low, highest + 1)


def _number(field: _Field, text: str, *, part: str) -> int:
    if text in field.names:
        return field.names.index(text) + field.low
    if not text.isdigit():
        raise _bad_part(field, part)
    if not field.low <= int(text) <= field.high:
        raise _bad_part(field, part, f"{text} is out of range")
    return int(text)


def _check_step(field: _Field, step: str | None, *, part: str) -> None:
    """A step over the field's end would match once per round: `*/90` is no 90 minutes."""
    size = field.high - field.low + 1
    if step is not None and not 1 <= int(step) <= size:
        raise _bad_part(field, part, f"a step here is 1 to {size}; for longer ones use an interval")


def _bad_part(field: _Field, part: str, reason: str = "") -> InvalidCadence:
    why = f"{reason}; " if reason else ""
    return refusal(f"the {field.name} field cannot be {part!r}: {why}it takes {field.takes}")
