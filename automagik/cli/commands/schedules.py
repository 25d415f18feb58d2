"""`automagik schedules`: when flows run."""

from typing import TYPE_CHECKING, Annotated, Literal
from uuid import UUID

import typer

from automagik.cli import person
from automagik.cli.context import database, printer, settings
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
from automagik.cli.schedule_options import (
    At,
    Cron,
    Every,
    Expr,
    Timezone,
    Type,
    given_cadence,
    required,
)
from automagik.core.exceptions import InvalidInput
from automagik.core.tasks.run_options import RunOption

if TYPE_CHECKING:
    from automagik.core.scheduler.manager import SchedulerManager

app = typer.Typer()

_ACTOR = "cli"
_RECENT = 5

Name = Annotated[str, typer.Argument(metavar="SCHEDULE", help="Its name, or its id's beginning.")]


@app.command()
def create(
    flow: Annotated[str, typer.Argument(metavar="FLOW", help="Its name, or its id's beginning.")],
    *,
    every: Every = None,
    cron: Cron = None,
    at: At = None,
    type_: Type = None,
    expr: Expr = None,
    timezone: Timezone = None,
    name: Annotated[str | None, typer.Option("--name", help="Made up if it is missing.")] = None,
    text: InputText = None,
    tweak: Tweaks = None,
    session: Session = None,
    priority: Priority = None,
    queue: Queue = None,
    max_retries: MaxRetries = None,
    timeout: Timeout = None,
) -> None:
    """Run a flow at certain times. Prints the id of the new schedule.

    Example: automagik schedules create greeter --every 5m --input "hello"

    Example: automagik schedules create greeter --cron "0 9 * * 1-5" --timezone Europe/Berlin
    """
    from automagik.cli import schedule_report
    from automagik.cli.run_input import run_input_from
    from automagik.core.flows.manager import FlowManager

    cadence = required(given_cadence(type_=type_, expr=expr, every=every, cron=cron, at=at))
    run_input = run_input_from(text, tweaks=tweak, session=session)
    schedule = _manager().create(
        FlowManager(database(), settings()).get(flow),
        cadence,
        run_input=run_input,
        timezone=timezone,
        name=name,
        priority=priority,
        queue=queue,
        max_retries=max_retries,
        timeout=timeout,
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
    """Show one schedule: its rule, its next runs and its latest tasks.

    Example: automagik schedules show greeter-every-5m
    """
    from automagik.cli import schedule_report
    from automagik.core.tasks.listing import TaskFilter
    from automagik.core.tasks.manager import TaskManager

    found = _manager().get(_resolve(schedule))
    wanted = TaskFilter(schedule=str(found.id), limit=_RECENT)
    tasks = TaskManager(database(), settings()).list(wanted)
    schedule_report.show(printer(), found, tasks=tasks)


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
def update(
    schedule: Name,
    *,
    every: Every = None,
    cron: Cron = None,
    at: At = None,
    type_: Type = None,
    expr: Expr = None,
    timezone: Timezone = None,
    name: Annotated[str | None, typer.Option("--name", help="A new name.")] = None,
    text: InputText = None,
    tweak: Tweaks = None,
    session: Session = None,
    priority: Priority = None,
    queue: Queue = None,
    max_retries: MaxRetries = None,
    timeout: Timeout = None,
    unset: Annotated[
        list[RunOption] | None,
        typer.Option("--unset", help="Leave it to the flow again; repeatable."),
    ] = None,
) -> None:
    """Change a schedule; what is not given stays. --tweak replaces all its tweaks.

    What is unset is left to the flow again.

    Example: automagik schedules update greeter-every-5m --every 10m
    """
    from automagik.cli import schedule_report
    from automagik.cli.run_input import run_input_from
    from automagik.core.scheduler.values import ScheduleChange

    said = run_input_from(text, tweaks=tweak)
    change = ScheduleChange(
        name=name,
        cadence=given_cadence(type_=type_, expr=expr, every=every, cron=cron, at=at),
        timezone=timezone,
        input_value=None if text is None else said.input_value,
        tweaks=said.tweaks or None,
        session_id=said.session_id if session is None else session,
        priority=priority,
        queue=queue,
        max_retries=max_retries,
        timeout=timeout,
        unset=tuple(unset or ()),
    )
    if change == ScheduleChange():
        raise InvalidInput("Nothing to change was given.", hint="For example: --every 10m")
    updated = _manager().update(_resolve(schedule), change)
    schedule_report.say_when(printer(), updated, done="updated")


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
def preview(
    schedule: Annotated[
        str | None, typer.Argument(metavar="SCHEDULE", help="A stored one instead of a rule.")
    ] = None,
    *,
    every: Every = None,
    cron: Cron = None,
    at: At = None,
    type_: Type = None,
    expr: Expr = None,
    timezone: Timezone = None,
    start: Annotated[
        str | None, typer.Option("--from", metavar="TIME", help="A time or a date; by default now.")
    ] = None,
    count: Annotated[
        int, typer.Option("-n", "--count", min=1, max=10_000, help="How many; by default 5.")
    ] = 5,
) -> None:
    """Show when a rule occurs. Stores nothing, and needs no database unless a schedule is named.

    Example: automagik schedules preview --cron "30 2 * * *" --timezone Europe/Berlin -n 3
    """
    from automagik.cli import schedule_preview

    given = given_cadence(type_=type_, expr=expr, every=every, cron=cron, at=at)
    if schedule is None:
        zone = timezone or settings().timezone
        wanted = schedule_preview.of_rule(required(given), timezone=zone, start=start)
    elif given or timezone:
        raise InvalidInput("Either a schedule or a rule, not both.")
    else:
        stored = _manager().get(_resolve(schedule))
        wanted = schedule_preview.of_schedule(stored, start=start)
    schedule_preview.show(printer(), wanted, count=count)


def _manager() -> "SchedulerManager":
    from automagik.core.scheduler.manager import SchedulerManager

    return SchedulerManager(database(), settings())


def _resolve(reference: str) -> UUID:
    return _manager().resolve(reference)
