"""`automagik flows …`: sync, look at, run, change and delete flows."""

from typing import TYPE_CHECKING, Annotated

import typer

from automagik.cli import known, person
from automagik.cli.commands.sources import ensure_default, open_sources
from automagik.cli.context import database, printer, settings
from automagik.cli.failures import INTERRUPTED
from automagik.cli.options import (
    DryRun,
    InputText,
    MaxRetries,
    Priority,
    Queue,
    Session,
    Timeout,
    Tweaks,
    Wait,
    WaitTimeout,
    Yes,
)
from automagik.core.exceptions import InvalidInput
from automagik.core.flows.values import FlowChange, FlowOption

if TYPE_CHECKING:
    from automagik.core.flows.manager import FlowManager
    from automagik.core.flows.values import Source
    from automagik.core.tasks.manager import TaskManager
    from automagik.core.tasks.values import Task

app = typer.Typer()

_ACTOR = "cli"

FlowRef = Annotated[
    str,
    typer.Argument(
        metavar="FLOW",
        help="Its name, endpoint name or id, or SOURCE/NAME.",
        autocompletion=known.flows,
    ),
]
SourceName = Annotated[
    str | None,
    typer.Option(
        "--source",
        metavar="SOURCE",
        help="Only of this source.",
        autocompletion=known.sources,
    ),
]


@app.command()
def sync(
    flows: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[FLOW]…", help="Names or ids; none: all flows.", autocompletion=known.flows
        ),
    ] = None,
    *,
    source: SourceName = None,
    everything: Annotated[
        bool, typer.Option("--all", help="All flows, as without any name.")
    ] = False,
    input_component: Annotated[
        str | None, typer.Option("--input-component", metavar="ID", help="What takes the input.")
    ] = None,
    output_component: Annotated[
        str | None, typer.Option("--output-component", metavar="ID", help="What gives the output.")
    ] = None,
) -> None:
    """Bring flows in from their sources, or up to date. Flows that went away are only marked.

    Example: automagik flows sync

    Example: automagik flows sync "Daily report" --input-component ChatInput-x1
    """
    from automagik.cli import flow_report
    from automagik.core.flows.sync import FlowSync
    from automagik.core.flows.sync_report import SyncedFlow

    if everything and flows:
        raise typer.BadParameter("give names or --all, not both")
    sources = open_sources()
    ensure_default(sources)
    done: list[SyncedFlow] = []
    try:
        with flow_report.syncing(printer(), done) as (choose, on_flow):
            report = FlowSync(database(), settings()).sync(
                flows or (),
                source=sources.get(source) if source else None,
                input_component=input_component,
                output_component=output_component,
                choose=choose if person.is_there() else None,
                on_flow=on_flow,
            )
    except KeyboardInterrupt:
        flow_report.broken_off(printer(), done)
        raise typer.Exit(INTERRUPTED) from None
    flow_report.synced(printer(), report)
    if report.errors:
        raise typer.Exit(report.errors[0].exit_code)


@app.command("list")
def list_(*, source: SourceName = None) -> None:
    """List the synced flows.

    Example: automagik flows list --source prod
    """
    from automagik.cli import flow_report

    found = _manager().list(source=_source(source))
    printer().items(
        [flow_report.as_item(flow) for flow in found],
        flow_report.LIST,
        empty="No flows yet. Bring them in with: automagik flows sync",
    )


@app.command()
def show(
    flow: FlowRef,
    *,
    source: SourceName = None,
    advanced: Annotated[
        bool, typer.Option("--advanced", help="All parameters, also the advanced ones.")
    ] = False,
) -> None:
    """Show one flow: its components, and what can be tweaked.

    In a pipe without its components, which are in -o json.

    Example: automagik flows show "Daily report"
    """
    from automagik.cli import flow_report

    manager = _manager()
    found = manager.get(flow, source=_source(source))
    flow_report.show(printer(), found, manager.analysis(found), advanced=advanced)


@app.command()
def run(
    flow: FlowRef,
    *,
    source: SourceName = None,
    text: InputText = None,
    tweak: Tweaks = None,
    session: Session = None,
    priority: Priority = None,
    queue: Queue = None,
    max_retries: MaxRetries = None,
    timeout: Timeout = None,
    idempotency_key: Annotated[
        str | None,
        typer.Option(
            "--idempotency-key",
            metavar="KEY",
            help="Start it once: the same key again finds the same task.",
        ),
    ] = None,
    wait: Wait = False,
    wait_timeout: WaitTimeout = None,
) -> None:
    """Run a flow now. Prints the id of the task, or with --wait the output.

    Example: automagik flows run "Daily report" --input "Berlin" --wait --wait-timeout 5m

    Example: automagik flows run "Daily report" --input city=Ulm --input days=3
    """
    from automagik.cli import task_report
    from automagik.cli.run_input import run_input_from
    from automagik.cli.waiting import finish, say_how_to_follow

    run_input = run_input_from(text, tweaks=tweak, session=session)
    flows, tasks = _manager(), _tasks()
    found = flows.get(flow, source=_source(source))
    task = tasks.create(
        found,
        flows.validate_input(found, run_input),
        actor=_ACTOR,
        priority=priority,
        queue=queue,
        max_retries=max_retries,
        timeout=timeout,
        idempotency_key=idempotency_key,
        on_existing=_say_existing,
    )
    if wait or wait_timeout is not None:
        finish(tasks, task, timeout=wait_timeout)
        return
    printer().made(task_report.as_item(task))
    say_how_to_follow(task)


@app.command()
def update(
    flow: FlowRef,
    *,
    source: SourceName = None,
    max_retries: MaxRetries = None,
    timeout: Timeout = None,
    max_parallel: Annotated[
        int | None, typer.Option("--max-parallel", min=1, help="How many of its runs at a time.")
    ] = None,
    priority: Priority = None,
    queue: Queue = None,
    at_most_once: Annotated[
        bool | None,
        typer.Option(
            "--at-most-once/--no-at-most-once",
            help="Never send a run again once its call may have reached the source.",
        ),
    ] = None,
    unset: Annotated[
        list[FlowOption] | None, typer.Option("--unset", help="Leave it open again; repeatable.")
    ] = None,
) -> None:
    """Change what counts for new runs of a flow, unless a schedule or the run says otherwise.

    What is not given stays. What is left open comes from the settings.

    Example: automagik flows update "Daily report" --queue gpu --max-parallel 2 --unset timeout
    """
    from automagik.cli import flow_report

    change = FlowChange(
        max_retries=max_retries,
        timeout=timeout,
        max_parallel_runs=max_parallel,
        priority=priority,
        queue=queue,
        at_most_once=at_most_once,
        unset=tuple(unset or ()),
    )
    if change == FlowChange():
        raise InvalidInput("Nothing to change was given.", hint="For example: --max-parallel 2")
    manager = _manager()
    updated = manager.update(manager.get(flow, source=_source(source)), change)
    flow_report.facts(printer(), updated)
    printer().say(f"✓ Flow {updated.name!r} updated: it counts for runs from now on.")


@app.command()
def delete(
    flow: FlowRef, *, source: SourceName = None, dry_run: DryRun = False, yes: Yes = False
) -> None:
    """Delete a flow here, with its schedules, tasks and logs. Its source keeps it.

    Example: automagik flows delete "Daily report" --dry-run

    Example: automagik flows delete "Daily report" --yes
    """
    from automagik.cli import flow_report

    manager = _manager()
    found = manager.get(flow, source=_source(source))
    what = f"the flow {found.name!r} with {flow_report.in_words(manager.weigh(found))}"
    if dry_run:
        printer().say(f"This would delete {what}. Nothing was changed.")
        return
    person.confirm(f"Delete {what}?", yes=yes)
    manager.delete(found)
    printer().say(f"✓ Deleted {what}.")


def _say_existing(task: "Task") -> None:
    key = task.idempotency_key
    printer().say(f"The key {key!r} has started task {task.id} before; no other was started.")


def _manager() -> "FlowManager":
    from automagik.core.flows.manager import FlowManager

    return FlowManager(database(), settings())


def _tasks() -> "TaskManager":
    from automagik.core.tasks.manager import TaskManager

    return TaskManager(database(), settings())


def _source(name: str | None) -> "Source | None":
    return open_sources().get(name) if name else None
