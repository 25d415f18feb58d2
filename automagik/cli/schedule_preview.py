"""When a rule occurs, before anybody stores it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from functools import partial
from itertools import islice, takewhile
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from automagik.cli.printer import Column, Printer
from automagik.cli.times import relative
from automagik.core.scheduler.as_typed import instant_of
from automagik.core.scheduler.cadence import occurrences
from automagik.core.scheduler.clock_changes import clock_changes
from automagik.core.scheduler.new_rule import canonical, checked_rule
from automagik.core.scheduler.rule import DaysOf, Rule
from automagik.core.scheduler.rule_text import RuleText
from automagik.core.scheduler.zones import whole_second, zone_named

if TYPE_CHECKING:
    from automagik.core.scheduler.values import Schedule

COUNT, COUNT_UNTIL = 5, 10_000
"""How many are shown unless it is said; the latter up to a given end."""
_AHEAD = timedelta(days=366)
_NOTES = 6


@dataclass(frozen=True, kw_only=True, slots=True)
class Preview:
    """A rule, and what part of it is looked at."""

    rule: Rule
    timezone: str
    start: datetime
    end: datetime | None
    lacks_name: bool = False
    """Whether the name of the schedule, which is not known, decides when it occurs."""

    def occurrences(self, count: int | None) -> Sequence[datetime]:
        found = occurrences(self.rule, self.start)
        if self.end is None:
            return list(islice(found, count or COUNT))
        end = self.end
        return list(islice(takewhile(lambda at: at <= end, found), count or COUNT_UNTIL))


def of_rule(
    text: RuleText, *, start: str | None, end: str | None, days: DaysOf, shortest: timedelta
) -> Preview:
    """An interval counts from the start. Raises InvalidCadence."""
    zone_named(text.timezone)
    begin = _begin(start, timezone=text.timezone)
    text = canonical(text, now=begin, name="")
    rule = checked_rule(
        text, anchor=whole_second(begin), name="", days=days, now=begin, shortest=shortest
    )
    return Preview(
        rule=rule,
        timezone=text.timezone,
        start=begin,
        end=_end(end, timezone=text.timezone),
        lacks_name=text.depends_on_name,
    )


def of_schedule(schedule: "Schedule", *, start: str | None, end: str | None) -> Preview:
    """As if it were active. Raises InvalidCadence."""
    zone = schedule.timezone
    return Preview(
        rule=schedule.rule,
        timezone=zone,
        start=_begin(start, timezone=zone),
        end=_end(end, timezone=zone),
    )


def show(printer: Printer, preview: Preview, *, count: int | None) -> None:
    printer.say(preview.rule.describe())
    if preview.lacks_name:
        printer.say("! The name of the schedule decides what H is: with a name it is another time.")
    for change in clock_changes(preview.rule, after=preview.start, until=preview.start + _AHEAD)[
        :_NOTES
    ]:
        printer.say(f"! {change.describe()}")
    never = preview.rule.next_after(preview.start) is None
    printer.items(
        [_item(instant, preview.timezone) for instant in preview.occurrences(count)],
        _columns(preview) if printer.for_people else (Column("at"), Column("local")),
        empty="It never fires after that." if never else "It does not fire in that time.",
    )


def show_chain(printer: Printer, chain: "Schedule") -> None:
    """It has no times of its own."""
    words = f"{chain.name} runs {chain.describe()}: it has no times of its own."
    if chain.after is not None and chain.after.schedule_id is not None:
        words += f" See when that is: automagik schedules preview {chain.after.name}"
    printer.items([], (Column("at"), Column("local")), empty=words)


def _begin(text: str | None, *, timezone: str) -> datetime:
    if text is None or text.strip().lower() == "now":
        return datetime.now(UTC).replace(microsecond=0)
    return instant_of(text, timezone=timezone)


def _end(text: str | None, *, timezone: str) -> datetime | None:
    return None if text is None else instant_of(text, timezone=timezone, whole_day=True)


def _item(instant: datetime, timezone: str) -> dict[str, Any]:
    local = instant.astimezone(ZoneInfo(timezone))
    here = instant.astimezone().isoformat()
    return {"at": instant, "local": local.isoformat(), "timezone": timezone, "here": here}


def _columns(preview: Preview) -> tuple[Column, ...]:
    zone = ZoneInfo(preview.timezone)
    return (
        Column("at", preview.timezone, format=partial(_with_offset, zone=zone)),
        Column("at", "Your time", format=partial(_with_offset, zone=None)),
        Column("at", "From then", format=partial(relative, now=preview.start)),
    )


def _with_offset(instant: datetime, zone: tzinfo | None) -> str:
    """`Sun 29 Mar 2026 03:00:00 +02:00`."""
    local = instant.astimezone(zone)
    return f"{local:%a} {local.day} {local:%b %Y %H:%M:%S} {local.isoformat()[-6:]}"
