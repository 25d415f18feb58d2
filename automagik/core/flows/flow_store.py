"""Storing a flow as its source gave it: each definition once, also when an old one comes back."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, delete, func, insert, select, update

from automagik.core.database.base import new_id
from automagik.core.database.models import FlowComponentRow, FlowRow, FlowVersionRow
from automagik.core.flows.analyzer import FlowAnalysis
from automagik.core.flows.definition import content_hash
from automagik.core.flows.remote_flow import RemoteFlow

_WORDS = {
    "version_id": "definition",
    "name": "name",
    "description": "description",
    "endpoint_name": "endpoint name",
    "input_component": "input",
    "output_component": "output",
    "gone_at": "back again",
}
"""What a changed column is called."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Snapshot:
    """A flow as it is on its source, with the chosen components."""

    source_id: UUID
    remote: RemoteFlow
    analysis: FlowAnalysis
    input_component: str | None
    output_component: str | None


@dataclass(frozen=True, kw_only=True, slots=True)
class StoredFlow:
    id: UUID
    version_number: int
    is_new: bool
    what: tuple[str, ...]
    """What changed, in words; for a new flow nothing."""


def store(connection: Connection, snapshot: Snapshot) -> StoredFlow:
    """Adds the flow or brings it up to date. The caller holds a lock on the source."""
    known = _known(connection, snapshot)
    flow_id = known["id"] if known else new_id()
    version_id, number = _version(connection, flow_id, content_hash(snapshot.remote.data))
    values = _values(snapshot) | {"version_id": version_id or new_id()}
    if known is None:
        connection.execute(insert(FlowRow).values(id=flow_id, **values))
    if version_id is None:
        _add_version(connection, flow_id, values["version_id"], number=number, snapshot=snapshot)
    _replace_components(connection, values["version_id"], snapshot.analysis)
    what = _update(connection, known, values) if known else ()
    return StoredFlow(id=flow_id, version_number=number, is_new=known is None, what=what)


def _known(connection: Connection, snapshot: Snapshot) -> Mapping[str, Any] | None:
    query = select(FlowRow.__table__).where(
        FlowRow.source_id == snapshot.source_id, FlowRow.remote_id == snapshot.remote.id
    )
    # Tasks may be inserted meanwhile.
    row = connection.execute(query.with_for_update(key_share=True)).mappings().one_or_none()
    return None if row is None else dict(row)


def _version(connection: Connection, flow_id: UUID, digest: str) -> tuple[UUID | None, int]:
    """The version with this content and its number; None and the next number when there is none."""
    of_flow = FlowVersionRow.flow_id == flow_id
    same = select(FlowVersionRow.id, FlowVersionRow.number).where(
        of_flow, FlowVersionRow.content_hash == digest
    )
    found = connection.execute(same).one_or_none()
    if found:
        return found.id, found.number
    latest = connection.scalar(select(func.max(FlowVersionRow.number)).where(of_flow))
    return None, (latest or 0) + 1


def _values(snapshot: Snapshot) -> dict[str, Any]:
    remote = snapshot.remote
    return {
        "source_id": snapshot.source_id,
        "remote_id": remote.id,
        "name": remote.name,
        "description": remote.description,
        "endpoint_name": remote.endpoint_name,
        "input_component": snapshot.input_component,
        "output_component": snapshot.output_component,
        "gone_at": None,
    }


def _add_version(
    connection: Connection, flow_id: UUID, version_id: UUID, *, number: int, snapshot: Snapshot
) -> None:
    connection.execute(
        insert(FlowVersionRow).values(
            id=version_id,
            flow_id=flow_id,
            number=number,
            content_hash=content_hash(snapshot.remote.data),
            definition=dict(snapshot.remote.data or {}),
        )
    )


def _replace_components(connection: Connection, version_id: UUID, analysis: FlowAnalysis) -> None:
    """Also for a version that is there: a later analyzer sees more in it."""
    connection.execute(delete(FlowComponentRow).where(FlowComponentRow.version_id == version_id))
    rows = {
        component.id: {
            "version_id": version_id,
            "component_id": component.id,
            "type": component.type,
            "display_name": component.display_name,
            "is_input": component.is_input,
            "is_output": component.is_output,
            "parameters": [asdict(parameter) for parameter in component.parameters],
        }
        for component in analysis.components
    }
    if rows:
        connection.execute(insert(FlowComponentRow), list(rows.values()))


def _update(
    connection: Connection, known: Mapping[str, Any], values: dict[str, Any]
) -> tuple[str, ...]:
    changed = {key: value for key, value in values.items() if known[key] != value}
    moment = {"updated_at": func.now()} if changed else {}
    connection.execute(
        update(FlowRow)
        .where(FlowRow.id == known["id"])
        .values(**changed, **moment, synced_at=func.now())
    )
    return tuple(word for key, word in _WORDS.items() if key in changed)
