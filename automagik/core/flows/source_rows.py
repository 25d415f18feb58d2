"""The table of sources, for SourceManager alone."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, RowMapping, case, func, insert, select, update
from sqlalchemy.exc import IntegrityError

from automagik.core.database.models import FlowRow, SourceRow
from automagik.core.exceptions import Conflict, NotFound
from automagik.core.flows.values import Breaker, Source

Values = dict[str, Any]
"""Columns and what to store in them."""


def load(connection: Connection, source_id: UUID) -> Source:
    """Raises NotFound."""
    query = _sources().where(SourceRow.id == source_id)
    row = connection.execute(query).mappings().one_or_none()
    if row is None:
        raise NotFound(f"There is no source {source_id}.")
    return _source(row)


def load_all(connection: Connection) -> Sequence[Source]:
    """By name."""
    query = _sources().order_by(func.lower(SourceRow.name), SourceRow.id)
    return [_source(row) for row in connection.execute(query).mappings()]


def store_new(connection: Connection, values: Values) -> Source:
    """Raises Conflict when the name is taken."""
    statement = insert(SourceRow).values(**values).returning(SourceRow.id)
    require_free(connection, values["name"])
    with _name_may_be_taken(values["name"]):
        return load(connection, connection.scalars(statement).one())


def store_changed(connection: Connection, source_id: UUID, values: Values) -> Source:
    """Raises NotFound, and Conflict when the name is taken."""
    if "name" in values:
        require_free(connection, values["name"], except_for=source_id)
    with _name_may_be_taken(values.get("name", "")):
        connection.execute(
            update(SourceRow)
            .where(SourceRow.id == source_id)
            .values(**values, updated_at=func.now())
        )
    return load(connection, source_id)


def require_free(connection: Connection, name: str, *, except_for: UUID | None = None) -> None:
    """Raises Conflict when another source has the name, in any case."""
    query = select(SourceRow.id).where(func.lower(SourceRow.name) == name.lower())
    if any(taken != except_for for taken in connection.scalars(query)):
        raise _taken(name)


@contextmanager
def _name_may_be_taken(name: str) -> Iterator[None]:
    """Somebody else may store the same name at the same moment."""
    try:
        yield
    except IntegrityError as error:
        raise _taken(name) from error


def _taken(name: str) -> Conflict:
    return Conflict(
        f"There is already a source {name!r}.",
        hint=f"Take another name, or change it with: automagik sources update {name}",
    )


# A probe that is on its way has moved the instant of the next one ahead.
_BREAKER = case(
    (SourceRow.breaker_opened_at.is_(None), Breaker.CLOSED),
    (SourceRow.breaker_probe_id.is_not(None), Breaker.PROBING),
    else_=Breaker.OPEN,
)


def _source(row: RowMapping) -> Source:
    return Source(**{**row, "breaker": Breaker(row["breaker"])})


def _sources() -> Any:
    flows = (
        select(func.count())
        .where(FlowRow.source_id == SourceRow.id, FlowRow.gone_at.is_(None))
        .scalar_subquery()
    )
    return select(
        SourceRow.id,
        SourceRow.name,
        SourceRow.url,
        SourceRow.api_key_encrypted.is_not(None).label("has_api_key"),
        SourceRow.max_parallel_runs,
        SourceRow.max_runs_per_minute,
        _BREAKER.label("breaker"),
        SourceRow.breaker_reason,
        SourceRow.breaker_opened_at,
        SourceRow.breaker_probe_at,
        SourceRow.disabled_at,
        SourceRow.disabled_reason,
        SourceRow.version,
        flows.label("flows"),
        SourceRow.checked_at,
        SourceRow.created_at,
        SourceRow.updated_at,
    )
