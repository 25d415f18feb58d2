"""What a task went through: attempts, changes of its state, and what was said."""

from typing import Any
from uuid import UUID

from sqlalchemy import Connection, select

from automagik.core.database.models import TaskAttemptRow, TaskEventRow, TaskLogRow
from automagik.core.tasks.states import AttemptOutcome, TaskState
from automagik.core.tasks.values import LOG_LEVELS, Attempt, Event, LogLine

PAGE = 1000
"""How many rows one query brings at most."""


def attempts(connection: Connection, task_id: UUID) -> list[Attempt]:
    """In order."""
    query = _columns(TaskAttemptRow, Attempt).where(TaskAttemptRow.task_id == task_id)
    rows = connection.execute(query.order_by(TaskAttemptRow.attempt)).mappings()
    return [Attempt(**{**row, "outcome": _outcome(row["outcome"])}) for row in rows]


def events(connection: Connection, task_id: UUID, *, after: int = 0) -> list[Event]:
    """In order, those with an id above `after`; at most a page."""
    query = _columns(TaskEventRow, Event).where(
        TaskEventRow.task_id == task_id, TaskEventRow.id > after
    )
    rows = connection.execute(query.order_by(TaskEventRow.id).limit(PAGE)).mappings()
    return [
        Event(
            **{
                **row,
                "from_state": _state(row["from_state"]),
                "to_state": TaskState(row["to_state"]),
            }
        )
        for row in rows
    ]


def log_lines(
    connection: Connection, task_id: UUID, *, after: int = 0, level: str = LOG_LEVELS[0]
) -> list[LogLine]:
    """In order, those of this level or graver with an id above `after`; at most a page."""
    query = _columns(TaskLogRow, LogLine).where(
        TaskLogRow.task_id == task_id,
        TaskLogRow.id > after,
        TaskLogRow.level.in_(LOG_LEVELS[LOG_LEVELS.index(level) :]),
    )
    rows = connection.execute(query.order_by(TaskLogRow.id).limit(PAGE)).mappings()
    return [LogLine(**row) for row in rows]


def _columns(row: Any, value: Any) -> Any:
    """A value of this room has the same names as the columns it is made of."""
    return select(*(getattr(row, name) for name in value.__dataclass_fields__))


def _outcome(name: str | None) -> AttemptOutcome | None:
    return AttemptOutcome(name) if name else None


def _state(name: str | None) -> TaskState | None:
    return TaskState(name) if name else None
