"""Which flow a person means: by name, endpoint name, either id, or the beginning of ours.

`SOURCE/FLOW` looks on one source only. A flow that is gone is meant only when no other is.
"""

from uuid import UUID

from sqlalchemy import ColumnElement, Connection, func, select, true

from automagik.core.database.lookup import find
from automagik.core.database.models import FlowRow, SourceRow
from automagik.core.exceptions import Ambiguous, NotFound

_SHOWN = 5
_LOOK = "See which there are with: automagik flows list, bring new ones in with: flows sync"


def find_flow(connection: Connection, reference: str, *, source_id: UUID | None = None) -> UUID:
    """Our id of the flow. Raises NotFound with the nearest names, and Ambiguous."""
    reference = reference.strip()
    found = _matches(connection, reference, source_id) or _on_source(connection, reference)
    if len(found) > 1:
        raise _ambiguous(connection, reference, found)
    return found[0] if found else _by_prefix(connection, reference, source_id)


def known_flow(connection: Connection, reference: str, *, source_id: UUID) -> UUID | None:
    """The same, with None instead of NotFound."""
    try:
        return find_flow(connection, reference, source_id=source_id)
    except NotFound:
        return None


def _matches(connection: Connection, reference: str, source_id: UUID | None) -> list[UUID]:
    """The flows of the first rule that any flow fulfils."""
    here = true() if source_id is None else FlowRow.source_id == source_id
    for rule in _rules(reference):
        rows = connection.execute(select(FlowRow.id, FlowRow.gone_at).where(rule, here)).all()
        if rows:
            return [r.id for r in rows if r.gone_at is None] or [r.id for r in rows]
    return []


def _rules(reference: str) -> list[ColumnElement[bool]]:
    return [
        FlowRow.name == reference,
        FlowRow.endpoint_name == reference,
        FlowRow.remote_id == reference.lower(),
        func.lower(FlowRow.name) == reference.lower(),
    ]


def _on_source(connection: Connection, reference: str) -> list[UUID]:
    source_name, slash, rest = reference.partition("/")
    if not slash:
        return []
    by_name = func.lower(SourceRow.name) == source_name.lower()
    source_id = connection.scalar(select(SourceRow.id).where(by_name))
    return _matches(connection, rest, source_id) if source_id else []


def _by_prefix(connection: Connection, reference: str, source_id: UUID | None) -> UUID:
    flow_id = find(connection, FlowRow, reference, noun="flow", hint=_LOOK)
    its_source = connection.scalar(select(FlowRow.source_id).where(FlowRow.id == flow_id))
    if source_id not in (None, its_source):
        raise NotFound(f"There is no flow {reference!r} on this source.", hint=_LOOK)
    return flow_id


def _ambiguous(connection: Connection, reference: str, found: list[UUID]) -> Ambiguous:
    query = (
        select(FlowRow.id, FlowRow.name, SourceRow.name.label("source"))
        .join(SourceRow, SourceRow.id == FlowRow.source_id)
        .where(FlowRow.id.in_(found))
        .order_by(SourceRow.name, FlowRow.id)
        .limit(_SHOWN)
    )
    rows = connection.execute(query).all()
    shown = ", ".join(f"{row.source}/{row.name} ({row.id})" for row in rows)
    return Ambiguous(
        f"Flow {reference!r} could be any of: {shown}", hint="Write SOURCE/FLOW, or the full id."
    )
