"""The body of a run as LangFlow needs it for the chosen input and output."""

import json
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from automagik.core.flows.analyzer import FlowAnalysis
from automagik.core.flows.components import Component
from automagik.core.flows.exceptions import InvalidFlowInput
from automagik.core.flows.flow_input import FlowInput
from automagik.core.flows.tweaks import Tweaks, merge_tweaks, validate_tweaks

INPUT_TYPE_OF: dict[str, Literal["chat", "text"]] = {"ChatInput": "chat", "TextInput": "text"}


@dataclass(frozen=True, kw_only=True, slots=True)
class RunBody:
    """What POST /run gets. `input_value` None: the input goes by a tweak, or there is none.

    A body of a wrong shape is dropped as a whole by LangFlow 1.7 and later, and the flow runs
    without any input; so only what was checked becomes one.
    """

    session_id: str
    input_value: str | None = field(default=None, repr=False)
    input_type: Literal["chat", "text"] = "chat"
    output_component: str | None = None
    tweaks: Tweaks = field(default_factory=dict, repr=False)

    def to_json(self) -> dict[str, Any]:
        """Without a chosen output, all outputs are asked for."""
        body: dict[str, Any] = {
            "session_id": self.session_id,
            "input_type": self.input_type,
            "output_type": "any",
        }
        if self.input_value is not None:
            body["input_value"] = self.input_value
        if self.output_component is not None:
            body["output_component"] = self.output_component
        if self.tweaks:
            body["tweaks"] = {name: dict(fields) for name, fields in self.tweaks.items()}
        return body


def build_run_body(
    flow_input: FlowInput,
    analysis: FlowAnalysis,
    *,
    input_component: str | None,
    output_component: str | None,
    session_id: str,
) -> RunBody:
    """The body that gives the input to the chosen component and to no other.

    `session_id` is the run's own, used when the input names none. Raises InvalidFlowInput when the
    input or a tweak does not fit the flow.
    """
    target = _known(analysis, input_component)
    output = _known(analysis, output_component)
    value = flow_input.input_value
    tweaks = validate_tweaks(
        analysis, flow_input.tweaks, input_component=input_component, input_value=value
    )
    _refuse_lost_input(target, value)
    body = RunBody(
        session_id=flow_input.session_id or session_id,
        output_component=output.id if output else None,
        tweaks=tweaks,
    )
    if target is None:
        return body
    if _goes_by_tweak(target, analysis, tweaks=tweaks):
        return replace(body, tweaks=_with_input(tweaks, target, value=value))
    return replace(body, input_value=value, input_type=INPUT_TYPE_OF[target.type])


def _known(analysis: FlowAnalysis, component_id: str | None) -> Component | None:
    if component_id is None:
        return None
    component = analysis.component(component_id)
    if component is None:
        raise InvalidFlowInput(
            f"The flow has no component {component_id!r} any more.",
            hint="Sync the flow again and choose its input and output.",
        )
    return component


def _refuse_lost_input(target: Component | None, value: str) -> None:
    if not value:
        return
    if target is None:
        raise InvalidFlowInput(
            "The flow has no input component, so the input would be lost.",
            hint="Give values by tweaks.",
        )
    parameter = target.parameter(target.input_field)
    if parameter is None or parameter.fed_by is not None:
        raise InvalidFlowInput(f"{target.label} takes no input from outside.")
    if target.type == "Webhook" and not _suits_webhook(value):
        raise InvalidFlowInput(f"{target.label} takes a JSON object or plain text, no other JSON.")


def _suits_webhook(value: str) -> bool:
    """A webhook wraps text that is no JSON as its payload, and fails for JSON but an object."""
    try:
        return isinstance(json.loads(value), dict)
    except (ValueError, RecursionError):
        return True


def _goes_by_tweak(target: Component, analysis: FlowAnalysis, *, tweaks: Tweaks) -> bool:
    """Whether LangFlow's `input_value` would not reach this component, or not only this one.

    It goes to all components of the input type, told by their type or by their id; it is refused
    beside tweaks of an `input_value`; and it is taken for the name where a variable is named.
    """
    kind = INPUT_TYPE_OF.get(target.type)
    if kind is None or kind not in target.id.lower():
        return True
    parameter = target.parameter(target.input_field)
    return (
        sum(component.type == target.type for component in analysis.components) > 1
        or (parameter is not None and parameter.from_variable)
        or any("input_value" in fields for fields in tweaks.values())
    )


def _with_input(tweaks: Tweaks, target: Component, *, value: str) -> Tweaks:
    """Empty input empties the component's stored text, but leaves a variable that it names."""
    name = target.input_field
    parameter = target.parameter(name)
    is_given = name in tweaks.get(target.id, {})
    if parameter is None or is_given or (parameter.from_variable and not value):
        return tweaks
    return merge_tweaks(tweaks, {target.id: {name: value}})
