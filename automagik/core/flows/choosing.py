"""Which component of a flow takes the input and which gives the output.

In this order: what was asked for, what was chosen before if it is still there, the only candidate,
what a person answers. Otherwise it stays open, and the flow cannot run yet.
"""

from dataclasses import dataclass

from automagik.core.flows.analyzer import FlowAnalysis, pick_component
from automagik.core.flows.sync_report import Choice, Choose, Role

ROLES: tuple[Role, ...] = ("input", "output")


@dataclass(frozen=True, kw_only=True, slots=True)
class Components:
    """An input and an output component: wanted ones, earlier ones, or chosen ones."""

    input: str | None = None
    output: str | None = None

    def of(self, role: Role) -> str | None:
        return self.input if role == "input" else self.output


def choose_components(
    flow_name: str,
    analysis: FlowAnalysis,
    *,
    wanted: Components,
    earlier: Components,
    ask: Choose | None,
) -> tuple[Components, tuple[Choice, ...]]:
    """The components, and the choices that are still open.

    Raises ComponentChoiceNeeded for a wanted component that is no candidate.
    """
    chosen = {
        choice.role: _choose(choice, wanted.of(choice.role), earlier.of(choice.role), ask)
        for choice in _choices(flow_name, analysis)
    }
    components = Components(input=chosen["input"], output=chosen["output"])
    return components, open_choices(flow_name, analysis, components)


def open_choices(flow_name: str, analysis: FlowAnalysis, chosen: Components) -> tuple[Choice, ...]:
    """What must still be chosen of a flow before it can run."""
    return tuple(
        choice
        for choice in _choices(flow_name, analysis)
        if len(choice.candidates) > 1 and chosen.of(choice.role) is None
    )


def _choices(flow_name: str, analysis: FlowAnalysis) -> list[Choice]:
    candidates = {"input": analysis.inputs, "output": analysis.outputs}
    return [Choice(flow_name=flow_name, role=r, candidates=candidates[r]) for r in ROLES]


def _choose(
    choice: Choice, wanted: str | None, earlier: str | None, ask: Choose | None
) -> str | None:
    if wanted is None and earlier in {component.id for component in choice.candidates}:
        return earlier
    if wanted is None and len(choice.candidates) > 1:
        wanted = ask(choice) if ask else None
        if wanted is None:
            return None
    return pick_component(choice.candidates, wanted, role=choice.role)
