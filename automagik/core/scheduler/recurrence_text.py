"""The text of a recurrence: lines of RFC 5545, and what is wrong with them."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from automagik.core.scheduler.exceptions import InvalidCadence
from automagik.core.scheduler.zones import first_instant, furthest_wall, wall_at, zone_named

MOST_COUNTED = 10_000
WEEKDAYS = ("MO", "TU", "WE", "TH", "FR", "SA", "SU")
_FREQUENCIES = ("SECONDLY", "MINUTELY", "HOURLY", "DAILY", "WEEKLY", "MONTHLY", "YEARLY")
_LINE = re.compile(
    r"(?:(?P<name>[A-Z]+)(?:;TZID=(?P<zone>[^:;]+)|(?P<more>;[^:]*))?:)?(?P<value>[^:]*)",
    re.IGNORECASE,
)
_TIME = re.compile(r"(?P<wall>[0-9]{8}T[0-9]{6})(?P<utc>Z?)")
_WEEKDAY = re.compile(r"([+-]?[0-9]{1,2})?(MO|TU|WE|TH|FR|SA|SU)")
_NUMBERS = {
    "INTERVAL": (1, 1_000_000),
    "COUNT": (1, MOST_COUNTED),
    "BYSECOND": (0, 59),
    "BYMINUTE": (0, 59),
    "BYHOUR": (0, 23),
    "BYMONTH": (1, 12),
    "BYMONTHDAY": (-31, 31),
    "BYYEARDAY": (-366, 366),
    "BYWEEKNO": (-53, 53),
    "BYSETPOS": (-366, 366),
}
_NAMES = ("FREQ", "UNTIL", "WKST", "BYDAY", *_NUMBERS)


@dataclass(frozen=True, kw_only=True, slots=True)
class RecurrenceText:
    """The rule part by part, and the wall times of the other lines in the zone of the rule."""

    canonical: str
    zone: ZoneInfo
    parts: Mapping[str, str]
    start: datetime | None
    added: tuple[datetime, ...]
    left_out: tuple[datetime, ...]

    def numbers(self, name: str) -> tuple[int, ...]:
        """Rising, without repetition. Raises InvalidCadence."""
        texts = self.parts[name].split(",") if name in self.parts else []
        return tuple(sorted({_number(name, text) for text in texts}))

    def number(self, name: str, default: int) -> int:
        return _number(name, self.parts[name]) if name in self.parts else default

    def weekdays(self) -> tuple[tuple[int, int], ...]:
        """(0, 2) is the second Monday, (0, 0) every Monday. Raises InvalidCadence."""
        texts = self.parts["BYDAY"].split(",") if "BYDAY" in self.parts else []
        return tuple(sorted({_weekday(text) for text in texts}))

    def until(self) -> datetime | None:
        return wall_of(self.parts["UNTIL"], zone=self.zone) if "UNTIL" in self.parts else None


@dataclass(frozen=True, kw_only=True, slots=True)
class _Line:
    name: str
    zone: str | None
    value: str

    def __str__(self) -> str:
        zone = f";TZID={self.zone}" if self.zone else ""
        return f"{self.name}{zone}:{self.value}"

    def walls(self, zone: ZoneInfo) -> tuple[datetime, ...]:
        return tuple(
            wall_of(text, zone=zone, written_in=self.zone) for text in self.value.split(",")
        )


def read_recurrence(expr: str, *, timezone: str) -> RecurrenceText:
    """Raises InvalidCadence."""
    if expr.split(maxsplit=1)[0].isalpha():
        raise InvalidCadence(
            refusal("it is made of parts such as FREQ=WEEKLY, not of words").message,
            hint="Words are for --every: 'week on fri at 09:00'."
            " As a recurrence rule: FREQ=WEEKLY;BYDAY=FR;BYHOUR=9.",
        )
    lines = [_line(text) for text in expr.split()]
    rule = _only(lines, "RRULE")
    start = _only(lines, "DTSTART")
    if rule is None:
        raise refusal("it has no rule, FREQ=…")
    zone = zone_named((_own_zone(start) if start else None) or timezone)
    return RecurrenceText(
        canonical="\n".join(map(str, lines)) if len(lines) > 1 else rule.value,
        zone=zone,
        parts=_parts(rule.value),
        start=_single(start.walls(zone)) if start else None,
        added=_walls(lines, "RDATE", zone),
        left_out=_walls(lines, "EXDATE", zone),
    )


def wall_of(text: str, *, zone: ZoneInfo, written_in: str | None = None) -> datetime:
    """What clocks in the zone show at `20261201T090000Z`, or there, or where it was written."""
    match = _TIME.fullmatch(text)
    if not match:
        raise refusal(f"{text!r} is no date with a time, such as 20261201T090000")
    try:
        wall = datetime.strptime(match["wall"], "%Y%m%dT%H%M%S")  # noqa: DTZ007 - a wall
    except ValueError as error:
        raise refusal(f"there is no time {text!r} ({error})") from error
    if not 1900 <= wall.year <= 9000:
        raise refusal(f"the year of {text!r} is not between 1900 and 9000")
    if match["utc"]:
        return furthest_wall(wall.replace(tzinfo=UTC), zone)
    if written_in and written_in != zone.key:
        return wall_at(first_instant(wall, zone_named(written_in)), zone)
    return wall


def refusal(reason: str) -> InvalidCadence:
    return InvalidCadence(
        f"The recurrence rule is not valid: {reason}.",
        hint="For example: FREQ=WEEKLY;INTERVAL=2;BYDAY=MO,TH;BYHOUR=9;BYMINUTE=0,"
        " FREQ=MONTHLY;BYDAY=-1FR;BYHOUR=17;BYMINUTE=30.",
    )


def _line(text: str) -> _Line:
    match = _LINE.fullmatch(text)
    name = ((match and match["name"]) or "RRULE").upper()
    if not match or match["more"] or name not in ("RRULE", "DTSTART", "RDATE", "EXDATE"):
        raise refusal(
            f"{text!r} is no line of it; the lines are RRULE, DTSTART, RDATE and EXDATE,"
            " each with ;TZID=Zone or without"
        )
    return _Line(name=name, zone=match["zone"], value=match["value"].upper())


def _only(lines: list[_Line], name: str) -> _Line | None:
    found = [line for line in lines if line.name == name]
    if len(found) > 1:
        raise refusal(f"it has {len(found)} lines {name} instead of one")
    return found[0] if found else None


def _own_zone(start: _Line) -> str | None:
    return "UTC" if start.value.endswith("Z") else start.zone


def _single(walls: tuple[datetime, ...]) -> datetime:
    if len(walls) != 1:
        raise refusal("DTSTART is one time")
    return walls[0]


def _walls(lines: list[_Line], name: str, zone: ZoneInfo) -> tuple[datetime, ...]:
    return tuple(sorted({wall for line in lines if line.name == name for wall in line.walls(zone)}))


def _parts(rule: str) -> dict[str, str]:
    parts: dict[str, str] = {}
    for text in rule.rstrip(";").split(";"):
        name, equals, value = text.partition("=")
        if name not in _NAMES or not equals:
            raise refusal(f"{text!r} is no part of it; the parts are {', '.join(_NAMES)}")
        if name in parts:
            raise refusal(f"{name} stands twice")
        parts[name] = value
    _check_words(parts)
    return parts


def _check_words(parts: dict[str, str]) -> None:
    if parts.get("FREQ") not in _FREQUENCIES:
        raise refusal(f"FREQ is one of {', '.join(_FREQUENCIES)}")
    if parts.get("WKST", "MO") not in WEEKDAYS:
        raise refusal(f"WKST is one of {', '.join(WEEKDAYS)}")
    if "COUNT" in parts and "UNTIL" in parts:
        raise refusal("it ends by COUNT or by UNTIL, not by both")


def _number(name: str, text: str) -> int:
    low, high = _NUMBERS[name]
    value = int(text) if re.fullmatch(r"[+-]?[0-9]{1,9}", text) else None
    if value is None or not low <= value <= high or (low < 0 and not value):
        but = " but 0" if low < 0 else ""
        raise refusal(f"{name} cannot be {text!r}: it takes {low} to {high}{but}")
    return value


def _weekday(text: str) -> tuple[int, int]:
    match = _WEEKDAY.fullmatch(text)
    number = int((match and match[1]) or 0)
    if not match or (match[1] and not 1 <= abs(number) <= 53):
        raise refusal(
            f"BYDAY cannot be {text!r}: it takes {', '.join(WEEKDAYS)}, and with a number 1MO for"
            " the first Monday, -1FR for the last Friday"
        )
    return WEEKDAYS.index(match[2]), number
