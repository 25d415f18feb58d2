"""How flows look: in a list, by themselves, and after a sync."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import typer

from automagik.cli import person
from automagik.cli.printer import Column, Printer, visible
from automagik.core.flows.analyzer import FlowAnalysis
from automagik.core.flows.components import Component
from automagik.core.flows.sync_report import Change, Choice, Choose, SyncedFlow, SyncReport
from automagik.core.flows.values import Flow, FlowBaggage

if TYPE_CHECKING:
    from automagik.core.flows.sync_run import OnFlow

_STATUS_STYLES = {"ready": "green", "gone": "red", "choice needed": "yellow"}
_CHANGE_STYLES = {"added": "green", "updated": "cyan", "unchanged": "dim", "gone": "yellow"}


def _version(number: int) -> str:
    return f"v{number}"


LIST = (
    Column("name"),
    Column("source_name", "Source"),
    Column("status", style=lambda status: _STATUS_STYLES.get(status, "")),
    Column("version_number", "Version", format=_version),
    Column("input_component", "Input", wide=True),
    Column("output_component", "Output", wide=True),
    Column("schedules"),
    Column("synced_at", "Synced", wide=True),
)

_FACTS = (
    Column("id", "ID"),
    *LIST[:4],
    Column("description"),
    Column("endpoint_name"),
    Column("remote_id", "ID there"),
    *LIST[4:],
    Column("gone_at", "Gone since"),
    Column("max_retries"),
    Column("timeout"),
    Column("max_parallel_runs", "Parallel"),
    Column("priority"),
    Column("queue"),
    Column("at_most_once"),
)

_COMPONENTS = (Column("id", "Component"), Column("type"), Column("display_name"), Column("role"))

_PARAMETERS = (
    Column("tweak", "Can be tweaked"),
    Column("type"),
    Column("display_name", "Name"),
    Column("is_missing", "Value needed"),
)

_SYNCED = (
    Column("change", style=lambda change: _CHANGE_STYLES.get(change, "red")),
    Column("name", "Flow"),
    Column("source_name", "Source"),
    Column("version_number", "Version", format=_version),
    Column("input_component", "Input", wide=True),
    Column("output_component", "Output", wide=True),
    Column("what", "What changed", format=", ".join),
)


def as_item(flow: Flow) -> dict[str, Any]:
    """With a status: ready, choice needed, gone."""
    status = "gone" if flow.gone_at else "choice needed" if flow.open_roles else "ready"
    return {**asdict(flow), "status": status}


def show(printer: Printer, flow: Flow, analysis: FlowAnalysis, *, advanced: bool) -> None:
    item = as_item(flow)
    if not printer.for_people or printer.fields:
        # Its parts are lists of lists, which no line can hold.
        printer.item(item | asdict(analysis), [Column(key) for key in item])
        return
    facts(printer, flow)
    printer.raw("\n")
    rows = [_component_item(component, flow) for component in analysis.components]
    printer.items(rows, _COMPONENTS, empty="It has no components.")
    parameters = [
        {**asdict(parameter), "tweak": f"{component.id}.{parameter.name}"}
        for component in analysis.components
        for parameter in component.parameters
        if parameter.fed_by is None and (advanced or not parameter.advanced)
    ]
    if parameters:
        printer.raw("\n")
        printer.items(parameters, _PARAMETERS, empty="")
    for problem in analysis.problems:
        printer.say(f"! {visible(problem.message)}")


def facts(printer: Printer, flow: Flow) -> None:
    """All but its definition; for people without what is left open."""
    item = as_item(flow)
    said = [column for column in _FACTS if item[column.key] is not None]
    printer.item(item, said if printer.for_people else None)


@contextmanager
def syncing(printer: Printer, done: list[SyncedFlow]) -> Iterator[tuple[Choose, "OnFlow"]]:
    """Notes each flow in `done`, and shows how far it is; a question has the line for itself."""
    with printer.progress(total=None) as tell:

        def choose(choice: Choice) -> str | None:
            with tell.paused():
                return ask(choice)

        def note(flow: SyncedFlow) -> None:
            done.append(flow)
            tell(len(done), f"{_counted(len(done), 'flow')} · {flow.name}")

        yield choose, note


def synced(printer: Printer, report: SyncReport) -> None:
    """The flows on stdout; what people should know about them on stderr."""
    printer.items(
        [_synced_item(flow) for flow in report.flows], _SYNCED, empty="There are no flows there."
    )
    for flow in report.flows:
        for text in _remarks(flow, is_only=len(report.flows) == 1):
            printer.say(visible(text))
    for failure in report.failures:
        printer.error(failure.error)
        printer.say(f"  The source {failure.source_name!r} was not synced.")
    counts = Counter(flow.change for flow in report.flows)
    if counts:
        printer.say(", ".join(f"{counts[change]} {change}" for change in Change if counts[change]))
    if counts[Change.ADDED]:
        printer.say("Run one with: automagik flows run NAME --input TEXT --wait")


def broken_off(printer: Printer, done: Sequence[SyncedFlow]) -> None:
    """After Ctrl-C: each flow is stored for itself, so those before it stay synced."""
    printer.say("")
    if done:
        synced(printer, SyncReport(flows=tuple(done)))
    printer.say("Interrupted. Bring in the rest with: automagik flows sync")


def ask(choice: Choice) -> str | None:
    """Lets a person choose; nothing, or the end of input, leaves it open."""
    many = len(choice.candidates)
    lines = [f"{choice.flow_name!r} has {many} {choice.role}s:"]
    lines += [f"  {number}  {c.label}" for number, c in enumerate(choice.candidates, start=1)]
    typer.echo(visible("\n".join(lines)), err=True)
    while True:
        answer = person.ask(
            f"Which is the {choice.role}? (1-{many}, empty or Ctrl-D: decide later)"
        )
        if not answer:
            return None
        if answer.isdecimal() and 1 <= int(answer) <= many:
            return choice.candidates[int(answer) - 1].id


def in_words(baggage: FlowBaggage) -> str:
    """`2 schedules, 1 task and 0 log lines`, and the names of what follows."""
    followers = ", ".join(baggage.followers)
    return (
        f"{_counted(baggage.schedules, 'schedule')}, {_counted(baggage.tasks, 'task')}"
        f" and {_counted(baggage.log_lines, 'log line')}"
        + (f", and the schedules that follow it: {followers}" if followers else "")
    )


def _counted(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def _component_item(component: Component, flow: Flow) -> Mapping[str, Any]:
    roles = {
        "input": (component.is_input, flow.input_component),
        "output": (component.is_output, flow.output_component),
    }
    words = [
        f"✓ {role}" if chosen == component.id else f"possible {role}"
        for role, (is_candidate, chosen) in roles.items()
        if is_candidate
    ]
    return {**asdict(component), "role": ", ".join(words) or None}


def _synced_item(flow: SyncedFlow) -> dict[str, Any]:
    error = flow.error
    return {
        "change": flow.change.value,
        "id": flow.flow_id,
        "remote_id": flow.remote_id,
        "name": flow.name,
        "source_name": flow.source_name,
        "version_number": flow.version_number,
        "input_component": flow.input_component,
        "output_component": flow.output_component,
        "what": list(flow.what),
        "choices": [
            {"role": choice.role, "candidates": [c.id for c in choice.candidates]}
            for choice in flow.choices
        ],
        "warnings": list(flow.warnings),
        "error": error and {"code": error.code, "detail": error.message, "hint": error.hint},
    }


def _remarks(flow: SyncedFlow, *, is_only: bool) -> list[str]:
    """Among others, a flow that did not change repeats no warning; `flows show` does."""
    is_news = is_only or flow.change is not Change.UNCHANGED
    remarks = [f"! {flow.name}: {warning}" for warning in flow.warnings if is_news]
    for choice in flow.choices:
        many = len(choice.candidates)
        remarks += [f"! {flow.name} has {many} {choice.role}s.", f"  {choice.hint}"]
    if flow.error:
        remarks.append(f"✗ {flow.name}: {flow.error.message} ({flow.error.code})")
    return remarks
