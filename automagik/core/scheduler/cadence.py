"""Time rules: when a schedule is due. Pure; the clock is an argument.

One parser and one calculator for command line, beat and API. The rules themselves:
intervals in `interval.py`, cron (dialect and behaviour at clock changes) in `cron.py`, one-shots in
`oneshot.py`, recurrence rules of RFC 5545 in `recurrence.py`, "every 2 weeks on mon" in
`calendar_interval.py`; the last two and cron follow the clock on the wall, `wall_clock.py`.
"""

from collections.abc import Iterator
from datetime import datetime
from difflib import get_close_matches
from itertools import islice
from typing import Protocol

from automagik.core.scheduler.calendar_interval import parse_calendar
from automagik.core.scheduler.cron import every_of, parse_cron
from automagik.core.scheduler.dst import DEFAULT, Dst
from automagik.core.scheduler.exceptions import InvalidCadence
from automagik.core.scheduler.interval import Interval, parse_interval
from automagik.core.scheduler.oneshot import OneShot, load_oneshot, parse_oneshot
from automagik.core.scheduler.recurrence import parse_recurrence
from automagik.core.scheduler.schedule_type import ScheduleType
from automagik.core.scheduler.zones import zone_named

__all__ = [
    "Cadence",
    "Dst",
    "Interval",
    "OneShot",
    "ScheduleType",
    "load_cadence",
    "occurrences",
    "parse_cadence",
    "upcoming",
]

_LONGEST_TEXT = 1000
_EXAMPLES = "For example: 5m, 0 9 * * 1-5, 2030-12-01T09:00, every 2 weeks on mon at 09:00."


class Cadence(Protocol):
    """A time rule. Instants are aware; answers are in UTC."""

    @property
    def type(self) -> ScheduleType: ...

    @property
    def expr(self) -> str:
        """The canonical text that is stored; load_cadence makes an equal cadence of it."""
        ...

    def next_after(self, instant: datetime) -> datetime | None:
        """The first occurrence strictly later; None: never again."""
        ...

    def latest_until(self, instant: datetime, *, after: datetime) -> datetime | None:
        """The newest occurrence in (after, instant], at the same cost for years as for minutes."""
        ...

    def describe(self) -> str:
        """The rule in words."""
        ...


def parse_cadence(
    type_: str, expr: str, *, timezone: str, now: datetime, name: str = "", dst: Dst = DEFAULT
) -> Cadence:
    """What a person typed; rules that count from somewhere count from now.

    The name decides the values of `H` in a cron rule. Raises InvalidCadence with what is wrong and
    an example.
    """
    if _type_named(type_) is ScheduleType.ONESHOT:
        _check_text(expr)
        return parse_oneshot(expr, timezone=timezone, now=now)
    return load_cadence(type_, expr, timezone=timezone, anchor=now, name=name, dst=dst)


def load_cadence(
    type_: str,
    expr: str,
    *,
    timezone: str,
    anchor: datetime,
    name: str = "",
    dst: Dst = DEFAULT,
) -> Cadence:
    """What is stored, so a one-shot may be past. Parsed rules are cached: beat asks at every fire.

    Raises InvalidCadence.
    """
    kind = _type_named(type_)
    _check_text(expr)
    match kind:
        case ScheduleType.INTERVAL:
            zone_named(timezone)
            return parse_interval(expr, anchor=anchor)
        case ScheduleType.CRON if every := every_of(expr):
            return load_cadence(ScheduleType.INTERVAL, every, timezone=timezone, anchor=anchor)
        case ScheduleType.CRON:
            return parse_cron(expr, timezone=timezone, name=name, dst=dst)
        case ScheduleType.ONESHOT:
            return load_oneshot(expr, timezone=timezone)
        case ScheduleType.RRULE:
            return parse_recurrence(expr, timezone=timezone, anchor=anchor, dst=dst)
        case ScheduleType.CALENDAR:
            return parse_calendar(expr, timezone=timezone, anchor=anchor, dst=dst)
        case ScheduleType.AFTER:
            raise InvalidCadence(
                "A schedule of type after has no time rule.",
                hint="Say what it follows: automagik schedules create FLOW --after SCHEDULE",
            )


def upcoming(cadence: Cadence, *, after: datetime, count: int) -> list[datetime]:
    """The next occurrences, at most count: there may be fewer, or none."""
    return list(islice(occurrences(cadence, after), count))


def occurrences(cadence: Cadence, instant: datetime) -> Iterator[datetime]:
    """Those after an instant, one after the other."""
    while (found := cadence.next_after(instant)) is not None:
        yield found
        instant = found


def _type_named(name: str) -> ScheduleType:
    try:
        return ScheduleType(name)
    except ValueError:
        close = get_close_matches(name.lower(), [*ScheduleType], n=1)
        raise InvalidCadence(
            f"{name!r} is no type of schedule" + (f"; did you mean {close[0]}?" if close else "."),
            hint=f"The types are {', '.join(ScheduleType)}.",
        ) from None


def _check_text(expr: str) -> None:
    """Digits of other scripts count as digits in Python; here they would only be misread."""
    if not expr.strip():
        raise InvalidCadence("The time rule is empty.", hint=_EXAMPLES)
    if not expr.isascii():
        odd = next(character for character in expr if not character.isascii())
        raise InvalidCadence(
            f"{expr!r} contains {odd!r}: a time rule is written in plain ASCII.",
            hint=_EXAMPLES,
        )
    if len(expr) > _LONGEST_TEXT:
        raise InvalidCadence(f"A time rule has at most {_LONGEST_TEXT} characters.")
