"""`automagik tasks`: what became of each run."""

import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Annotated, Any
from uuid import UUID

import typer

from automagik.cli import known, task_report
from automagik.cli.commands import tasks_change
from automagik.cli.context import database, printer, settings
from automagik.cli.moments import moment
from automagik.cli.option_groups import takes
from automagik.cli.options import GiveUp, Limit, Watch
from automagik.cli.printer import Output
from automagik.cli.task_options import TaskOptions
from automagik.cli.watching import leaving
from automagik.cli.words import require_known
from automagik.core.tasks.states import TaskState
from automagik.core.tasks.values import LOG_LEVELS, Event, LogLine, Task

if TYPE_CHECKING:
    from automagik.core.tasks.manager import TaskManager

app = typer.Typer()
app.add_typer(tasks_change.app)

TaskRef = Annotated[
    str,
    typer.Argument(
        metavar="ID", help="An id, the beginning of one, or @last.", autocompletion=known.tasks
    ),
]
Level = Annotated[
    str,
    typer.Option(
        "--level",
        metavar="LEVEL",
        help=f"At least: {', '.join(LOG_LEVELS)}.",
        autocompletion=known.levels,
    ),
]


@app.command("list")
@takes(which=TaskOptions)
def list_(
    *,
    which: TaskOptions,
    limit: Limit = 50,
    cursor: Annotated[
        str | None,
        typer.Option(
            "--cursor", metavar="ID", help="The page after this task.", autocompletion=known.tasks
        ),
    ] = None,
    watch: Watch = False,
) -> None:
    """List tasks, the newest first.

    Example: automagik tasks list --flow greeter --state failed,cancelled --since 2h
    """
    tasks, wanted = manager(), which.filter()
    if watch:
        from automagik.cli import live

        def read() -> list[dict[str, Any]]:
            return [task_report.as_item(task) for task in tasks.list(wanted, limit=limit).tasks]

        live.show_list(
            read, lambda _: task_report.LIST, empty=_nothing(is_filtered=True, goes_on=False)
        )
    page = tasks.list(wanted, limit=limit, after=tasks.resolve(cursor) if cursor else None)
    following = None if page.following is None else str(page.following)
    printer().items(
        [task_report.as_item(task) for task in page.tasks],
        task_report.LIST,
        empty=_nothing(is_filtered=which != TaskOptions(), goes_on=following is not None),
        following=following,
    )
    if following:
        printer().say(f"Older ones: add --cursor {following}")


@app.command()
def show(task: TaskRef) -> None:
    """Show everything about one task.

    In a pipe without its attempts and events, which are in -o json.

    Example: automagik tasks show @last
    """
    from automagik.core.tasks.listing import TaskFilter

    tasks = manager()
    task_id = tasks.resolve(task)
    report = task_report.Report(
        task=tasks.get(task_id),
        run_input=tasks.run_input(task_id),
        attempts=tasks.attempts(task_id),
        events=tasks.events(task_id),
        started=tasks.list(TaskFilter(parent=task_id)).tasks,
    )
    task_report.show(printer(), report)


@app.command()
def why(task: TaskRef) -> None:
    """Say in one paragraph what became of a task and why.

    Example: automagik tasks why @last
    """
    from automagik.cli import explanations

    tasks = manager()
    explanations.show(printer(), tasks.why(tasks.resolve(task)))


@app.command()
def logs(
    task: TaskRef,
    *,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on until it ends.")] = False,
    level: Level = "debug",
    since: Annotated[
        str | None,
        typer.Option("--since", metavar="TIME", help="Said since: 2h, a date or an instant."),
    ] = None,
) -> None:
    """Show what was said during a task.

    Example: automagik tasks logs @last --follow --since 10m
    """
    tasks, level = manager(), _known(level)
    task_id = tasks.resolve(task)
    begin = None if since is None else moment(since)
    if not follow:
        lines = tasks.logs(task_id, level=level)
        shown = [line for line in lines if begin is None or line.at >= begin]
        task_report.log(printer(), shown)
        return
    stream = task_report.Stream(printer(), with_states=False)
    entries = tasks.follow(task_id, level=level)
    with _leaving(task_id):
        stream.run(entry for entry in entries if begin is None or entry.at >= begin)


@app.command()
def output(task: TaskRef) -> None:
    """Print what a task brought.

    The text as it is; with -o json the full answer.

    Example: automagik tasks output @last
    """
    tasks = manager()
    task_id = tasks.resolve(task)
    task_report.output(printer(), task_id, tasks.output(task_id))


@app.command()
@takes(which=TaskOptions)
def export(
    *,
    which: TaskOptions,
    contents: Annotated[
        bool, typer.Option("--contents", help="Also the input and the text of the output.")
    ] = False,
) -> None:
    """Write all tasks that the options mean, the newest first: JSON lines, or -o csv.

    Example: automagik tasks export --since 7d --contents > tasks.jsonl
    """
    from automagik.cli.export import write

    write(manager(), which.filter(), with_contents=contents)


@app.command()
def watch(
    task: TaskRef,
    *,
    timeout: GiveUp = None,
    level: Level = "info",
) -> None:
    """Follow a task until it ends.

    The exit code is 0 if it completed, 1 if it did not, 8 after the timeout.

    Example: automagik tasks watch @last --timeout 5m
    """
    tasks, level = manager(), _known(level)
    task_id = tasks.resolve(task)
    entries = tasks.follow(task_id, level=level, timeout=timeout)
    with _leaving(task_id):
        _show(entries, lambda: tasks.get(task_id))
    ended = tasks.get(task_id)
    task_report.ending(printer(), ended)
    raise typer.Exit(0 if ended.state is TaskState.COMPLETED else 1)


def manager() -> "TaskManager":
    from automagik.core.tasks.manager import TaskManager

    return TaskManager(database(), settings())


def _nothing(*, is_filtered: bool, goes_on: bool) -> str:
    if goes_on:
        return "None of the newest tasks is like that."
    if is_filtered:
        return "No task is like that."
    return "No tasks yet. Start one with: automagik flows run NAME"


def _known(level: str) -> str:
    require_known(level, LOG_LEVELS, noun="level")
    return level


def _show(entries: Iterator[Event | LogLine], read: Callable[[], Task]) -> None:
    """On a terminal as a picture that moves, unless the person wants lines to keep."""
    if printer().shape is Output.TABLE and sys.stdout.isatty():
        from automagik.cli.live import TaskView

        TaskView(read).run(entries)
    else:
        task_report.Stream(printer(), with_states=True).run(entries)


def _leaving(task_id: UUID) -> AbstractContextManager[None]:
    return leaving(f"The task goes on. Come back with: automagik tasks watch {task_id}")
