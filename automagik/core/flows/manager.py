"""FlowManager: the flows that were synced, and what may be asked of them."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from automagik.core.config import Settings
from automagik.core.database.models import FlowRow
from automagik.core.database.session import Database
from automagik.core.exceptions import Conflict
from automagik.core.flows import flow_rows
from automagik.core.flows.analyzer import FlowAnalysis, analyze
from automagik.core.flows.choosing import Components, open_choices
from automagik.core.flows.deletion import delete_flows, weigh
from automagik.core.flows.exceptions import ComponentChoiceNeeded
from automagik.core.flows.flow_input import FlowInput
from automagik.core.flows.reference import find_flow
from automagik.core.flows.run_body import build_run_body
from automagik.core.flows.tweaks import validate_tweaks
from automagik.core.flows.values import Flow, FlowBaggage, Source


class FlowManager:
    """Reads, checks and deletes flows. Every method raises DatabaseUnreachable."""

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

        Raises InvalidFlowInput; and when the flow cannot run at all, what `require_runnable` does.
        """
        analysis = self.analysis(flow)
        require_runnable(flow, analysis)
        build_run_body(
            run_input,
            analysis,
            input_component=flow.input_component,
            output_component=flow.output_component,
            session_id=str(flow.id),
        )
        tweaks = validate_tweaks(
            analysis,
            run_input.tweaks,
            input_component=flow.input_component,
            input_value=run_input.input_value,
        )
        return replace(run_input, tweaks=tweaks)

    def weigh(self, flow: Flow) -> FlowBaggage:
        """What would be deleted with the flow."""
        with self._database.transaction() as connection:
            return weigh(connection, FlowRow.id == flow.id)

    def delete(self, flow: Flow) -> None:
        """With its schedules, tasks, logs and versions; once it is gone, that is no error.

        Raises Conflict when one of its tasks is running: nothing is deleted then.
        """
        with self._database.transaction() as connection:
            delete_flows(connection, FlowRow.id == flow.id)


def require_runnable(flow: Flow, analysis: FlowAnalysis) -> None:
    """Raises Conflict when the flow is gone, ComponentChoiceNeeded when a choice is open.

    A flow without any input or output component can run.
    """
    if flow.gone_at is not None:
        raise Conflict(
            f"Flow {flow.name!r} is not on the source {flow.source_name!r} any more.",
            hint=f"If it is back, run: automagik flows sync --source {flow.source_name}",
        )
    chosen = Components(input=flow.input_component, output=flow.output_component)
    for choice in open_choices(flow.name, analysis, chosen):
        ids = tuple(component.id for component in choice.candidates)
        raise ComponentChoiceNeeded(
            f"Flow {flow.name!r} has {len(ids)} {choice.role}s, and none is chosen.",
            hint=choice.hint,
            role=choice.role,
            candidates=ids,
        )
