"""Rows that tests of tasks begin with, and what a worker would do to them."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

from sqlalchemy import func, insert, select, text, update

from automagik import __version__
from automagik.core.database.base import new_id
from automagik.core.database.models import (
    BeatRow,
    FlowRow,
    FlowVersionRow,
    ScheduleRow,
    SourceRow,
    TaskAttemptRow,
    TaskLogRow,
    TaskRow,
    WorkerRow,
)
from automagik.core.database.session import Database
from automagik.core.flows.values import Flow
from automagik.core.tasks.states import FINAL, AttemptOutcome, TaskState

_LONG_AGO = datetime(2026, 1, 1, tzinfo=UTC)


def add_flow(
    database: Database,
    name: str = "greeter",
    *,
    max_retries: int | None = None,
    timeout: timedelta | None = None,
) -> Flow:
    """A flow of a source of its own."""
    source_id, flow_id, version_id = new_id(), new_id(), new_id()
    source_name = f"source of {name}"
    with database.transaction() as connection:
        connection.execute(
            insert(SourceRow).values(id=source_id, name=source_name, url="http://127.0.0.1:9")
        )
        connection.execute(
            insert(FlowRow).values(
                id=flow_id,
                source_id=source_id,
                remote_id=str(flow_id),
                name=name,
                version_id=version_id,
                max_retries=max_retries,
                timeout_seconds=timeout and timeout.total_seconds(),
            )
        )
        connection.execute(
            insert(FlowVersionRow).values(
                id=version_id, flow_id=flow_id, number=1, content_hash="hash", definition={}
            )
        )
    return Flow(
        id=flow_id,
        source_id=source_id,
        source_name=source_name,
        remote_id=str(flow_id),
        name=name,
        description=None,
        endpoint_name=None,
        input_component=None,
        output_component=None,
        version_id=version_id,
        version_number=1,
        max_retries=max_retries,
        timeout=timeout,
        gone_at=None,
        synced_at=_LONG_AGO,
        created_at=_LONG_AGO,
        updated_at=_LONG_AGO,
    )


def add_schedule(database: Database, flow: Flow, name: str) -> UUID:
    """A paused one."""
    schedule_id = new_id()
    with database.transaction() as connection:
        connection.execute(
            insert(ScheduleRow).values(
                id=schedule_id,
                name=name,
                flow_id=flow.id,
                type="interval",
                expr="5m",
                timezone="UTC",
                anchor_at=_LONG_AGO,
                status="paused",
            )
        )
    return schedule_id


def add_worker(
    database: Database, name: str = "worker@here", *, silent_for: timedelta = timedelta()
) -> UUID:
    """A worker whose last sign of life is so old."""
    worker_id = new_id()
    with database.transaction() as connection:
        connection.execute(
            insert(WorkerRow).values(
                id=worker_id,
                name=name,
                hostname="here",
                pid=1,
                pool="threads",
                slots=10,
                queues=["automagik"],
                version=__version__,
                heartbeat_at=func.now() - silent_for,
            )
        )
    return worker_id


def add_beat(database: Database) -> None:
    """A live beat."""
    with database.transaction() as connection:
        connection.execute(insert(BeatRow).values(hostname="here", pid=1, version=__version__))


def start(database: Database, task_id: UUID, *, worker_id: UUID | None = None) -> None:
    """A worker has claimed it."""
    worker_id = worker_id or new_id()
    with database.transaction() as connection:
        attempt = connection.scalars(
            update(TaskRow)
            .where(TaskRow.id == task_id)
            .values(
                state=TaskState.RUNNING,
                state_actor="worker@here",
                attempt=TaskRow.attempt + 1,
                worker_id=worker_id,
                started_at=func.now(),
                lease_expires_at=func.now() + timedelta(seconds=30),
            )
            .returning(TaskRow.attempt)
        ).one()
        connection.execute(
            insert(TaskAttemptRow).values(
                task_id=task_id, attempt=attempt, worker_id=worker_id, worker_name="worker@here"
            )
        )


def end(
    database: Database,
    task_id: UUID,
    state: TaskState = TaskState.COMPLETED,
    *,
    output: str | None = "hello",
    error: str | None = None,
) -> None:
    """The worker is done with it; `waiting` is a failure that is tried again."""
    is_completed = state is TaskState.COMPLETED
    with database.transaction() as connection:
        connection.execute(
            update(TaskRow)
            .where(TaskRow.id == task_id)
            .values(
                state=state,
                state_actor="worker@here",
                lease_expires_at=None,
                finished_at=func.now() if state in FINAL else None,
                result={"outputs": [output]} if is_completed else None,
                output_text=output if is_completed else None,
                error_code="AM-SRC-RUN" if error else None,
                error_message=error,
            )
        )
        connection.execute(
            update(TaskAttemptRow)
            .where(TaskAttemptRow.task_id == task_id, TaskAttemptRow.outcome.is_(None))
            .values(
                outcome=AttemptOutcome.COMPLETED if is_completed else AttemptOutcome.FAILED,
                finished_at=func.now(),
                http_status=200 if is_completed else 500,
                error_code="AM-SRC-RUN" if error else None,
                error_message=error,
            )
        )


def ended_as(database: Database, task_id: UUID, state: TaskState) -> None:
    """A pending task is brought to this end."""
    if state is TaskState.CANCELLED:
        with database.transaction() as connection:
            connection.execute(
                text("UPDATE tasks SET state = 'cancelled', finished_at = now() WHERE id = :id"),
                {"id": task_id},
            )
        return
    start(database, task_id)
    end(database, task_id, state, error="no" if state is TaskState.FAILED else None)


def say(database: Database, task_id: UUID, message: str, *, level: str = "info") -> None:
    """The worker writes a log line."""
    with database.transaction() as connection:
        attempt = connection.scalars(select(TaskRow.attempt).where(TaskRow.id == task_id)).one()
        connection.execute(
            insert(TaskLogRow).values(
                task_id=task_id,
                attempt=attempt,
                at=func.clock_timestamp(),
                level=level,
                component="langflow",
                message=message,
            )
        )
