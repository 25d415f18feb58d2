"""`automagik tasks`: what people do to runs, one by one or many at a time."""

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

import typer

from automagik.cli import known, task_report
from automagik.cli.context import database, printer, settings
from automagik.cli.option_groups import takes
from automagik.cli.options import InputText, Note, Session, Tweaks, Wait, WaitTimeout, Yes
from automagik.cli.task_bulk import Deed, do
from automagik.cli.task_options import TaskOptions
from automagik.core.tasks.states import FINAL, TaskState

if TYPE_CHECKING:
    from automagik.core.tasks.manager import TaskManager

app = typer.Typer()

_ACTOR = "cli"
_DELETED_AT_ONCE = 100
"""Each may have ten thousand lines of log."""

TaskRefs = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[ID…]",
        help="Ids, beginnings of ids, or @last; else options say.",
        autocompletion=known.tasks,
    ),
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Only show which tasks are meant.")]


@app.command()
@takes(which=TaskOptions)
def retry(
    tasks: TaskRefs = None,
    *,
    which: TaskOptions,
    reason: Note = None,
    dry_run: DryRun = False,
    yes: Yes = False,
) -> None:
    """Run failed or cancelled tasks again: by their ids, or all that the options mean.

    Without --state those that failed.

    Example: automagik tasks retry --state failed --since 1h --flow greeter
    """
    manager = _manager()
    deed = Deed(
        one=lambda task_id: manager.retry(task_id, actor=_ACTOR, reason=reason),
        many=lambda ids: manager.retry_all(ids, actor=_ACTOR, reason=reason),
        states=(TaskState.FAILED,),
        question="Run again",
        done="due again",
        then="Watch it with: automagik tasks list --watch",
    )
    do(deed, tasks, which, dry_run=dry_run, yes=yes)


@app.command()
@takes(which=TaskOptions)
def cancel(
    tasks: TaskRefs = None,
    *,
    which: TaskOptions,
    reason: Note = None,
    dry_run: DryRun = False,
    yes: Yes = False,
) -> None:
    """Stop tasks for good, also running ones: by their ids, or all that the options mean.

    Without --state all that have not ended.

    Example: automagik tasks cancel --flow greeter --state pending --note "wrong input"
    """
    from automagik.core.tasks.by_hand import CANCELLABLE

    manager = _manager()
    deed = Deed(
        one=lambda task_id: manager.cancel(task_id, actor=_ACTOR, reason=reason),
        many=lambda ids: manager.cancel_all(ids, actor=_ACTOR, reason=reason),
        states=CANCELLABLE,
        question="Cancel",
        done="cancelled",
        then="To run again: automagik tasks retry ID",
    )
    do(deed, tasks, which, dry_run=dry_run, yes=yes)


@app.command()
def replay(
    task: Annotated[
        str,
        typer.Argument(
            metavar="ID", help="An id, its beginning, or @last.", autocompletion=known.tasks
        ),
    ],
    *,
    text: InputText = None,
    tweak: Tweaks = None,
    session: Session = None,
    present_version: Annotated[
        bool,
        typer.Option("--present-version", help="Even if the flow has changed since."),
    ] = False,
    wait: Wait = False,
    wait_timeout: WaitTimeout = None,
) -> None:
    """Run the flow of a task once more, with its input and its options, or with a new input.

    Prints the id of the new task.

    Example: automagik tasks replay @last --input "hello again" --wait
    """
    from automagik.cli.run_input import run_input_from
    from automagik.cli.waiting import finish, say_how_to_follow
    from automagik.core.flows.manager import FlowManager

    manager = _manager()
    former = manager.get(manager.resolve(task))
    flow = FlowManager(database(), settings()).get(str(former.flow_id))
    run_input = manager.run_input(former.id)
    said = run_input_from(text, tweaks=tweak, session=session)
    run_input = replace(
        run_input,
        input_value=run_input.input_value if text is None else said.input_value,
        tweaks=said.tweaks or run_input.tweaks,
        session_id=said.session_id or run_input.session_id,
    )
    made = manager.replay(
        former,
        flow,
        run_input,
        actor=_ACTOR,
        on_present_version=present_version,
    )
    if wait or wait_timeout is not None:
        finish(manager, made, timeout=wait_timeout)
        return
    printer().made(task_report.as_item(made))
    say_how_to_follow(made)


@app.command()
@takes(which=TaskOptions)
def delete(
    tasks: TaskRefs = None, *, which: TaskOptions, dry_run: DryRun = False, yes: Yes = False
) -> None:
    """Delete tasks with their logs and output: by their ids, or all that the options mean.

    Without --state those that have ended. Running ones stay: cancel them first.

    Example: automagik tasks delete @last --yes

    Example: automagik tasks delete --flow greeter --state failed --until 30d --dry-run
    """
    manager = _manager()
    deed = Deed(
        one=manager.delete,
        many=manager.delete_all,
        states=tuple(FINAL),
        question="Delete with their logs and output",
        done="deleted",
        asks_for_named=True,
        batch=_DELETED_AT_ONCE,
    )
    do(deed, tasks, which, dry_run=dry_run, yes=yes)


def _manager() -> "TaskManager":
    from automagik.core.tasks.manager import TaskManager

    return TaskManager(database(), settings())
