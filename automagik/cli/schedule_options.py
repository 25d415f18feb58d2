"""Options that say when: --every, --cron and the like, and what limits them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer

from automagik.cli import known
from automagik.core.exceptions import InvalidInput
from automagik.core.scheduler.as_typed import every_text, instant_of
from automagik.core.scheduler.dst import Fold, Gap
from automagik.core.scheduler.holidays import OnHoliday

if TYPE_CHECKING:
    from automagik.core.scheduler.rule_text import CadenceText

_EXAMPLE = "For example: --every 5m, --cron '0 9 * * 1-5', --at 2030-12-01T09:00"


@dataclass(frozen=True, kw_only=True, slots=True)
class RuleOptions:
    """What was said about when; several rules make a union."""

    every: Annotated[
        list[str] | None,
        typer.Option(
            "--every",
            metavar="INTERVAL",
            help="30s, 5m, 1h30m, …, or by the calendar: '2 weeks on mon at 09:00'; repeatable.",
        ),
    ] = None
    cron: Annotated[
        list[str] | None,
        typer.Option(
            "--cron",
            metavar="EXPR",
            help="'0 9 * * 1-5', @daily, …; 6 fields: seconds first; repeatable.",
        ),
    ] = None
    rrule: Annotated[
        list[str] | None,
        typer.Option(
            "--rrule", metavar="RRULE", help="'FREQ=MONTHLY;BYDAY=-1FR;BYHOUR=9'; repeatable."
        ),
    ] = None
    at: Annotated[
        list[str] | None,
        typer.Option(
            "--at",
            metavar="TIME",
            help="Once: 2030-12-01T09:00, with or without zone; in 10m; now; repeatable.",
        ),
    ] = None
    type_: Annotated[
        str | None,
        typer.Option(
            "--type",
            metavar="TYPE",
            help="interval, cron, oneshot, rrule or calendar; together with --expr.",
            autocompletion=known.types,
        ),
    ] = None
    expr: Annotated[
        str | None, typer.Option("--expr", metavar="EXPR", help="The rule of this --type.")
    ] = None
    timezone: Annotated[
        str | None,
        typer.Option(
            "--timezone",
            "--tz",
            metavar="ZONE",
            help="IANA zone; by default TIMEZONE.",
            autocompletion=known.zones,
        ),
    ] = None
    exclude: Annotated[
        list[str] | None,
        typer.Option(
            "--exclude",
            metavar="WHEN",
            help="2026-12-24, 2026-12-24..2027-01-02, or minutes by cron; repeatable.",
        ),
    ] = None
    calendar: Annotated[
        str | None,
        typer.Option(
            "--calendar",
            metavar="NAME",
            help="Its days are holidays.",
            autocompletion=known.calendars,
        ),
    ] = None
    on_holiday: Annotated[
        OnHoliday | None,
        typer.Option("--on-holiday", help="Not at all, or moved; by default skip."),
    ] = None
    quiet_hours: Annotated[
        str | None,
        typer.Option("--quiet-hours", metavar="HH:MM-HH:MM", help="Never then, such as at night."),
    ] = None
    start: Annotated[
        str | None, typer.Option("--start", metavar="TIME", help="Not before; a time or a date.")
    ] = None
    end: Annotated[
        str | None,
        typer.Option("--end", metavar="TIME", help="Not from then on; a date is the last day."),
    ] = None
    dst_gap: Annotated[
        Gap | None,
        typer.Option("--dst-gap", help="A time that clocks leave out; by default next: after it."),
    ] = None
    dst_fold: Annotated[
        Fold | None, typer.Option("--dst-fold", help="A time shown twice; by default first.")
    ] = None

    def cadences(self) -> "tuple[CadenceText, ...]":
        """Raises InvalidInput."""
        from automagik.core.scheduler.rule_text import CadenceText

        if (self.type_ is None) != (self.expr is None):
            raise InvalidInput("--type and --expr belong together.", hint=_EXAMPLE)
        rules = [every_text(text) for text in self.every or ()]
        for kind, texts in (("cron", self.cron), ("rrule", self.rrule), ("oneshot", self.at)):
            rules += [CadenceText(type=kind, expr=text) for text in texts or ()]
        if self.type_ is not None and self.expr is not None:
            rules.append(CadenceText(type=self.type_, expr=self.expr))
        return tuple(rules)

    def required_cadences(self) -> "tuple[CadenceText, ...]":
        """At least one. Raises InvalidInput."""
        if found := self.cadences():
            return found
        raise InvalidInput("The time rule is missing.", hint=_EXAMPLE)

    def limits(self, timezone: str) -> Mapping[str, Any]:
        """What was said, by the names in RuleLimits. Raises InvalidCadence."""
        said = {
            "exclusions": None if self.exclude is None else tuple(map(str.strip, self.exclude)),
            "calendar": self.calendar,
            "on_holiday": self.on_holiday,
            "quiet_hours": self.quiet_hours,
            "starts_at": self.start and instant_of(self.start, timezone=timezone),
            "ends_at": self.end and instant_of(self.end, timezone=timezone, whole_day=True),
            "dst_gap": self.dst_gap,
            "dst_fold": self.dst_fold,
        }
        return {name: value for name, value in said.items() if value}
