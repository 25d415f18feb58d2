"""Tweaks: values for fields of components, for one run.

LangFlow ignores a tweak of an unknown component or field, takes a number for a text as nothing, and
lets an edge beat a tweak, all in silence. So every tweak is held against the analysis first.
"""

import difflib
import json
from collections.abc import Iterable, Mapping
from shlex import quote
from typing import Any

from automagik.core.flows.analyzer import FlowAnalysis
from automagik.core.flows.components import Component, Parameter
from automagik.core.flows.exceptions import InvalidFlowInput
from automagik.core.flows.flow_input import refuse_unstorable

Tweaks = Mapping[str, Mapping[str, Any]]

EXAMPLE = "Write --tweak COMPONENT.FIELD=VALUE, for example --tweak Prompt-x1.language=Portuguese"
VARIABLE_KEYS = frozenset({"value", "load_from_db"})
NUMBERS = (int, float)
ALLOWED: dict[str, tuple[type, ...]] = {
    "str": (str,),
    "prompt": (str,),
    "file": (str,),
    "int": (int,),
    "float": NUMBERS,
    "slider": NUMBERS,
    "bool": (bool,),
    "dict": (dict, list),
    "NestedDict": (dict, list, str),
    "table": (list,),
}
"""What a field of a type can hold. Fields of other types take anything."""
SAMPLES: dict[tuple[type, ...], str] = {
    (str,): '"some text"',
    (int,): "3",
    NUMBERS: "0.5",
    (bool,): "true",
    (dict, list): '{"key": "value"}',
    (dict, list, str): '{"key": "value"}',
    (list,): '[{"column": "value"}]',
}


def parse_tweaks(texts: Iterable[str]) -> dict[str, dict[str, Any]]:
    """From `component.field=value`; the value is JSON where it is, else text.

    Raises InvalidFlowInput.
    """
    tweaks: dict[str, dict[str, Any]] = {}
    for text in texts:
        place, equals, value = text.partition("=")
        component, _, name = place.rpartition(".")
        if not (equals and component.strip() and name.strip()):
            raise InvalidFlowInput(
                f"The tweak {place!r} names no component and field.", hint=EXAMPLE
            )
        fields = tweaks.setdefault(component.strip(), {})
        if name.strip() in fields:
            raise InvalidFlowInput(f"The tweak {place!r} is given twice.")
        fields[name.strip()] = typed_value(value)
    refuse_unstorable(tweaks)
    return tweaks


def typed_value(text: str) -> Any:
    """JSON where it is, else text."""
    try:
        return json.loads(text, parse_constant=str)
    except (ValueError, RecursionError):
        return text


def merge_tweaks(base: Tweaks, over: Tweaks) -> dict[str, dict[str, Any]]:
    """All fields of both; `over` wins."""
    return {
        component: {**base.get(component, {}), **over.get(component, {})}
        for component in {**base, **over}
    }


def validate_tweaks(
    analysis: FlowAnalysis, tweaks: Tweaks, *, input_component: str | None, input_value: str
) -> dict[str, dict[str, Any]]:
    """The tweaks by component id, with numbers for text fields made text.

    Raises InvalidFlowInput for an unknown component or field, a protected field, one that an edge
    sets, a value that the field cannot hold, and for a tweak of what `input_value` sets as well.
    """
    checked: dict[str, dict[str, Any]] = {}
    for name, fields in tweaks.items():
        component = _component(analysis, name)
        taken = checked.setdefault(component.id, {})
        for field_name, value in fields.items():
            if field_name in taken:
                raise InvalidFlowInput(f"{component.id}.{field_name} is tweaked twice.")
            parameter = _parameter(component, field_name)
            taken[field_name] = _fitting(component, parameter, value=value)
        if input_value and component.id == input_component and component.input_field in taken:
            raise InvalidFlowInput(f"The input and a tweak both set {component.label}.")
    return {component: fields for component, fields in checked.items() if fields}


def _component(analysis: FlowAnalysis, name: str) -> Component:
    component = analysis.component(name)
    if component is not None:
        return component
    found = [c for c in analysis.components if c.display_name == name]
    if len(found) == 1:
        return found[0]
    if found:
        ids = ", ".join(c.id for c in found)
        raise InvalidFlowInput(f"{name!r} names several components: {ids}.", hint="Use the id.")
    known = [n for c in analysis.components for n in (c.id, c.display_name)]
    raise InvalidFlowInput(
        f"The flow has no component {name!r} to tweak.", hint=_suggestion(name, known)
    )


def _parameter(component: Component, name: str) -> Parameter:
    where = f"{component.id}.{name}"
    if name in component.protected:
        raise InvalidFlowInput(f"{where} is protected: LangFlow keeps what the flow says.")
    parameter = component.parameter(name)
    if parameter is None:
        known = [p.name for p in component.parameters]
        raise InvalidFlowInput(
            f"{component.label} has no field {name!r}.", hint=_suggestion(name, known)
        )
    if parameter.fed_by is not None:
        raise InvalidFlowInput(
            f"{where} is set by {parameter.fed_by}, which beats a tweak.",
            hint="Tweak the component that the value comes from.",
        )
    return parameter


def _fitting(component: Component, parameter: Parameter, *, value: Any) -> Any:
    allowed = ALLOWED.get(parameter.type)
    if allowed is None or _is_variable_reference(value) or _fits(value, allowed):
        return value
    if str in allowed and isinstance(value, NUMBERS) and not isinstance(value, bool):
        return json.dumps(value)
    if parameter.is_list and isinstance(value, list) and all(_fits(v, allowed) for v in value):
        return value
    where = f"{component.id}.{parameter.name}"
    raise InvalidFlowInput(
        f"{where} takes {parameter.type}, not {json.dumps(value)[:80]}.",
        hint=f"For example: --tweak {quote(f'{where}={SAMPLES[allowed]}')}",
    )


def _fits(value: Any, allowed: tuple[type, ...]) -> bool:
    if isinstance(value, bool):
        return bool in allowed
    return isinstance(value, allowed)


def _is_variable_reference(value: Any) -> bool:
    """`{"value": NAME, "load_from_db": true}` takes the value from a global variable."""
    return isinstance(value, dict) and value.keys() == VARIABLE_KEYS


def _suggestion(name: str, known: list[str]) -> str:
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    return f"Did you mean {close[0]!r}?" if close else f"Known: {', '.join(dict.fromkeys(known))}."
