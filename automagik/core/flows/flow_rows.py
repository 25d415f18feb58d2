"""Reading flows from their tables, as values."""

from datetime import timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Connection, func, select, update

from automagik.core.database.models import (
    FlowComponentRow,
    FlowRow,
    FlowVersionRow,
    ScheduleRow,
    SourceRow,
)
from automagik.core.exceptions import NotFound
from automagik.core.flows.values import Flow


def load(connection: Connection, flow_id: UUID) -> Flow:
    """Raises NotFound."""
    found = load_where(connection, FlowRow.id == flow_id)
    if not found:
        raise NotFound(f"There is no flow {flow_id}.")
    return found[0]


def hold(connection: Connection, flow: Flow) -> None:
    """Nobody deletes it until the transaction ends. Raises NotFound."""
    query = select(FlowRow.id).where(FlowRow.id == flow.id)
    if connection.scalar(query.with_for_update(read=True, key_share=True)) is None:
        raise NotFound(f"There is no flow {flow.name!r} any more.")


def change(connection: Connection, flow_id: UUID, columns: dict[str, Any]) -> Flow:
    """Raises NotFound."""
    statement = update(FlowRow).where(FlowRow.id == flow_id)
    connection.execute(statement.values(**columns, updated_at=func.now()))
    return load(connection, flow_id)


def load_where(connection: Connection, *conditions: ColumnElement[bool]) -> list[Flow]:
    """By name."""
    query = _flows().where(*conditions).order_by(func.lower(FlowRow.name), FlowRow.id)
    return [_flow(row) for row in connection.execute(query).mappings()]


def definition_of(connection: Connection, version_id: UUID) -> dict[str, Any]:
    """Raises NotFound."""
    query = select(FlowVersionRow.definition).where(FlowVersionRow.id == version_id)
    definition: dict[str, Any] | None = connection.scalar(query)
    if definition is None:
        raise NotFound(f"There is no version {version_id}.")
    return definition


def _flows() -> Any:
    schedules = select(func.count()).where(ScheduleRow.flow_id == FlowRow.id).scalar_subquery()
    return (
        select(
            FlowRow.__table__,
            SourceRow.name.label("source_name"),
            FlowVersionRow.number.label("version_number"),
            schedules.label("schedules"),
            _candidates(FlowComponentRow.is_input).label("inputs"),
            _candidates(FlowComponentRow.is_output).label("outputs"),
        )
        .join(SourceRow, SourceRow.id == FlowRow.source_id)
        .join(FlowVersionRow, FlowVersionRow.id == FlowRow.version_id)
    )


def _candidates(role: Any) -> Any:
    of_version = FlowComponentRow.version_id == FlowRow.version_id
    return select(func.count()).where(of_version, role).scalar_subquery()


def _flow(row: Any) -> Flow:
    values = dict(row)
    seconds = values.pop("timeout_seconds")
    return Flow(timeout=None if seconds is None else timedelta(seconds=seconds), **values)
