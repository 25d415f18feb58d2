"""The parts of a cron field, such as `*`, `5`, `MON-FRI` or `10-50/20`; croniter expands them."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from automagik.core.scheduler.exceptions import InvalidCadence

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
_EXAMPLES = "*/15 * * * *, 0 9 * * MON-FRI, 0 0 L * *, @daily"


@dataclass(frozen=True, kw_only=True, slots=True)
class Field:
    name: str
    low: int
    high: int
    place: int
    """Where croniter takes such values; seconds are like minutes."""
    example: str
    names: tuple[str, ...] = ()
    more: str = ""

    @property
    def takes(self) -> str:
        names = f" or {self.names[0]}-{self.names[-1]}" if self.names else ""
        return (
            f"{self.low}-{self.high}{names}, lists (,), ranges (-), steps (/)"
            f" and H for a value by the schedule's name{self.more}"
        )


def _abbreviated(names: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(name[:3].upper() for name in names)


SECOND = Field(name="second", low=0, high=59, place=0, example="*/20 * * * * *")
MINUTE = Field(name="minute", low=0, high=59, place=0, example="0,30 * * * *")
HOUR = Field(name="hour", low=0, high=23, place=1, example="0 9-17 * * *")
DAY = Field(
    name="day of month",
    low=1,
    high=31,
    place=2,
    example="0 9 1,15 * *",
    more=", L for the last day, L-3 for the third before it, 15W for the weekday (Monday to"
    " Friday) nearest to day 15, LW for the last weekday",
)
MONTH = Field(
    name="month", low=1, high=12, place=3, example="0 9 1 JAN,JUL *", names=_abbreviated(MONTHS)
)
WEEKDAY = Field(
    name="day of week",
    low=0,
    high=7,
    place=4,
    example="0 9 * * MON,5L",
    names=_abbreviated(WEEKDAYS),
    more=", 5L for the last Friday, 5#2 for the second Friday",
)


def values(field: Field, parts: Iterable[str]) -> tuple[int, ...]:
    """Rising. Raises InvalidCadence."""
    return tuple(sorted({value for part in parts for value in _expand(field, part)}))


def number(field: Field, text: str, *, part: str) -> int:
    """One value of the part, by number or by name. Raises InvalidCadence."""
    if text in field.names:
        return field.names.index(text) + field.low
    if not text.isdigit():
        raise bad_part(field, part)
    if not field.low <= int(text) <= field.high:
        raise bad_part(field, part, f"{text} is out of range")
    return int(text)


def check_step(field: Field, step: str, *, part: str, size: int | None = None) -> None:
    """A step over the field's end would match once per round: `*/90` is no 90 minutes."""
    size = size or field.high - field.low + 1
    if not 1 <= int(step) <= size:
        raise bad_part(field, part, f"a step here is 1 to {size}; for longer ones use an interval")


def bad_part(field: Field, part: str, reason: str = "") -> InvalidCadence:
    why = f"{reason}; " if reason else ""
    return refusal(
        f"the {field.name} field cannot be {part!r}: {why}it takes {field.takes}",
        example=field.example,
    )


def refusal(reason: str, *, example: str = "") -> InvalidCadence:
    examples = ", ".join(filter(None, (example, _EXAMPLES)))
    return InvalidCadence(
        f"The cron rule is not valid: {reason}.", hint=f"For example: {examples}."
    )


def _expand(field: Field, part: str) -> Iterator[int]:
    match = _PART.fullmatch(part)
    if not match or (match["low"] == "*" and match["high"]):
        raise bad_part(field, part)
    low, high, step = match.group("low", "high", "step")
    first = field.low if low == "*" else number(field, low, part=part)
    last = field.high if high in (None, "L") else number(field, high, part=part)
    if step is not None:
        check_step(field, step, part=part)
    if high == "L" and field is not DAY:
        raise bad_part(field, part)
    # To croniter a range from a value to itself is the whole field.
    if high is not None and (first == last or (first, last) == (7, 0)):
        part = low
    yield from _expand_by_croniter(field, part)


def _expand_by_croniter(field: Field, part: str) -> Iterator[int]:
    # Not for those who have no cron rule.
    from croniter import CroniterError, croniter

    texts = ["*"] * 5
    texts[field.place] = part
    try:
        values = croniter.expand(" ".join(texts))[0][field.place]
    except CroniterError as error:
        raise bad_part(field, part) from error
    highest = 6 if field is WEEKDAY else field.high
    for value in values:
        if isinstance(value, int):
            yield value
        else:
            yield from range(field.low, highest + 1)
