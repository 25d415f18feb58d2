"""`automagik schedules`: what there is, what became of it and what will."""

from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any
from uuid import UUID

import typer

from automagik.cli import known
from automagik.cli.context import database, printer, settings
from automagik.cli.option_groups import takes
from automagik.cli.options import Watch
from automagik.cli.schedule_options import RuleOptions
from automagik.cli.selection_options import FilterOptions
from automagik.core.exceptions import InvalidInput

if TYPE_CHECKING:
    from automagik.core.scheduler.manager import SchedulerManager

app = typer.Typer()

_RECENT = 5

Name = Annotated[
    str,
    typer.Argument(
        metavar="SCHEDULE",
        help="Its name, its id's beginning, or @last.",
        autocompletion=known.schedules,
    ),
]


@app.command("list")
@takes(wanted=FilterOptions)
def list_(*, wanted: FilterOptions, watch: Watch = False) -> None:
    """List schedules, the next to run first.

    Example: automagik schedules list --status active --label team=ops
    """
    from automagik.cli import schedule_report

    schedules, selection = manager(), wanted.selection()

    def read() -> Sequence[Mapping[str, Any]]:
        return [schedule_report.as_item(schedule) for schedule in schedules.list(selection)]

    columns = partial(schedule_report.columns, printer())
    empty = "No schedules here. Create one: automagik schedules create FLOW --every 5m"
    if watch:
        from automagik.cli import live

        live.show_list(read, columns, empty=empty)
    items = read()
    printer().items(items, columns(items), empty=empty)


@app.command()
def show(schedule: Name) -> None:
    """Show one schedule: its rule, its policies, its next runs and its latest tasks.

    Example: automagik schedules show greeter-every-5m

    Example: automagik schedules show @last
    """
    from automagik.cli import schedule_report
    from automagik.core.tasks.listing import TaskFilter
    from automagik.core.tasks.manager import TaskManager

    found = manager().get(resolve(schedule))
    wanted = TaskFilter(schedule=str(found.id))
    tasks = TaskManager(database(), settings()).list(wanted, limit=_RECENT).tasks
    grace = timedelta(seconds=settings().misfire_grace_seconds)
    followers = manager().followers(found)
    schedule_report.show(printer(), found, tasks=tasks, grace=grace, followers=followers)


@app.command()
def explain(
    schedule: Name,
    *,
    at: Annotated[
        str | None,
        typer.Option("--at", metavar="TIME", help="Which occurrence; by default the latest."),
    ] = None,
) -> None:
    """Say what became of an occurrence and why: a run, or the reason that there was none.

    Example: automagik schedules explain greeter-every-5m --at 2030-12-01T09:00
    """
    from automagik.cli import explanations
    from automagik.core.scheduler.as_typed import instant_of

    found = manager().get(resolve(schedule))
    instant = None if at is None else instant_of(at, timezone=found.timezone)
    explanations.show(printer(), manager().explain(found.id, at=instant))


@app.command()
@takes(rule=RuleOptions)
def preview(
    schedule: Annotated[
        str | None,
        typer.Argument(
            metavar="SCHEDULE",
            help="A stored one instead of a rule.",
            autocompletion=known.schedules,
        ),
    ] = None,
    *,
    rule: RuleOptions,
    begin: Annotated[
        str | None, typer.Option("--from", metavar="TIME", help="A time or a date; by default now.")
    ] = None,
    end_at: Annotated[
        str | None, typer.Option("--to", metavar="TIME", help="A time, or a date with all its day.")
    ] = None,
    limit: Annotated[
        int | None,
        typer.Option("--limit", "-n", min=1, max=10_000, help="How many; by default 5."),
    ] = None,
) -> None:
    """Show when a rule occurs, and what clock changes within a year do to it. Stores nothing.

    It needs no database unless a schedule or a calendar is named.

    Example: automagik schedules preview --cron "30 2 * * *" --timezone Europe/Berlin -n 3
    """
    from automagik.cli import schedule_preview
    from automagik.core.scheduler.rule_text import RuleLimits, RuleText

    if schedule is None:
        zone = rule.timezone or settings().timezone
        text = RuleText(
            cadences=rule.required_cadences(),
            timezone=zone,
            limits=RuleLimits(**rule.limits(zone)),
        )
        wanted = schedule_preview.of_rule(
            text, start=begin, end=end_at, days=_days, shortest=settings().min_interval
        )
    elif rule != RuleOptions():
        raise InvalidInput("Either a schedule or a rule, not both.")
    else:
        stored = manager().get(resolve(schedule))
        if stored.after is not None:
            schedule_preview.show_chain(printer(), stored)
            return
        wanted = schedule_preview.of_schedule(stored, start=begin, end=end_at)
    schedule_preview.show(printer(), wanted, count=limit)


def manager() -> "SchedulerManager":
    from automagik.core.scheduler.manager import SchedulerManager

    return SchedulerManager(database(), settings())


def resolve(reference: str) -> UUID:
    return manager().resolve(reference)


def _days(calendar: str) -> frozenset[date]:
    from automagik.core.scheduler.calendars import CalendarManager

    return frozenset(each.day for each in CalendarManager(database()).holidays(calendar))
