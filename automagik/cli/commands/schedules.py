"""`automagik schedules`: when flows run."""

from datetime import date, timedelta
from typing import TYPE_CHECKING, Annotated, Literal
from uuid import UUID

import typer

from automagik.cli import person
from automagik.cli.context import database, printer, settings
from automagik.cli.option_groups import takes
from automagik.cli.options import (
    InputText,
    MaxRetries,
    Priority,
    Queue,
    Session,
    Timeout,
    Tweaks,
    Wait,
    Yes,
)
from automagik.cli.policy_options import PolicyOptions
from automagik.cli.schedule_options import RuleOptions
from automagik.core.exceptions import InvalidInput

if TYPE_CHECKING:
    from automagik.core.scheduler.manager import SchedulerManager

app = typer.Typer()

_ACTOR = "cli"
_RECENT = 5

Name = Annotated[str, typer.Argument(metavar="SCHEDULE", help="Its name, or its id's beginning.")]


@app.command()
@takes(rule=RuleOptions, policies=PolicyOptions)
def create(
    flow: Annotated[str, typer.Argument(metavar="FLOW", help="Its name, or its id's beginning.")],
    *,
    rule: RuleOptions,
    name: Annotated[str | None, typer.Option("--name", help="Made up if it is missing.")] = None,
    text: InputText = None,
    tweak: Tweaks = None,
    session: Session = None,
    priority: Priority = None,
    queue: Queue = None,
    max_retries: MaxRetries = None,
    timeout: Timeout = None,
    policies: PolicyOptions,
) -> None:
    """Run a flow at certain times. Prints the id of the new schedule.

    Example: automagik schedules create greeter --every 5m --input "hello"

    Example: automagik schedules create greeter --cron "0 9 * * 1-5" --timezone Europe/Berlin

    Example: automagik schedules create greeter --every 1h --quiet-hours 22:00-06:00 --calendar de
    """
    from automagik.cli import schedule_report
    from automagik.cli.run_input import run_input_from
    from automagik.core.flows.manager import FlowManager
    from automagik.core.scheduler.rule_text import RuleLimits

    cadence, *more_cadences = rule.required_cadences()
    timezone = rule.timezone or settings().timezone
    run_input = run_input_from(text, tweaks=tweak, session=session)
    schedule = _manager().create(
        FlowManager(database(), settings()).get(flow),
        cadence,
        run_input=run_input,
        more_cadences=more_cadences,
        timezone=timezone,
        limits=RuleLimits(**rule.limits(timezone)),
        name=name,
        priority=priority,
        queue=queue,
        max_retries=max_retries,
        timeout=timeout,
        policies=policies.change(),
    )
    schedule_report.say_when(printer(), schedule, done="created")
    printer().made(schedule_report.as_item(schedule))


@app.command("list")
def list_(
    *,
    flow: Annotated[
        str | None, typer.Option("--flow", "-f", metavar="FLOW", help="Only of this flow.")
    ] = None,
    status: Annotated[
        Literal["active", "paused", "completed", "error"] | None,
        typer.Option("--status", help="Only in this status."),
    ] = None,
) -> None:
    """List schedules, the next to run first.

    Example: automagik schedules list --status active
    """
    from automagik.cli import schedule_report
    from automagik.core.flows.manager import FlowManager
    from automagik.core.scheduler.values import ScheduleStatus

    flow_id = FlowManager(database(), settings()).get(flow).id if flow else None
    found = _manager().list(flow_id=flow_id, status=ScheduleStatus(status) if status else None)
    printer().items(
        [schedule_report.as_item(schedule) for schedule in found],
        schedule_report.LIST if printer().for_people else schedule_report.FOR_PIPES,
        empty="No schedules here. Create one: automagik schedules create FLOW --every 5m",
    )


@app.command()
def show(schedule: Name) -> None:
    """Show one schedule: its rule, its policies, its next runs and its latest tasks.

    Example: automagik schedules show greeter-every-5m
    """
    from automagik.cli import schedule_report
    from automagik.core.tasks.listing import TaskFilter
    from automagik.core.tasks.manager import TaskManager

    found = _manager().get(_resolve(schedule))
    wanted = TaskFilter(schedule=str(found.id), limit=_RECENT)
    tasks = TaskManager(database(), settings()).list(wanted)
    grace = timedelta(seconds=settings().misfire_grace_seconds)
    schedule_report.show(printer(), found, tasks=tasks, grace=grace)


@app.command()
def pause(
    schedule: Name,
    *,
    reason: Annotated[str | None, typer.Option("--reason", help="Kept with the schedule.")] = None,
) -> None:
    """Start no more runs until it is resumed. Runs under way go on.

    Example: automagik schedules pause greeter-every-5m --reason "maintenance"
    """
    paused = _manager().pause(_resolve(schedule), reason=reason)
    printer().say(f"✓ Schedule {paused.name} paused.")
    printer().say(f"  Go on with: automagik schedules resume {paused.name}")


@app.command()
def resume(schedule: Name) -> None:
    """Let a paused schedule go on. Runs that it missed are not made up for.

    Example: automagik schedules resume greeter-every-5m
    """
    from automagik.cli import schedule_report

    resumed = _manager().resume(_resolve(schedule))
    schedule_report.say_when(printer(), resumed, done="resumed")


@app.command()
@takes(rule=RuleOptions, policies=PolicyOptions)
def update(
    schedule: Name,
    *,
    rule: RuleOptions,
    name: Annotated[str | None, typer.Option("--name", help="A new name.")] = None,
    text: InputText = None,
    tweak: Tweaks = None,
    session: Session = None,
    priority: Priority = None,
    queue: Queue = None,
    max_retries: MaxRetries = None,
    timeout: Timeout = None,
    policies: PolicyOptions,
    unset: Annotated[
        list[str] | None,
        typer.Option(
            "--unset",
            metavar="OPTION",
            help="Leave it to the flow again, or to its default; repeatable.",
        ),
    ] = None,
) -> None:
    """Change a schedule; what is not given stays.

    New rules replace all its rules, --exclude all its exclusions, --tweak all its tweaks. What is
    unset, such as priority or quiet-hours, is left to the flow or to its default again.

    Example: automagik schedules update greeter-every-5m --every 10m
    """
    from automagik.cli import schedule_report
    from automagik.cli.run_input import run_input_from
    from automagik.core.scheduler.unset import unset_options
    from automagik.core.scheduler.values import ScheduleChange

    said = run_input_from(text, tweaks=tweak)
    cadence, *more_cadences = rule.cadences() or (None,)
    schedule_id = _resolve(schedule)
    zone = rule.timezone or _manager().get(schedule_id).timezone
    change = ScheduleChange(
        name=name,
        cadence=cadence,
        more_cadences=tuple(each for each in more_cadences if each is not None),
        timezone=rule.timezone,
        **rule.limits(zone),
        input_value=None if text is None else said.input_value,
        tweaks=said.tweaks or None,
        session_id=said.session_id if session is None else session,
        priority=priority,
        queue=queue,
        max_retries=max_retries,
        timeout=timeout,
        policies=policies.change(),
        unset=unset_options(unset or ()),
    )
    if change == ScheduleChange():
        raise InvalidInput("Nothing to change was given.", hint="For example: --every 10m")
    updated = _manager().update(schedule_id, change)
    schedule_report.say_when(printer(), updated, done="updated")


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
    from automagik.cli.schedule_options import instant_of

    found = _manager().get(_resolve(schedule))
    instant = None if at is None else instant_of(at, timezone=found.timezone)
    explanations.show(printer(), _manager().explain(found.id, at=instant))


@app.command()
def delete(schedule: Name, *, yes: Yes = False) -> None:
    """Delete a schedule. The tasks that it started stay.

    Example: automagik schedules delete greeter-every-5m --yes
    """
    found = _manager().get(_resolve(schedule))
    person.confirm(f"Delete schedule {found.name} of flow {found.flow_name}?", yes=yes)
    _manager().delete(found.id)
    printer().say(f"✓ Schedule {found.name} deleted.")


@app.command()
def trigger(schedule: Name, *, wait: Wait = False) -> None:
    """Run a schedule's flow at once; its next run stays where it is. Prints the id of the task.

    Example: automagik schedules trigger greeter-every-5m --wait
    """
    from automagik.cli import task_report
    from automagik.cli.waiting import finish, say_how_to_follow
    from automagik.core.tasks.manager import TaskManager

    task = _manager().trigger(_resolve(schedule), actor=_ACTOR)
    if wait:
        finish(TaskManager(database(), settings()), task)
        return
    printer().made(task_report.as_item(task))
    say_how_to_follow(task)


@app.command()
@takes(rule=RuleOptions)
def preview(
    schedule: Annotated[
        str | None, typer.Argument(metavar="SCHEDULE", help="A stored one instead of a rule.")
    ] = None,
    *,
    rule: RuleOptions,
    begin: Annotated[
        str | None, typer.Option("--from", metavar="TIME", help="A time or a date; by default now.")
    ] = None,
    end_at: Annotated[
        str | None, typer.Option("--to", metavar="TIME", help="A time, or a date with all its day.")
    ] = None,
    count: Annotated[
        int | None,
        typer.Option("-n", "--count", min=1, max=10_000, help="How many; by default 5."),
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
        stored = _manager().get(_resolve(schedule))
        wanted = schedule_preview.of_schedule(stored, start=begin, end=end_at)
    schedule_preview.show(printer(), wanted, count=count)


def _manager() -> "SchedulerManager":
    from automagik.core.scheduler.manager import SchedulerManager

    return SchedulerManager(database(), settings())


def _days(calendar: str) -> frozenset[date]:
    from automagik.core.scheduler.calendars import CalendarManager

    return frozenset(each.day for each in CalendarManager(database()).holidays(calendar))


def _resolve(reference: str) -> UUID:
    return _manager().resolve(reference)
