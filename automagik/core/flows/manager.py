"""FlowManager: the flows that were synced, and what may be asked of them."""

from collections.abc import Mapping, Sequence
from typing import Any

from automagik.core.config import Settings
from automagik.core.database.models import FlowRow
from automagik.core.database.session import WAKE, Database, notify
from automagik.core.flows import flow_rows
from automagik.core.flows.analyzer import FlowAnalysis, analyze
from automagik.core.flows.changes import changed_columns
from automagik.core.flows.flow_input import FlowInput
from automagik.core.flows.input_check import checked_input
from automagik.core.flows.reference import find_flow
from automagik.core.flows.values import Flow, FlowBaggage, FlowChange, Source
from automagik.core.queues import ensure_queue


class FlowManager:
    """Reads, checks, changes and deletes flows. Every method raises DatabaseUnreachable."""

    def __init__(self, database: Database, settings: Settings) -> None:
        self._database = database
        self._settings = settings

    def list(self, *, source: Source | None = None, with_gone: bool = True) -> Sequence[Flow]:
        """By name."""
        conditions = [] if source is None else [FlowRow.source_id == source.id]
        conditions += [] if with_gone else [FlowRow.gone_at.is_(None)]
        with self._database.transaction() as connection:
            return flow_rows.load_where(connection, *conditions)

    def get(self, reference: str, *, source: Source | None = None) -> Flow:
        """The flow meant by a name, an endpoint name, an id here or there, or `SOURCE/FLOW`.

        Raises NotFound, Ambiguous.
        """
        with self._database.transaction() as connection:
            flow_id = find_flow(connection, reference, source_id=source.id if source else None)
            return flow_rows.load(connection, flow_id)

    def definition(self, flow: Flow) -> Mapping[str, Any]:
        """Of the synced version. Raises NotFound."""
        with self._database.transaction() as connection:
            return flow_rows.definition_of(connection, flow.version_id)

    def analysis(self, flow: Flow) -> FlowAnalysis:
        """Of the synced version. Raises NotFound."""
        return analyze(self.definition(flow))

    def validate_input(self, flow: Flow, run_input: FlowInput) -> FlowInput:
        """The same input with tweaks by component id, checked against the synced version.

        Raises InvalidFlowInput, Conflict when the flow is gone, ComponentChoiceNeeded when a choice
        is open.
        """
        with self._database.transaction() as connection:
            return checked_input(connection, flow, run_input)

    def update(self, flow: Flow, change: FlowChange) -> Flow:
        """Runs that exist keep what they were created with; `max_parallel_runs` counts at once.

        Raises InvalidInput, NotFound.
        """
        columns = changed_columns(change)
        with self._database.transaction() as connection:
            if change.queue is not None:
                ensure_queue(connection, change.queue)
            notify(connection, WAKE)
            return flow_rows.change(connection, flow.id, columns)

    def weigh(self, flow: Flow) -> FlowBaggage:
        """What would be deleted with the flow."""
        # With it comes the room of schedules, which other commands do without.
        from automagik.core.flows.deletion import weigh

        with self._database.long_transaction() as connection:
            return weigh(connection, FlowRow.id == flow.id)

    def delete(self, flow: Flow) -> None:
        """With its schedules, tasks, logs and versions; once it is gone, that is no error.

        Raises Conflict when one of its tasks is running: nothing is deleted then.
        """
        from automagik.core.flows.deletion import delete_flows

        with self._database.long_transaction() as connection:
            delete_flows(connection, FlowRow.id == flow.id)
