"""What tests of schedules begin with: flows of the demo server, stored as a sync stores them."""

from sqlalchemy import func, insert, update

from automagik.core.database.models import FlowRow, SourceRow
from automagik.core.database.session import Database
from automagik.core.flows import flow_rows
from automagik.core.flows.analyzer import analyze
from automagik.core.flows.flow_store import Snapshot, store
from automagik.core.flows.remote_flow import RemoteFlow
from automagik.core.flows.values import Flow
from automagik.demo.flows import built_in_flows


def add_flow(database: Database, name: str = "Echo") -> Flow:
    """Echo, Slow, Failing or Flaky, on a source of its own."""
    remote = RemoteFlow.from_json(next(f for f in built_in_flows() if f["name"] == name))
    analysis = analyze(remote.data)
    new_source = insert(SourceRow).values(name=f"source of {name}", url="http://127.0.0.1:9")
    with database.transaction() as connection:
        snapshot = Snapshot(
            source_id=connection.scalars(new_source.returning(SourceRow.id)).one(),
            remote=remote,
            analysis=analysis,
            input_component=analysis.inputs[0].id,
            output_component=analysis.outputs[0].id,
        )
        return flow_rows.load(connection, store(connection, snapshot).id)


def mark_gone(database: Database, flow: Flow) -> None:
    """A full sync has not found it any more."""
    with database.transaction() as connection:
        connection.execute(update(FlowRow).where(FlowRow.id == flow.id).values(gone_at=func.now()))
