"""Backfills as values, and the statements that read them."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, Row, Select, func, select

from automagik.core.database.models import BackfillRow, ScheduleRow, TaskRow
from automagik.core.exceptions import NotFound
from automagik.core.scheduler.policies import Overlap
from automagik.core.tasks.states import TaskState


class BackfillState(StrEnum):
    """Where a backfill stands."""

    RUNNING = "running"
    COMPLETED = "completed"
    """It is through, and all of its tasks have ended."""
    CANCELLED = "cancelled"
    """It makes no more tasks."""

    @property
    def is_final(self) -> bool:
        return self is not BackfillState.RUNNING


@dataclass(frozen=True, kw_only=True, slots=True)
class Backfill:
    """A stretch of the past whose occurrences without a task run, oldest first."""

    id: UUID
    schedule_id: UUID
    schedule_name: str
    timezone: str
    """Of the schedule."""
    begin_at: datetime
    end_at: datetime
    """Not included."""
    overlap: Overlap
    max_concurrent: int
    state: BackfillState
    reason: str | None
    """Why it was cancelled."""
    occurrences: int
    """How many its stretch had when it began."""
    made: int
    """How many tasks it has made."""
    passed_by: int
    """How many occurrences had a task already, or were left out by its overlap policy."""
    unfinished: int
    completed: int
    failed: int
    cancelled: int
    """How many of its tasks, as far as they are kept."""
    told_until: datetime
    actor: str
    created_at: datetime
    finished_at: datetime | None

    @property
    def done(self) -> int:
        """How many occurrences need nothing more."""
        return self.made + self.passed_by - self.unfinished

    @property
    def has_succeeded(self) -> bool:
        return self.state is BackfillState.COMPLETED and not self.failed


def load(connection: Connection, backfill_id: UUID) -> Backfill:
    """Raises NotFound."""
    found = read(connection, backfills().where(BackfillRow.id == backfill_id))
    if not found:
        raise NotFound(f"There is no backfill {backfill_id}.")
    return found[0]


def read(connection: Connection, query: Select[Any]) -> Sequence[Backfill]:
    """What a query says that `backfills()` began."""
    return [_as_backfill(row) for row in connection.execute(query)]


def backfills() -> Select[Any]:
    """Every backfill with what became of its tasks."""
    own = select(*_counts()).where(TaskRow.backfill_id == BackfillRow.id).lateral()
    return (
        select(
            *(getattr(BackfillRow, name) for name in _PLAIN),
            ScheduleRow.name.label("schedule_name"),
            ScheduleRow.timezone,
            own,
        )
        .join(ScheduleRow, ScheduleRow.id == BackfillRow.schedule_id)
        .join(own, onclause=own.c.unfinished.is_not(None))
    )


def _counts() -> list[Any]:
    finals = [state for state in TaskState if state.is_final]
    return [
        func.count().filter(TaskRow.state.not_in(finals)).label("unfinished"),
        *(func.count().filter(TaskRow.state == state).label(state.value) for state in finals),
    ]


def _as_backfill(row: Row[Any]) -> Backfill:
    columns = dict(row._mapping)  # noqa: SLF001 - public by SQLAlchemy's documentation
    return Backfill(
        overlap=Overlap(columns.pop("overlap")),
        state=BackfillState(columns.pop("state")),
        **columns,
    )


_PLAIN = (
    "id",
    "schedule_id",
    "begin_at",
    "end_at",
    "overlap",
    "max_concurrent",
    "state",
    "reason",
    "occurrences",
    "made",
    "passed_by",
    "told_until",
    "actor",
    "created_at",
    "finished_at",
)
