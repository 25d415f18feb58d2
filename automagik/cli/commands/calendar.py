"""`automagik calendar`: upcoming runs by day, as a picture, as rows or as an iCalendar file."""

from calendar import monthrange
from collections.abc import Sequence
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Annotated

import typer

from automagik.cli import context, known
from automagik.core.exceptions import InvalidInput

if TYPE_CHECKING:
    from automagik.core.scheduler.agenda import Agenda, Entry
    from automagik.core.scheduler.values import Schedule

app = typer.Typer()

_ICS_DAYS = 30


@app.command()
def calendar(
    *,
    month: Annotated[
        str | None, typer.Option("--month", metavar="YYYY-MM", help="By default this one.")
    ] = None,
    week: Annotated[bool, typer.Option("--week", help="Today and the six days after.")] = False,
    day: Annotated[
        str | None, typer.Option("--day", metavar="YYYY-MM-DD", help="One day, hour by hour.")
    ] = None,
    flow: Annotated[
        str | None,
        typer.Option(
            "--flow", metavar="FLOW", help="Only of this flow.", autocompletion=known.flows
        ),
    ] = None,
    label: Annotated[
        list[str] | None,
        typer.Option("--label", metavar="KEY[=VALUE]", help="Only with this label; repeatable."),
    ] = None,
    timezone: Annotated[
        str | None,
        typer.Option(
            "--timezone",
            "--tz",
            metavar="ZONE",
            help="By default TIMEZONE.",
            autocompletion=known.zones,
        ),
    ] = None,
    ics: Annotated[
        bool, typer.Option("--ics", help="Write an iCalendar file; by default of 30 days.")
    ] = False,
) -> None:
    """Show what active schedules are going to start, day by day, and where starts come together.

    A collision is a minute in which two or more start. What starts oftener than hourly is told as a
    number and collides with nothing.

    Example: automagik calendar --month 2030-12

    Example: automagik calendar --ics > runs.ics
    """
    from automagik.cli import calendar_report
    from automagik.cli.selection_options import FilterOptions
    from automagik.core.scheduler.agenda import agenda
    from automagik.core.scheduler.agenda_ics import ics_text
    from automagik.core.scheduler.manager import SchedulerManager
    from automagik.core.scheduler.zones import zone_named

    zone = zone_named(timezone or context.settings().timezone)
    today = _now().astimezone(zone).date()
    days = _days(month, day, today=today, is_week=week, is_file=ics)
    wanted = FilterOptions(flow=flow, label=label).selection(status="active")
    schedules = SchedulerManager(context.database(), context.settings()).list(wanted)
    found = agenda(
        [_entry(schedule) for schedule in schedules if schedule.after is None],
        days=days,
        zone=zone,
        now=_now(),
        places=_places(),
    )
    if ics:
        context.printer().raw(ics_text(found, now=_now()))
        _say_cut(found)
    else:
        calendar_report.show(
            context.printer(), found, zone=zone, today=today, is_day=day is not None
        )


def _days(
    month: str | None, day: str | None, *, today: date, is_week: bool, is_file: bool
) -> Sequence[date]:
    if sum((month is not None, day is not None, is_week)) > 1:
        raise InvalidInput("A month, a week or a day: only one of them.")
    if day is not None:
        return [_date(day, shape="%Y-%m-%d", example="2030-12-01")]
    if is_week or (is_file and month is None):
        return [today + timedelta(days=each) for each in range(7 if is_week else _ICS_DAYS)]
    first = _date(month, shape="%Y-%m", example="2030-12") if month else today.replace(day=1)
    length = monthrange(first.year, first.month)[1]
    return [first + timedelta(days=each) for each in range(length)]


def _date(text: str, *, shape: str, example: str) -> date:
    try:
        found = datetime.strptime(text.strip(), shape).date()  # noqa: DTZ007 - a date has no zone
    except ValueError:
        raise InvalidInput(f"{text!r} cannot be read.", hint=f"For example: {example}") from None
    if not 1900 < found.year < 9000:
        raise InvalidInput(f"{text!r} is too far away.", hint=f"For example: {example}")
    return found


def _entry(schedule: "Schedule") -> "Entry":
    from automagik.core.scheduler.agenda import Entry

    most = schedule.policies.max_runs
    return Entry(
        schedule_id=schedule.id,
        name=schedule.name,
        flow=schedule.flow_name,
        source=schedule.source_name,
        rule=schedule.rule,
        policies=schedule.policies,
        left=None if most is None else most - schedule.runs,
    )


def _places() -> dict[str, int]:
    from automagik.core.flows.sources import SourceManager

    sources = SourceManager(context.database(), context.settings()).list()
    return {source.name: source.max_parallel_runs for source in sources}


def _say_cut(found: "Agenda") -> None:
    from automagik.core.scheduler.agenda_ics import MOST_EVENTS

    if len(found.lines) > MOST_EVENTS:
        context.printer().say(
            f"Only the first {MOST_EVENTS} of {len(found.lines)} events are written:"
            " choose fewer days, or --flow or --label."
        )


def _now() -> datetime:
    return datetime.now().astimezone()
