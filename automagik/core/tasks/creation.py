"""What the row of a new task holds, and what must stay while it is inserted."""

from datetime import timedelta
from typing import Any, TypeVar
from uuid import UUID

from sqlalchemy import Connection, select

from automagik.core.config import Settings
from automagik.core.database.models import ScheduleRow
from automagik.core.exceptions import NotFound
from automagik.core.flows import flow_rows
from automagik.core.flows.flow_input import FlowInput
from automagik.core.flows.values import Flow
from automagik.core.tasks.run_options import checked_priority

Columns = dict[str, Any]
_T = TypeVar("_T")


def flow_columns(flow: Flow, run_input: FlowInput) -> Columns:
    """What runs, and with what."""
    return {
        "flow_id": flow.id,
        "flow_version_id": flow.version_id,
        "source_id": flow.source_id,
        "input_value": run_input.input_value,
        "tweaks": {component: dict(f) for component, f in run_input.tweaks.items()},
        "session_id": run_input.session_id,
    }


def option_columns(
    flow: Flow,
    settings: Settings,
    *,
    priority: int | None,
    queue: str | None,
    max_retries: int | None,
    timeout: timedelta | None,
    at_most_once: bool | None = None,
) -> Columns:
    """What is given, else what the flow says, else the settings. Raises InvalidInput."""
    retries = _first(max_retries, flow.max_retries, default=settings.max_retries)
    usual = timedelta(seconds=settings.run_timeout_seconds)
    return {
        "priority": _first(checked_priority(priority), flow.priority, default=0),
        "queue": _first(queue, flow.queue, default=settings.queue),
        "max_retries": retries,
        "max_attempts": retries + 1,
        "timeout_seconds": _first(timeout, flow.timeout, default=usual).total_seconds(),
        "at_most_once": _first(at_most_once, default=flow.at_most_once),
    }


def hold(connection: Connection, flow: Flow, schedule_id: UUID | None) -> None:
    """Nobody deletes them until the transaction ends. Raises NotFound.

    The schedule first, as who deletes a flow does: it would wait for us, and we for it.
    """
    if schedule_id is not None:
        query = select(ScheduleRow.id).where(ScheduleRow.id == schedule_id)
        if connection.scalar(query.with_for_update(read=True, key_share=True)) is None:
            raise NotFound(f"There is no schedule {schedule_id} any more.")
    flow_rows.hold(connection, flow)


def _first(*choices: _T | None, default: _T) -> _T:
    return next((choice for choice in choices if choice is not None), default)
