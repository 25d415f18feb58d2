"""`automagik schedules`: what people write about when flows run."""

from typing import Annotated

import typer

from automagik.cli import known, person
from automagik.cli.commands import schedules_operate, schedules_read
from automagik.cli.commands.schedules_read import Name, manager, resolve
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
    Yes,
)
from automagik.cli.policy_options import PolicyOptions
from automagik.cli.schedule_options import RuleOptions
from automagik.core.exceptions import InvalidInput

app = typer.Typer()
app.add_typer(schedules_read.app)
app.add_typer(schedules_operate.app)


@app.command()
@takes(rule=RuleOptions, policies=PolicyOptions)
def create(
    flow: Annotated[
        str,
        typer.Argument(
            metavar="FLOW", help="Its name, or its id's beginning.", autocompletion=known.flows
        ),
    ],
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
    schedule = manager().create(
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
    schedule_id = resolve(schedule)
    zone = rule.timezone or manager().get(schedule_id).timezone
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
    updated = manager().update(schedule_id, change)
    schedule_report.say_when(printer(), updated, done="updated")


@app.command()
def delete(schedule: Name, *, yes: Yes = False) -> None:
    """Delete a schedule. The tasks that it started stay.

    Example: automagik schedules delete greeter-every-5m --yes
    """
    found = manager().get(resolve(schedule))
    person.confirm(f"Delete schedule {found.name} of flow {found.flow_name}?", yes=yes)
    manager().delete(found.id)
    printer().say(f"✓ Schedule {found.name} deleted.")
