"""What follows when a command has started a run: its end, or how to see it."""

from datetime import timedelta
from typing import TYPE_CHECKING

import typer

from automagik.cli import task_report
from automagik.cli.context import database, printer, settings
from automagik.cli.watching import leaving

if TYPE_CHECKING:
    from automagik.core.tasks.manager import TaskManager
    from automagik.core.tasks.values import Task


def finish(tasks: "TaskManager", task: "Task", *, timeout: timedelta | None = None) -> None:
    """Prints the output; when the run did not complete why, and then the exit code is 1.

    Ctrl-C leaves the task alone. Raises StillPending after the timeout.
    """
    from automagik.core.tasks.states import TaskState

    printer().say(f"Task {task.id}")
    if not task.state.is_final:
        _say_what_it_waits_for(task)
    with leaving(f"The task goes on. Come back with: automagik tasks watch {task.id}"):
        ended = tasks.wait(task.id, timeout=timeout)
    if ended.state is not TaskState.COMPLETED:
        task_report.ending(printer(), ended)
        raise typer.Exit(1)
    output = tasks.output(task.id)
    if printer().output:
        printer().item({**task_report.as_item(ended), "output_text": output.text})
    elif output.text is None:
        printer().say(f"✓ completed, without a text · more: automagik tasks show {task.id}")
    else:
        task_report.output(printer(), task.id, output)


def say_how_to_follow(task: "Task") -> None:
    """It may have ended long ago, when its idempotency key was used before."""
    if task.state.is_final:
        printer().say(f"It is {task.state}. See it with: automagik tasks show {task.id}")
        return
    printer().say(f"Watch it with: automagik tasks watch {task.id}")
    _say_what_it_waits_for(task)


def _say_what_it_waits_for(task: "Task") -> None:
    """Without a worker a task waits, however long, and so it does for a disabled source."""
    from automagik.core.flows.sources import SourceManager

    source = SourceManager(database(), settings()).get(str(task.source_id))
    if source.disabled_at is not None:
        note = f" ({source.disabled_reason})" if source.disabled_reason else ""
        printer().say(
            f"! The source {source.name} is disabled{note}, so the task waits."
            f" Go on with: automagik sources enable {source.name}"
        )
    say_if_nobody_works("the task waits")


def say_if_nobody_works(then: str) -> None:
    """Without a worker nothing runs, however long."""
    from automagik.core.tasks.workers import list_workers

    lease = timedelta(seconds=settings().lease_seconds)
    with database().transaction() as connection:
        workers = list_workers(connection, lease=lease)
    if not any(worker.is_live for worker in workers):
        printer().say(
            f"! No worker is running, so {then}."
            " Start one with: automagik up, or celery -A automagik worker"
        )
