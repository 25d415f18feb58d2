"""When a rule occurs, before anybody stores it."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from automagik.cli.printer import Column, Printer
from automagik.cli.times import at, relative
from automagik.core.scheduler.cadence import Cadence, parse_cadence, upcoming
from automagik.core.scheduler.oneshot import load_oneshot

if TYPE_CHECKING:
    from automagik.core.scheduler.values import CadenceText, Schedule

_DATE = re.compile(r"\s*[0-9]{4}-[0-9]{2}-[0-9]{2}\s*")


@dataclass(frozen=True, kw_only=True, slots=True)
class Preview:
    """A rule, and from when on it is looked at."""

    cadence: Cadence
    timezone: str
    start: datetime


def of_rule(given: "CadenceText", *, timezone: str, start: str | None) -> Preview:
    """An interval counts from the start. Raises InvalidCadence."""
    begin = _instant(start, timezone=timezone)
    cadence = parse_cadence(given.type, given.expr, timezone=timezone, now=begin)
    return Preview(cadence=cadence, timezone=timezone, start=begin)


def of_schedule(schedule: "Schedule", *, start: str | None) -> Preview:
    """As if it were active. Raises InvalidCadence."""
    begin = _instant(start, timezone=schedule.timezone)
    return Preview(cadence=schedule.cadence, timezone=schedule.timezone, start=begin)


def show(printer: Printer, preview: Preview, *, count: int) -> None:
    printer.say(preview.cadence.describe())
    instants = upcoming(preview.cadence, after=preview.start, count=count)
    printer.items(
        [_item(instant, preview.timezone) for instant in instants],
        _columns(preview) if printer.for_people else (Column("at"), Column("local")),
        empty="It never occurs after that.",
    )


def _instant(text: str | None, *, timezone: str) -> datetime:
    """A date alone means its midnight there."""
    if text is None or text.strip().lower() == "now":
        return datetime.now(UTC).replace(microsecond=0)
    if _DATE.fullmatch(text):
        text = f"{text.strip()}T00:00"
    return load_oneshot(text, timezone=timezone).at


def _item(instant: datetime, timezone: str) -> dict[str, Any]:
    local = instant.astimezone(ZoneInfo(timezone))
    return {"at": instant, "local": local.isoformat(), "timezone": timezone}


def _columns(preview: Preview) -> tuple[Column, ...]:
    return (
        Column("at", "Local time", format=partial(at, zone=preview.timezone)),
        Column("at", "UTC", format=lambda instant: f"{instant:%Y-%m-%d %H:%M:%S}"),
        Column("at", "From then", format=partial(relative, now=preview.start)),
    )
