"""From the table of tasks to values: one query that all readers of tasks share."""

from datetime import timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, Row, Select, select

from automagik.core.database.models import FlowRow, FlowVersionRow, ScheduleRow, SourceRow, TaskRow
from automagik.core.exceptions import NotFound
from automagik.core.tasks.states import TaskState
from automagik.core.tasks.values import Task
from automagik.core.tracing.traceparent import trace_id_of


def load(connection: Connection, task_id: UUID) -> Task:
    """Raises NotFound."""
    row = connection.execute(tasks().where(TaskRow.id == task_id)).one_or_none()
    if row is None:
        raise NotFound(f"There is no task {task_id}.")
    return as_task(row)


def tasks() -> Select[Any]:
    """Every task with the names around it, without input, answer and text, which may be large."""
    return (
        select(
            TaskRow.id,
            TaskRow.flow_id,
            FlowRow.name.label("flow_name"),
            TaskRow.flow_version_id,
            FlowVersionRow.number.label("flow_version"),
            TaskRow.source_id,
            SourceRow.name.label("source_name"),
            TaskRow.schedule_id,
            ScheduleRow.name.label("schedule_name"),
            *(getattr(TaskRow, name) for name in _PLAIN),
            TaskRow.state,
            TaskRow.timeout_seconds,
            TaskRow.traceparent,
        )
        .join(FlowRow, FlowRow.id == TaskRow.flow_id)
        .join(FlowVersionRow, FlowVersionRow.id == TaskRow.flow_version_id)
        .join(SourceRow, SourceRow.id == TaskRow.source_id)
        .outerjoin(ScheduleRow, ScheduleRow.id == TaskRow.schedule_id)
    )


def as_task(row: Row[Any]) -> Task:
    columns = dict(row._mapping)  # noqa: SLF001 - public by SQLAlchemy's documentation
    columns["timeout"] = timedelta(seconds=columns.pop("timeout_seconds"))
    columns["trace_id"] = trace_id_of(columns.pop("traceparent"))
    columns["state"] = TaskState(columns["state"])
    return Task(**columns)


_PLAIN = (
    "scheduled_for",
    "backfill_id",
    "parent_task_id",
    "priority",
    "queue",
    "max_retries",
    "at_most_once",
    "idempotency_key",
    "state_reason",
    "state_actor",
    "run_at",
    "attempt",
    "max_attempts",
    "error_code",
    "error_message",
    "created_at",
    "queued_at",
    "started_at",
    "finished_at",
)
