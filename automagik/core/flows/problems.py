"""What is odd about a flow, in words. None of it keeps a flow from being synced."""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from automagik.core.flows.components import Component

SCHEDULE_TRIGGER = "ScheduleTrigger"


class ProblemCode(StrEnum):
    """What kind of problem it is."""

    NO_DATA = "no_data"
    NO_INPUT = "no_input"
    NO_OUTPUT = "no_output"
    SEVERAL_INPUTS = "several_inputs"
    SEVERAL_OUTPUTS = "several_outputs"
    MISSING_REQUIRED = "missing_required"
    INLINED_SECRET = "inlined_secret"  # noqa: S105 - the name of a problem
    NATIVE_SCHEDULE = "native_schedule"


@dataclass(frozen=True, kw_only=True, slots=True)
class Problem:
    """`component` and `field` say where, for a problem that has a place. Never holds a value."""

    code: ProblemCode
    message: str
    component: str | None = None
    field: str | None = None


def find_problems(components: tuple[Component, ...]) -> Iterator[Problem]:
    if not components:
        yield Problem(code=ProblemCode.NO_DATA, message="The flow is empty.")
        return
    yield from _of_inputs([c for c in components if c.is_input])
    yield from _of_outputs([c for c in components if c.is_output])
    for component in components:
        yield from _of_fields(component)
        if component.type == SCHEDULE_TRIGGER:
            yield Problem(
                code=ProblemCode.NATIVE_SCHEDULE,
                message=f"{component.label} starts the flow from LangFlow itself. "
                "Together with a schedule here it runs twice.",
                component=component.id,
            )


def _of_inputs(inputs: list[Component]) -> Iterator[Problem]:
    if not inputs:
        yield Problem(
            code=ProblemCode.NO_INPUT,
            message="The flow has no input component: it runs, but takes tweaks only.",
        )
    elif len(inputs) > 1:
        names = ", ".join(component.label for component in inputs)
        yield Problem(
            code=ProblemCode.SEVERAL_INPUTS, message=f"The input may go to one of: {names}."
        )


def _of_outputs(outputs: list[Component]) -> Iterator[Problem]:
    if not outputs:
        yield Problem(
            code=ProblemCode.NO_OUTPUT,
            message="The flow has no output component: its runs have no result.",
        )
    elif len(outputs) > 1:
        names = ", ".join(component.label for component in outputs)
        yield Problem(
            code=ProblemCode.SEVERAL_OUTPUTS, message=f"The result may come from one of: {names}."
        )


def _of_fields(component: Component) -> Iterator[Problem]:
    for field in component.parameters:
        if field.is_missing:
            yield Problem(
                code=ProblemCode.MISSING_REQUIRED,
                message=f"{component.label} needs a value for {field.display_name!r}.",
                component=component.id,
                field=field.name,
            )
        if field.is_secret and field.has_value and not field.from_variable:
            yield Problem(
                code=ProblemCode.INLINED_SECRET,
                message=f"{component.label} holds the secret {field.display_name!r} in the flow "
                "itself. Keep it in a global variable of LangFlow.",
                component=component.id,
                field=field.name,
            )
