"""Deleting flows with all that hangs on them, but never under a run."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Connection, delete, func, select

from automagik.core.database.models import FlowRow, ScheduleRow, TaskLogRow, TaskRow
from automagik.core.exceptions import Conflict
from automagik.core.flows.values import FlowBaggage
from automagik.core.scheduler import chains
from automagik.core.tasks.states import TaskState


def weigh(connection: Connection, which: ColumnElement[bool]) -> FlowBaggage:
    """What would go with the flows that fulfil a condition."""
    flows = select(FlowRow.id).where(which)
    tasks = select(TaskRow.id).where(TaskRow.flow_id.in_(flows))
    running = tasks.where(TaskRow.state == TaskState.RUNNING)
    schedules = select(ScheduleRow.id).where(ScheduleRow.flow_id.in_(flows))
    log_lines = select(TaskLogRow.id).where(TaskLogRow.task_id.in_(tasks))

    def count(rows: Any) -> int:
        return connection.scalar(select(func.count()).select_from(rows.subquery())) or 0

    flow_ids = connection.scalars(flows).all()
    return FlowBaggage(
        followers=chains.goes_along(connection, flows=flow_ids),
        schedules=count(schedules),
        tasks=count(tasks),
        running=count(running),
        log_lines=count(log_lines),
    )


def delete_flows(connection: Connection, which: ColumnElement[bool]) -> int:
    """Deletes schedules, tasks, logs and versions too; the answer is the number of flows.

    Raises Conflict when a task is running: nothing is deleted then.
    """
    flow_ids = _lock(connection, which)
    of_these = TaskRow.flow_id.in_(flow_ids)
    connection.execute(delete(TaskRow).where(of_these, TaskRow.state != TaskState.RUNNING))
    running = connection.scalars(select(TaskRow.id).where(of_these).limit(1)).first()
    if running is not None:
        raise Conflict(
            f"Task {running} is running.",
            hint=f"Wait for it, or cancel it with: automagik tasks cancel {running}",
        )
    connection.execute(delete(FlowRow).where(FlowRow.id.in_(flow_ids)))
    return len(flow_ids)


def _lock(connection: Connection, which: ColumnElement[bool]) -> Sequence[UUID]:
    """Keeps new tasks out. Schedules first, as a beat does: it would wait for us, and we for it."""
    flows = select(FlowRow.id).where(which)
    chains.lock_with_flows(connection, connection.scalars(flows).all())
    return connection.scalars(flows.order_by(FlowRow.id).with_for_update()).all()
