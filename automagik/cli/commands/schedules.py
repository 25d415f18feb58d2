"""`automagik schedules`: what people write about when flows run."""

from typing import TYPE_CHECKING, Annotated

import typer

from automagik.cli import known
from automagik.cli.chain_options import ChainOptions
from automagik.cli.commands import (
    schedules_backfill,
    schedules_export,
    schedules_history,
    schedules_operate,
    schedules_read,
)
from automagik.cli.commands.schedules_read import Name, manager, resolve
from automagik.cli.context import database, printer, settings
from automagik.cli.option_groups import takes
from automagik.cli.options import (
    InputText,
    Labels,
    MaxRetries,
    Priority,
    Queue,
    Session,
    Timeout,
    Tweaks,
)
from automagik.cli.policy_options import PolicyOptions
from automagik.cli.schedule_options import RuleOptions
from automagik.core.exceptions import InvalidInput

if TYPE_CHECKING:
    from automagik.core.scheduler.values import Schedule

app = typer.Typer()
app.add_typer(schedules_read.app)
app.add_typer(schedules_operate.app)
app.add_typer(schedules_backfill.app)
app.add_typer(schedules_history.app)
app.add_typer(schedules_export.app)


@app.command()
@takes(rule=RuleOptions, chain=ChainOptions, policies=PolicyOptions)
def create(
    flow: Annotated[
        str,
        typer.Argument(
            metavar="FLOW", help="Its name, or its id's beginning.", autocompletion=known.flows
        ),
    ],
    *,
    rule: RuleOptions,
    chain: ChainOptions,
    name: Annotated[str | None, typer.Option("--name", help="Made up if it is missing.")] = None,
    text: InputText = None,
    tweak: Tweaks = None,
    session: Session = None,
    priority: Priority = None,
    queue: Queue = None,
    max_retries: MaxRetries = None,
    timeout: Timeout = None,
    policies: PolicyOptions,
    label: Labels = None,
) -> None:
    """Run a flow at certain times, or after other runs. Prints the id of the new schedule.

    With --after the input is a template: {{ output }}, {{ result.outputs.0 }}, {{ error }}, …

    Example: automagik schedules create greeter --every 5m --input "hello"

    Example: automagik schedules create greeter --cron "0 9 * * 1-5" --timezone Europe/Berlin

    Example: automagik schedules create greeter --every 1h --quiet-hours 22:00-06:00 --calendar de

    Example: automagik schedules create mailer --after greeter-every-5m --input "{{ output }}"
    """
    from automagik.cli import schedule_report
    from automagik.cli.run_input import run_input_from
    from automagik.core.flows.manager import FlowManager
    from automagik.core.scheduler.chain_changes import first_input
    from automagik.core.scheduler.labels import parse_labels
    from automagik.core.scheduler.rule_text import RuleLimits

    after = chain.after_text(rule)
    cadences = rule.required_cadences() if after is None else ()
    timezone = rule.timezone or settings().timezone
    found = FlowManager(database(), settings()).get(flow)
    if after is not None and text is None:
        default = first_input(after.end, found)
        text = None if default is None else [default]
    schedule = manager().create(
        found,
        after or cadences[0],
        run_input=run_input_from(
            text, tweaks=tweak, session=session, is_template=after is not None
        ),
        more_cadences=cadences[1:],
        timezone=timezone,
        limits=RuleLimits(**rule.limits(timezone)),
        name=name,
        priority=priority,
        queue=queue,
        max_retries=max_retries,
        timeout=timeout,
        policies=policies.change(),
        labels=parse_labels(label or ()),
        reactions=chain.reactions(),
    )
    schedule_report.say_when(printer(), schedule, done="created")
    _say_reactions(schedule, chain)
    printer().made(schedule_report.as_item(schedule))


@app.command()
@takes(rule=RuleOptions, chain=ChainOptions, policies=PolicyOptions)
def update(
    schedule: Name,
    *,
    rule: RuleOptions,
    chain: ChainOptions,
    name: Annotated[str | None, typer.Option("--name", help="A new name.")] = None,
    text: InputText = None,
    tweak: Tweaks = None,
    session: Session = None,
    priority: Priority = None,
    queue: Queue = None,
    max_retries: MaxRetries = None,
    timeout: Timeout = None,
    policies: PolicyOptions,
    label: Labels = None,
    unset: Annotated[
        list[str] | None,
        typer.Option(
            "--unset",
            metavar="OPTION",
            help="Leave it to the flow again, or to its default; repeatable.",
            autocompletion=known.unsettable,
        ),
    ] = None,
) -> None:
    """Change a schedule; what is not given stays.

    New rules replace all its rules, --exclude all its exclusions, --tweak all its tweaks. What is
    unset, such as priority or quiet-hours, is left to the flow or to its default again. --label
    adds a label, --unset label:KEY takes it away, --unset label all.

    Example: automagik schedules update greeter-every-5m --every 10m
    """
    from automagik.cli import schedule_report
    from automagik.cli.run_input import run_input_from
    from automagik.core.scheduler.labels import parse_labels
    from automagik.core.scheduler.unset import unset_options
    from automagik.core.scheduler.values import ScheduleChange

    cadence, *more_cadences = rule.cadences() or (None,)
    stored = manager().get(resolve(schedule))
    said = run_input_from(text, tweaks=tweak, is_template=stored.after is not None)
    zone = rule.timezone or stored.timezone
    change = ScheduleChange(
        name=name,
        cadence=cadence,
        more_cadences=tuple(each for each in more_cadences if each is not None),
        after=chain.after,
        on=chain.on,
        reactions=chain.reactions(),
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
        labels=parse_labels(label or ()),
        unset=unset_options(unset or ()),
    )
    if change == ScheduleChange():
        raise InvalidInput("Nothing to change was given.", hint="For example: --every 10m")
    updated = manager().update(stored.id, change)
    schedule_report.say_when(printer(), updated, done="updated")
    _say_reactions(updated, chain)


def _say_reactions(schedule: "Schedule", chain: ChainOptions) -> None:
    from automagik.cli import schedule_report

    if names := [each.name_after(schedule.name) for each in chain.named()]:
        found = [each for each in manager().followers(schedule) if each.name in names]
        schedule_report.say_followers(printer(), found)
