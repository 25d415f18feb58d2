"""Whether a flow can run with an input, told by its synced version before anything is stored."""

from dataclasses import replace

from sqlalchemy import Connection

from automagik.core.exceptions import Conflict
from automagik.core.flows.analyzer import FlowAnalysis, analyze
from automagik.core.flows.choosing import Components, open_choices
from automagik.core.flows.exceptions import ComponentChoiceNeeded
from automagik.core.flows.flow_input import FlowInput
from automagik.core.flows.flow_rows import definition_of
from automagik.core.flows.run_body import build_run_body
from automagik.core.flows.tweaks import validate_tweaks
from automagik.core.flows.values import Flow


def checked_input(connection: Connection, flow: Flow, run_input: FlowInput) -> FlowInput:
    """The same input with tweaks by component id.

    Raises InvalidFlowInput, Conflict when the flow is gone, ComponentChoiceNeeded when a choice is
    open. A flow without any input or output component can run.
    """
    analysis = analyze(definition_of(connection, flow.version_id))
    _require_runnable(flow, analysis)
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


def _require_runnable(flow: Flow, analysis: FlowAnalysis) -> None:
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
