"""What a definition means for a run: where input goes in, where the result comes out, what is odd.

Pure: no I/O. LangFlow ignores an unknown output or tweak in silence and drops an input that nobody
takes, so all of it is checked against this analysis before anything is queued.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from automagik.core.flows.components import Component, Edge, read_components, read_edges
from automagik.core.flows.exceptions import ComponentChoiceNeeded
from automagik.core.flows.problems import Problem, find_problems


@dataclass(frozen=True, kw_only=True, slots=True)
class FlowAnalysis:
    """Components in the order of the definition, without notes."""

    components: tuple[Component, ...]
    edges: tuple[Edge, ...]
    problems: tuple[Problem, ...]

    @property
    def inputs(self) -> tuple[Component, ...]:
        return tuple(component for component in self.components if component.is_input)

    @property
    def outputs(self) -> tuple[Component, ...]:
        return tuple(component for component in self.components if component.is_output)

    def component(self, component_id: str) -> Component | None:
        return next((c for c in self.components if c.id == component_id), None)


def analyze(definition: Mapping[str, Any] | None) -> FlowAnalysis:
    """The analysis of a flow's `data` (nodes, edges, viewport), or of None for an empty flow."""
    definition = definition or {}
    edges = read_edges(definition)
    components = tuple(read_components(definition, edges))
    return FlowAnalysis(
        components=components, edges=edges, problems=tuple(find_problems(components))
    )


def pick_component(
    candidates: Sequence[Component],
    chosen: str | None,
    *,
    role: Literal["input", "output"] = "input",
) -> str | None:
    """The id of the chosen candidate (by id, display name or type), or of the only one.

    None when there is no candidate and none is asked for. Raises ComponentChoiceNeeded, which lists
    the candidates.
    """
    if chosen is None:
        if len(candidates) > 1:
            raise _choice_needed(f"The flow has {len(candidates)} {role}s", candidates, role=role)
        return candidates[0].id if candidates else None
    for same in (_has_id, _has_name, _has_type):
        found = [component for component in candidates if same(component, chosen)]
        if len(found) == 1:
            return found[0].id
        if found:
            raise _choice_needed(f"{chosen!r} names several {role}s", found, role=role)
    raise _choice_needed(f"The flow has no {role} {chosen!r}", candidates, role=role)


def _has_id(component: Component, text: str) -> bool:
    return component.id == text


def _has_name(component: Component, text: str) -> bool:
    return component.display_name.casefold() == text.casefold()


def _has_type(component: Component, text: str) -> bool:
    return component.type.casefold() == text.casefold()


def _choice_needed(
    message: str, candidates: Sequence[Component], *, role: str
) -> ComponentChoiceNeeded:
    labels = ", ".join(component.label for component in candidates)
    return ComponentChoiceNeeded(
        f"{message}. Candidates: {labels or 'none'}.",
        hint=f"Choose one with --{role}-component ID.",
        role=role,
        candidates=tuple(component.id for component in candidates),
    )
