"""`automagik tasks`: what became of each run."""

from collections.abc import Callable
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated
from uuid import UUID

import typer

from automagik.cli import person, task_report
from automagik.cli.context import database, printer, settings
from automagik.cli.options import Yes
from automagik.cli.times import parse_duration
from automagik.core.exceptions import AutomagikError, InvalidInput
from automagik.core.tasks.states import TaskState
from automagik.core.tasks.values import LOG_LEVELS, Task

if TYPE_CHECKING:
    from automagik.core.tasks.manager import TaskManager

app = typer.Typer()

_ACTOR = "cli"
_INTERRUPTED = 130

TaskRef = Annotated[
    str, typer.Argument(metavar="ID", help="An id, the beginning of one, or @last.")
]
TaskRefs = Annotated[
    list[str], typer.Argument(metavar="ID…", help="Ids, beginnings of ids, or @last.")
]
Level = Annotated[
    str, typer.Option("--level", metavar="LEVEL", help=f"At least: {', '.join(LOG_LEVELS)}.")
]


@app.command("list")
def list_(
    *,
    flow: Annotated[
        str | None, typer.Option("--flow", "-f", metavar="FLOW", help="Tasks of this flow.")
    ] = None,
    schedule: Annotated[
        str | None, typer.Option("--schedule", metavar="SCHEDULE", help="Tasks of this schedule.")
    ] = None,
    backfill: Annotated[
        str | None, typer.Option("--backfill", metavar="ID", help="Tasks of this backfill.")
    ] = None,
    state: Annotated[
        list[TaskState] | None, typer.Option("--state", "-s", help="In this state; repeatable.")
    ] = None,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, max=10_000, help="How many.")] = 50,
    before: Annotated[
        str | None, typer.Option("--before", metavar="ID", help="Only older ones: the next page.")
    ] = None,
) -> None:
    """List tasks, the newest first.

    Example: automagik tasks list --flow greeter --state failed
    """
    from automagik.core.scheduler.backfill_manager import BackfillManager
    from automagik.core.tasks.listing import TaskFilter

    tasks = _manager()
    wanted = TaskFilter(
        flow=flow,
        schedule=schedule,
        backfill=BackfillManager(database()).resolve(backfill) if backfill else None,
        states=tuple(state or ()),
        limit=limit,
        before=tasks.resolve(before) if before else None,
    )
    found = [task_report.as_item(task) for task in tasks.list(wanted)]
    printer().items(
        found, task_report.LIST, empty=_nothing(unfiltered=wanted == TaskFilter(limit=limit))
    )
    if printer().for_people and len(found) == limit:
        printer().say(f"Older ones: add --before {found[-1]['id']}")


@app.command()
def show(task: TaskRef) -> None:
    """Show everything about one task.

    In a pipe without its attempts and events, which are in -o json.

    Example: automagik tasks show @last
    """
    from automagik.core.tasks.listing import TaskFilter

    tasks = _manager()
    task_id = tasks.resolve(task)
    report = task_report.Report(
        task=tasks.get(task_id),
        run_input=tasks.run_input(task_id),
        attempts=tasks.attempts(task_id),
        events=tasks.events(task_id),
        started=tasks.list(TaskFilter(parent=task_id)),
    )
    task_report.show(printer(), report)


@app.command()
def why(task: TaskRef) -> None:
    """Say in one paragraph what became of a task and why.

    Example: automagik tasks why @last
    """
    from automagik.cli import explanations

    tasks = _manager()
    explanations.show(printer(), tasks.why(tasks.resolve(task)))


@app.command()
def logs(
    task: TaskRef,
    *,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on until it ends.")] = False,
    level: Level = "debug",
) -> None:
    """Show what was said during a task.

    Example: automagik tasks logs @last --follow --level info
    """
    tasks, level = _manager(), _known(level)
    task_id = tasks.resolve(task)
    if not follow:
        task_report.log(printer(), list(tasks.logs(task_id, level=level)))
        return
    stream = task_report.Stream(printer(), with_states=False)
    _until_interrupted(task_id, lambda: stream.run(tasks.follow(task_id, level=level)))


@app.command()
def output(task: TaskRef) -> None:
    """Print what a task brought.

    The text as it is; with -o json the full answer.

    Example: automagik tasks output @last
    """
    tasks = _manager()
    task_id = tasks.resolve(task)
    task_report.output(printer(), task_id, tasks.output(task_id))


@app.command()
def retry(tasks: TaskRefs) -> None:
    """Run failed or cancelled tasks again.

    Example: automagik tasks retry @last
    """
    manager = _manager()
    _change_each(
        tasks,
        lambda task_id: manager.retry(task_id, actor=_ACTOR),
        done="is due again",
    )


@app.command()
def cancel(
    tasks: TaskRefs,
    *,
    reason: Annotated[str | None, typer.Option("--note", help="Kept with the task.")] = None,
) -> None:
    """Stop tasks for good, also running ones.

    Example: automagik tasks cancel @last --note "wrong input"
    """
    manager = _manager()
    _change_each(
        tasks,
        lambda task_id: manager.cancel(task_id, actor=_ACTOR, reason=reason),
        done="cancelled",
    )


@app.command()
def watch(
    task: TaskRef,
    *,
    timeout: Annotated[
        timedelta | None,
        typer.Option(
            "--timeout", parser=parse_duration, metavar="DURATION", help="Give up; it goes on."
        ),
    ] = None,
    level: Level = "info",
) -> None:
    """Follow a task until it ends.

    The exit code is 0 if it completed, 1 if it did not, 8 after the timeout.

    Example: automagik tasks watch @last --timeout 5m
    """
    tasks, level = _manager(), _known(level)
    task_id = tasks.resolve(task)
    stream = task_report.Stream(printer(), with_states=True)
    _until_interrupted(
        task_id, lambda: stream.run(tasks.follow(task_id, level=level, timeout=timeout))
    )
    ended = tasks.get(task_id)
    task_report.ending(printer(), ended)
    raise typer.Exit(0 if ended.state is TaskState.COMPLETED else 1)


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


def _nothing(*, unfiltered: bool) -> str:
    if unfiltered:
        return "No tasks yet. Start one with: automagik flows run NAME"
    return "No task is like that."


def _known(level: str) -> str:
    if level not in LOG_LEVELS:
        raise InvalidInput(f"There is no level {level!r}.", hint=f"Use {', '.join(LOG_LEVELS)}.")
    return level


def _change_each(
    references: list[str], change: Callable[[UUID], Task | None], *, done: str
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


def _resolve_all(references: list[str]) -> list[UUID]:
    """Before anything changes: a slip of the pen leaves all as it was. Each task once."""
    tasks = _manager()
    return list(dict.fromkeys(tasks.resolve(reference) for reference in references))


def _until_interrupted(task_id: UUID, follow: Callable[[], None]) -> None:
    try:
        follow()
    except KeyboardInterrupt:
        printer().say(f"\nThe task goes on. Come back with: automagik tasks watch {task_id}")
        raise typer.Exit(_INTERRUPTED) from None
