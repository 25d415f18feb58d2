"""Intervals: every so many seconds, counted from a stored anchor, so that nothing drifts."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import ClassVar

from automagik.core.scheduler.exceptions import InvalidCadence
from automagik.core.scheduler.schedule_type import ScheduleType

_UNITS = {"w": 604_800, "d": 86_400, "h": 3_600, "m": 60, "s": 1}
_WORDS = {"w": "week", "d": "day", "h": "hour", "m": "minute", "s": "second"}
_SHORT = {word: unit for unit, word in _WORDS.items()} | {"min": "m", "sec": "s", "hr": "h"}
_BY_THE_WALL = {"d": "at 09:00", "w": "on mon at 09:00"}
_LONGEST = timedelta(days=36_525)
_PARTS = re.compile(r"([0-9]+)\s*([a-z]+)", re.ASCII)
_SHAPE = re.compile(r"(?:\s*[0-9]+\s*[a-z]+)+\s*", re.ASCII)


@dataclass(frozen=True, kw_only=True, slots=True)
class Interval:
    """Occurs at anchor + n * every for n = 1, 2, 3, …: elapsed time, whatever wall clocks do."""

    type: ClassVar[ScheduleType] = ScheduleType.INTERVAL
    every: timedelta
    anchor: datetime

    @property
    def expr(self) -> str:
        return "".join(f"{count}{unit}" for count, unit in _in_units(self.every))

    def next_after(self, instant: datetime) -> datetime | None:
        count = max((instant - self.anchor) // self.every + 1, 1)
        try:
            return self.anchor + count * self.every
        except OverflowError:
            return None

    def latest_until(self, instant: datetime, *, after: datetime) -> datetime | None:
        count = (instant - self.anchor) // self.every
        if count < 1:
            return None
        latest = self.anchor + count * self.every
        return latest if latest > after else None

    def describe(self) -> str:
        parts = _in_units(self.every)
        if len(parts) == 1 and parts[0][0] == 1:
            return f"every {_WORDS[parts[0][1]]}"
        return f"every {in_words(self.every)}"


def parse_interval(expr: str, *, anchor: datetime) -> Interval:
    """Raises InvalidCadence."""
    return Interval(every=parse_every(expr), anchor=anchor.astimezone(UTC))


def in_words(duration: timedelta, *, units: int | None = None) -> str:
    """Such as `1 hour 30 minutes`; fractions of a second are left out.

    Of the units the largest `units` are said; None: all.
    """
    parts = _in_units(duration)[:units]
    return " ".join(f"{count} {_WORDS[unit]}{'s' if count > 1 else ''}" for count, unit in parts)


@lru_cache(maxsize=1024)
def parse_every(expr: str) -> timedelta:
    """Such as `30s`, `5m`, `1h30m`, `30d`. Raises InvalidCadence."""
    text = expr.strip().lower()
    if not _SHAPE.fullmatch(text):
        raise _refusal(expr, _why_no_interval(text))
    parts = _PARTS.findall(text)
    units = [unit for _, unit in parts]
    if unknown := [unit for unit in units if unit not in _UNITS]:
        raise _unknown_unit(expr, parts, unknown[0])
    if units != [unit for unit in _UNITS if unit in units]:
        raise _refusal(expr, "each unit may stand once, the larger before the smaller")
    seconds = sum(int(count) * _UNITS[unit] for count, unit in parts)
    if seconds < 1:
        raise _refusal(expr, "the shortest interval is 1s")
    if seconds > _LONGEST.total_seconds():
        raise _refusal(expr, "the longest interval is 100 years, 36525d")
    return timedelta(seconds=seconds)


def _why_no_interval(text: str) -> str:
    if re.fullmatch("[0-9]+", text):
        return f"the unit is missing; did you mean {text}m or {text}s"
    if text.startswith("-"):
        return "an interval cannot be negative"
    if "." in text:
        return "only whole numbers are possible: 1h30m, not 1.5h"
    return "an interval is made of whole numbers with units: w, d, h, m, s"


def _unknown_unit(expr: str, parts: Sequence[tuple[str, str]], unit: str) -> InvalidCadence:
    error = _refusal(expr, f"{unit!r} is no unit; they are w, d, h, m and s")
    short = [(count, _SHORT.get(word.removesuffix("s"), word)) for count, word in parts]
    if any(each not in _UNITS for _, each in short):
        return error
    hint = f"Write {''.join(count + each for count, each in short)}, counted from now on"
    if len(short) == 1 and (at := _BY_THE_WALL.get(short[0][1])):
        hint += f", or '{expr.strip()} {at}' by the clock on the wall"
    return InvalidCadence(error.message, hint=f"{hint}.")


def _refusal(expr: str, reason: str) -> InvalidCadence:
    return InvalidCadence(
        f"The interval {expr!r} is not valid: {reason}.",
        hint="For example: 30s, 5m, 2h, 1h30m, 1d.",
    )


def _in_units(every: timedelta) -> list[tuple[int, str]]:
    """Largest units first. Weeks only when they come out even: 10 days are not 1 week 3 days."""
    rest = every // timedelta(seconds=1)
    if rest and rest % _UNITS["w"] == 0:
        return [(rest // _UNITS["w"], "w")]
    found = []
    for unit in ("d", "h", "m", "s"):
        count, rest = divmod(rest, _UNITS[unit])
        if count:
            found.append((count, unit))
    return found
