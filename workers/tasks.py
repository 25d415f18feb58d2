"""The one Celery task: a task id arrives, its run is claimed, run and finished."""

from typing import Any
from uuid import UUID

from celery import Task
from celery.exceptions import Ignore, Retry

from automagik.celery import app
from automagik.core.tasks.outcome import Disowned, Failed
from automagik.core.tasks.states import TaskState
from automagik.core.tasks.task_runner import Report
from workers.lifecycle import task_runner, under_way
from workers.ready_queue import TASK_NAME


class RunFailed(Exception):
    """What Celery's events and Flower say of a failed attempt: the code, never the text."""


@app.task(bind=True, name=TASK_NAME, throws=(RunFailed,))  # type: ignore[untyped-decorator]
def run(self: Any, task_id: str) -> str:
    """Runs one delivery; results and errors are in PostgreSQL, Celery only hears how it ended."""
    with under_way():
        report = task_runner().run(UUID(task_id))
    if report is None:
        raise Ignore
    return _tell_celery(self, report)


def _tell_celery(celery_task: Task, report: Report) -> str:
    """Makes Celery send the event that fits, so that Flower shows the truth."""
    if isinstance(report.outcome, Disowned) or report.ending is None:
        celery_task.send_event("task-revoked", terminated=True, signum=None, expired=False)
        raise Ignore
    if report.ending.state is TaskState.WAITING:
        # Beat sends the delivery of the next attempt when it is due.
        raise Retry(report.ending.reason, exc=RunFailed(report.ending.reason))
    if isinstance(report.outcome, Failed):
        raise RunFailed(report.outcome.code)
    return report.ending.state
