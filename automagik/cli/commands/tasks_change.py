"""`automagik tasks`: what people do to runs, one by one or many at a time."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated
from uuid import UUID

import typer

from automagik.cli import known, person, task_report
from automagik.cli.context import database, printer, settings
from automagik.cli.option_groups import takes
from automagik.cli.options import InputText, Session, Tweaks, Wait, Yes
from automagik.cli.task_options import TaskOptions
from automagik.core.exceptions import AutomagikError, InvalidInput
from automagik.core.tasks.states import TaskState
from automagik.core.tasks.values import Task

if TYPE_CHECKING:
    from automagik.core.tasks.listing import TaskFilter
    from automagik.core.tasks.manager import TaskManager

app = typer.Typer()

_ACTOR = "cli"

TaskRefs = Annotated[
    list[str],
    typer.Argument(
        metavar="ID…", help="Ids, beginnings of ids, or @last.", autocompletion=known.tasks
    ),
]
SomeTaskRefs = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[ID…]",
        help="Ids, beginnings of ids, or @last; else options say.",
        autocompletion=known.tasks,
    ),
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Only show which tasks are meant.")]
Reason = Annotated[str | None, typer.Option("--note", help="Kept with the task.")]


@app.command()
@takes(which=TaskOptions)
def retry(
    tasks: SomeTaskRefs = None,
    *,
    which: TaskOptions,
    reason: Reason = None,
    dry_run: DryRun = False,
    yes: Yes = False,
) -> None:
    """Run failed or cancelled tasks again: by their ids, or all that the options mean.

    Without --state those that failed.

    Example: automagik tasks retry --state failed --since 1h --flow greeter
    """
    manager = _manager()
    if tasks and which == TaskOptions() and not dry_run:
        _change_each(
            tasks,
            lambda task_id: manager.retry(task_id, actor=_ACTOR, reason=reason),
            done="is due again",
        )
        return
    _change_many(
        tasks,
        which,
        states=(TaskState.FAILED,),
        change=lambda ids: manager.retry_all(ids, actor=_ACTOR, reason=reason),
        words=("Run again", "due again"),
        dry_run=dry_run,
        yes=yes,
    )


@app.command()
@takes(which=TaskOptions)
def cancel(
    tasks: SomeTaskRefs = None,
    *,
    which: TaskOptions,
    reason: Reason = None,
    dry_run: DryRun = False,
    yes: Yes = False,
) -> None:
    """Stop tasks for good, also running ones: by their ids, or all that the options mean.

    Without --state all that have not ended.

    Example: automagik tasks cancel --flow greeter --state pending --note "wrong input"
    """
    from automagik.core.tasks.by_hand import CANCELLABLE

    manager = _manager()
    if tasks and which == TaskOptions() and not dry_run:
        _change_each(
            tasks,
            lambda task_id: manager.cancel(task_id, actor=_ACTOR, reason=reason),
            done="cancelled",
        )
        return
    _change_many(
        tasks,
        which,
        states=CANCELLABLE,
        change=lambda ids: manager.cancel_all(ids, actor=_ACTOR, reason=reason),
        words=("Cancel", "cancelled"),
        dry_run=dry_run,
        yes=yes,
    )


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
    if wait:
        finish(manager, made)
        return
    printer().made(task_report.as_item(made))
    say_how_to_follow(made)


@app.command()
def delete(tasks: TaskRefs, *, yes: Yes = False) -> None:
    """Delete tasks with their logs and output.

    Example: automagik tasks delete @last --yes
    """
    ids = [str(task_id) for task_id in _resolve_all(tasks)]
    person.confirm(f"Delete {len(ids)} task(s) with their logs and output?", yes=yes)
    _change_each(ids, _manager().delete, done="deleted")


def _manager() -> "TaskManager":
    from automagik.core.tasks.manager import TaskManager

    return TaskManager(database(), settings())


def _change_each(
    references: Sequence[str], change: Callable[[UUID], Task | None], *, done: str
) -> None:
    """One failure stops no other; the first one decides the exit code."""
    changed: list[Task] = []
    exit_codes: list[int] = []
    for task_id in _resolve_all(references):
        try:
            if task := change(task_id):
                changed.append(task)
        except AutomagikError as error:
            printer().error(error)
            exit_codes.append(error.exit_code)
        else:
            printer().say(f"✓ task {task_id} {done}")
    if printer().output:
        found = [task_report.as_item(task) for task in changed]
        printer().items(found, task_report.LIST, empty="")
    if exit_codes:
        raise typer.Exit(exit_codes[0])


def _resolve_all(references: Sequence[str]) -> list[UUID]:
    """Before anything changes: a slip of the pen leaves all as it was. Each task once."""
    tasks = _manager()
    return list(dict.fromkeys(tasks.resolve(reference) for reference in references))


def _change_many(
    references: Sequence[str] | None,
    which: TaskOptions,
    *,
    states: Sequence[TaskState],
    change: Callable[[Sequence[UUID]], int],
    words: tuple[str, str],
    dry_run: bool,
    yes: bool,
) -> None:
    """What the options mean at this moment; `words` are for the question and for the answer."""
    if references:
        raise InvalidInput("Either ids or options that say which, not both.")
    if which == TaskOptions():
        raise InvalidInput(
            "Nothing says which tasks are meant.",
            hint="Give ids, or options such as --flow NAME --since 1h",
        )
    found = list(_meant(which.filter(), states))
    if dry_run or not found:
        items = [task_report.as_item(task) for task in found]
        printer().items(items, task_report.LIST, empty="No task is like that.")
        return
    question, answer = words
    person.confirm(f"{question} {len(found)} task(s)?", yes=yes)
    changed = sum(change(ids) for ids in _batches([task.id for task in found]))
    printer().say(f"✓ {changed} task(s) {answer}")
    if changed < len(found):
        printer().say(f"  {len(found) - changed} had moved on meanwhile and were left alone")


def _meant(wanted: "TaskFilter", states: Sequence[TaskState]) -> Iterator[Task]:
    for page in _manager().walk(replace(wanted, states=wanted.states or tuple(states))):
        yield from page


def _batches(ids: Sequence[UUID], size: int = 500) -> Iterator[Sequence[UUID]]:
    return (ids[start : start + size] for start in range(0, len(ids), size))
