"""Cancel, retry and delete tasks: by people, and by what replaces or deletes their schedule."""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import Connection, delete, select, text

from automagik.core.database.models import TaskRow
from automagik.core.database.models.checks import one_of
from automagik.core.database.session import TO_WORKERS, WAKE, notify
from automagik.core.exceptions import Conflict, NotFound
from automagik.core.tasks.states import FINAL, TaskState, can_become
from automagik.core.tracing.traceparent import inherited

CANCELLABLE = tuple(state for state in TaskState if can_become(state, TaskState.CANCELLED))
RETRYABLE = (TaskState.FAILED, TaskState.CANCELLED)

_CANCEL = text(f"""
WITH found AS (
    SELECT id, state FROM tasks WHERE id = ANY(:ids) AND {one_of("state", CANCELLABLE)}
    ORDER BY id FOR NO KEY UPDATE
), cancelled AS (
    UPDATE tasks SET state = 'cancelled', state_actor = :actor, state_reason = :reason,
        finished_at = now(), lease_expires_at = NULL
    FROM found WHERE tasks.id = found.id
    RETURNING tasks.id, found.state AS was
), ended AS (
    UPDATE task_attempts SET outcome = 'cancelled', finished_at = now()
    WHERE task_id IN (SELECT id FROM cancelled) AND outcome IS NULL
)
SELECT id, CASE WHEN was = 'running' THEN pg_notify(:channel, id::text) END FROM cancelled
""")  # noqa: S608  (words of our own)

_RETRY = text(f"""
UPDATE tasks SET state = 'pending', state_actor = :actor, state_reason = :reason,
    max_attempts = attempt + 1 + max_retries, run_at = now(), worker_id = NULL, queued_at = NULL,
    started_at = NULL, finished_at = NULL, result = NULL, output_text = NULL, error_code = NULL,
    error_message = NULL, traceparent = coalesce(:traceparent, traceparent)
WHERE id IN (
    SELECT id FROM tasks WHERE id = ANY(:ids) AND {one_of("state", RETRYABLE)}
    ORDER BY id FOR NO KEY UPDATE
)
RETURNING id
""")  # noqa: S608  (words of our own)

_REMOVE = text("""
DELETE FROM tasks WHERE id IN (
    SELECT id FROM tasks WHERE id = ANY(:ids) AND state <> 'running' ORDER BY id FOR UPDATE
)
""")

# In the order of their ids, as everybody does who locks several.
_TELL = text("""
WITH newest AS (
    SELECT schedule_id, max(scheduled_for) AS scheduled_for FROM tasks
    WHERE id = ANY(:ids) AND scheduled_for IS NOT NULL GROUP BY schedule_id
), held AS MATERIALIZED (
    SELECT s.id, newest.scheduled_for FROM schedules s
    JOIN newest ON newest.schedule_id = s.id AND s.counts_from < newest.scheduled_for
    ORDER BY s.id FOR NO KEY UPDATE OF s
)
UPDATE schedules s SET counts_from = held.scheduled_for FROM held WHERE s.id = held.id
""")


def cancel(connection: Connection, task_id: UUID, *, actor: str, reason: str | None) -> None:
    """Final at once; a worker that runs it is told and drops what it gets. Twice is once.

    Raises NotFound, and Conflict when it ended otherwise.
    """
    state = _locked_state(connection, task_id)
    if state is TaskState.CANCELLED:
        return
    if state not in CANCELLABLE:
        raise Conflict(f"Task {task_id} is already {state}.", hint="There is nothing to cancel.")
    cancel_all(connection, [task_id], actor=actor, reason=reason)


def cancel_all(
    connection: Connection, ids: Sequence[UUID], *, actor: str, reason: str | None
) -> int:
    """Those of them that have not ended; returns how many."""
    if not ids:
        return 0
    arguments = {"ids": list(ids), "actor": actor, "reason": reason, "channel": TO_WORKERS}
    return len(connection.execute(_CANCEL, arguments).all())


def retry(connection: Connection, task_id: UUID, *, actor: str, reason: str | None) -> None:
    """Due again at once, with a fresh number of retries; attempts go on counting.

    Raises NotFound, and Conflict unless it failed or was cancelled.
    """
    state = _locked_state(connection, task_id)
    if state not in RETRYABLE:
        raise Conflict(f"Task {task_id} is {state}.", hint=_NO_RETRY_HINT[state in FINAL])
    retry_all(connection, [task_id], actor=actor, reason=reason)


def retry_all(
    connection: Connection, ids: Sequence[UUID], *, actor: str, reason: str | None
) -> int:
    """Those of them that failed or were cancelled; returns how many.

    They go on in the trace that the environment names, else in their own.
    """
    arguments = {"ids": list(ids), "actor": actor, "reason": reason, "traceparent": inherited()}
    retried = connection.execute(_RETRY, arguments).rowcount
    if retried:
        notify(connection, WAKE)
    return retried


def remove(connection: Connection, task_id: UUID) -> None:
    """With its attempts, events and log. Raises NotFound, and Conflict while it runs."""
    _tell_from_here_on(connection, [task_id])
    if _locked_state(connection, task_id) is TaskState.RUNNING:
        raise Conflict(
            f"Task {task_id} is running.",
            hint=f"Cancel it first: automagik tasks cancel {task_id}",
        )
    connection.execute(delete(TaskRow).where(TaskRow.id == task_id))


def remove_all(connection: Connection, ids: Sequence[UUID]) -> int:
    """Those of them that do not run, with their history; returns how many."""
    _tell_from_here_on(connection, ids)
    return connection.execute(_REMOVE, {"ids": list(ids)}).rowcount


def _tell_from_here_on(connection: Connection, ids: Sequence[UUID]) -> None:
    """Their schedules do not claim any more that each earlier occurrence has a task.

    Before the tasks are locked: whoever fires or deletes a schedule locks it first, too.
    """
    connection.execute(_TELL, {"ids": list(ids)})


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
