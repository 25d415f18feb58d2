"""What people do to tasks: cancel, retry, delete."""

from uuid import UUID

from sqlalchemy import Connection, delete, func, select, update

from automagik.core.database.models import ScheduleRow, TaskAttemptRow, TaskRow
from automagik.core.database.session import CANCEL, WAKE, notify
from automagik.core.exceptions import Conflict, NotFound
from automagik.core.tasks.states import FINAL, AttemptOutcome, TaskState, can_become


def cancel(connection: Connection, task_id: UUID, *, actor: str, reason: str | None) -> None:
    """Final at once; a worker that runs it is told and drops what it gets. Twice is once.

    Raises NotFound, and Conflict when it ended otherwise.
    """
    state = _locked_state(connection, task_id)
    if state is TaskState.CANCELLED:
        return
    if not can_become(state, TaskState.CANCELLED):
        raise Conflict(f"Task {task_id} is already {state}.", hint="There is nothing to cancel.")
    connection.execute(
        update(TaskRow)
        .where(TaskRow.id == task_id)
        .values(
            state=TaskState.CANCELLED,
            state_actor=actor,
            state_reason=reason,
            finished_at=func.now(),
            lease_expires_at=None,
        )
    )
    if state is TaskState.RUNNING:
        _end_open_attempt(connection, task_id)
        notify(connection, CANCEL, str(task_id))


def retry(connection: Connection, task_id: UUID, *, actor: str, reason: str | None) -> None:
    """Due again at once, with a fresh number of retries; attempts go on counting.

    Raises NotFound, and Conflict unless it failed or was cancelled.
    """
    state = _locked_state(connection, task_id)
    if state not in _RETRYABLE:
        raise Conflict(f"Task {task_id} is {state}.", hint=_NO_RETRY_HINT[state in FINAL])
    connection.execute(
        update(TaskRow)
        .where(TaskRow.id == task_id)
        .values(
            state=TaskState.PENDING,
            state_actor=actor,
            state_reason=reason,
            max_attempts=TaskRow.attempt + 1 + TaskRow.max_retries,
            run_at=func.now(),
            worker_id=None,
            queued_at=None,
            started_at=None,
            finished_at=None,
            result=None,
            output_text=None,
            error_code=None,
            error_message=None,
        )
    )
    notify(connection, WAKE)


def remove(connection: Connection, task_id: UUID) -> None:
    """With its attempts, events and log. Raises NotFound, and Conflict while it runs."""
    _tell_from_here_on(connection, task_id)
    if _locked_state(connection, task_id) is TaskState.RUNNING:
        raise Conflict(
            f"Task {task_id} is running.",
            hint=f"Cancel it first: automagik tasks cancel {task_id}",
        )
    connection.execute(delete(TaskRow).where(TaskRow.id == task_id))


def _tell_from_here_on(connection: Connection, task_id: UUID) -> None:
    """Its schedule does not claim any more that each earlier occurrence has a task.

    Before the task is locked: whoever fires or deletes the schedule locks it first, too.
    """
    connection.execute(
        update(ScheduleRow)
        .where(
            ScheduleRow.id == TaskRow.schedule_id,
            TaskRow.id == task_id,
            ScheduleRow.counts_from < TaskRow.scheduled_for,
        )
        .values(counts_from=TaskRow.scheduled_for)
    )


_RETRYABLE = frozenset({TaskState.FAILED, TaskState.CANCELLED})
_NO_RETRY_HINT = {
    True: "Start a new run of the flow with: automagik flows run",
    False: "Only failed and cancelled tasks are retried by hand.",
}


def _locked_state(connection: Connection, task_id: UUID) -> TaskState:
    query = select(TaskRow.state).where(TaskRow.id == task_id).with_for_update()
    state = connection.scalar(query)
    if state is None:
        raise NotFound(f"There is no task {task_id}.")
    return TaskState(state)


def _end_open_attempt(connection: Connection, task_id: UUID) -> None:
    connection.execute(
        update(TaskAttemptRow)
        .where(TaskAttemptRow.task_id == task_id, TaskAttemptRow.outcome.is_(None))
        .values(outcome=AttemptOutcome.CANCELLED, finished_at=func.now())
    )
