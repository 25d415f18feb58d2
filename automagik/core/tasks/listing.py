"""Lists of tasks, newest first, page by page."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Connection, Select, select, union_all

from automagik.core.database import lookup
from automagik.core.database.models import ScheduleRow, TaskRow
from automagik.core.flows.reference import find_flow
from automagik.core.tasks.rows import as_task, tasks
from automagik.core.tasks.states import TaskState
from automagik.core.tasks.values import Task


@dataclass(frozen=True, kw_only=True, slots=True)
class TaskFilter:
    """Which tasks a list shows.

    Flow and schedule are what a person types: a name, an id, the beginning of one, or SOURCE/FLOW.
    """

    flow: str | None = None
    schedule: str | None = None
    states: Sequence[TaskState] = ()
    """Any of these; none given: all."""
    backfill: UUID | None = None
    """Only those that this backfill has made."""
    parent: UUID | None = None
    """Only those that the end of this task has started."""
    before: UUID | None = None
    """The last task of the page before: only older ones follow."""
    limit: int = 50


def list_tasks(connection: Connection, wanted: TaskFilter) -> list[Task]:
    """Raises NotFound and Ambiguous for the flow and the schedule of the filter."""
    newest = _newest(tasks().where(*_conditions(connection, wanted)), TaskRow.id, wanted)
    query = _in_states(newest, wanted) if wanted.states else newest
    return [as_task(row) for row in connection.execute(query)]


def _conditions(connection: Connection, wanted: TaskFilter) -> list[ColumnElement[bool]]:
    conditions: list[ColumnElement[bool]] = []
    if wanted.flow is not None:
        conditions.append(TaskRow.flow_id == find_flow(connection, wanted.flow))
    if wanted.schedule is not None:
        schedule_id = lookup.find(connection, ScheduleRow, wanted.schedule, noun="schedule")
        conditions.append(TaskRow.schedule_id == schedule_id)
    if wanted.backfill is not None:
        conditions.append(TaskRow.backfill_id == wanted.backfill)
    if wanted.parent is not None:
        conditions.append(TaskRow.parent_task_id == wanted.parent)
    if wanted.before is not None:
        conditions.append(TaskRow.id < wanted.before)
    return conditions


def _in_states(newest: Select[Any], wanted: TaskFilter) -> Select[Any]:
    """One short walk along an index per state: (state, id DESC) has no order across states."""
    walks = [newest.where(TaskRow.state == state).subquery() for state in set(wanted.states)]
    merged = union_all(*(select(walk) for walk in walks)).subquery()
    return _newest(select(merged), merged.c.id, wanted)


def _newest(query: Select[Any], task_id: Any, wanted: TaskFilter) -> Select[Any]:
    return query.order_by(task_id.desc()).limit(wanted.limit)
