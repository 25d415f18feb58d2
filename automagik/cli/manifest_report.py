"""How a plan looks: what files would make of what is there."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from automagik.cli.printer import Column, Printer, visible
from automagik.core.manifest.values import SECRET, Action

if TYPE_CHECKING:
    from automagik.core.manifest.values import FieldChange, Plan, Step

_MARKS = {Action.CREATE: "+", Action.CHANGE: "~", Action.DELETE: "-"}
_DONE = {Action.CREATE: "created", Action.CHANGE: "changed", Action.DELETE: "deleted"}
_LONGEST = 60
_MOST_ENTRIES = 5
_COLUMNS = [
    Column("action"),
    Column("kind"),
    Column("name"),
    Column("changes"),
]


def show(printer: Printer, plan: "Plan") -> None:
    """For people by lines with a sign each; else a row for each thing."""
    if printer.for_people:
        printer.raw("".join(f"{line}\n" for step in plan.steps for line in _lines(step)))
        printer.say(_summary(plan))
        return
    printer.items([asdict(step) for step in plan.steps], _COLUMNS, empty=_summary(plan))
    if plan.steps:
        printer.say(_summary(plan))


def in_words(plan: "Plan") -> str:
    """`2 created, 1 changed, 12 unchanged`."""
    counts = [(plan.count(action), word) for action, word in _DONE.items()]
    counts.append((plan.unchanged, "unchanged"))
    return ", ".join(f"{count} {word}" for count, word in counts if count) or "nothing"


def _summary(plan: "Plan") -> str:
    if not plan.steps:
        return f"Nothing to do: {plan.unchanged} unchanged."
    counts = [(plan.count(action), action.value) for action in Action]
    found = ", ".join(f"{count} to {word}" for count, word in counts if count)
    return f"{found}; {plan.unchanged} unchanged."


def _lines(step: "Step") -> Iterator[str]:
    yield f"{_MARKS[step.action]} {step.kind} {visible(step.name)}"
    for change in step.changes:
        for line in _change(step.action, change):
            yield f"    {visible(line)}"


def _change(action: Action, change: "FieldChange") -> Iterator[str]:
    if change.new == SECRET:
        yield f"{change.field}: {SECRET if action is Action.CHANGE else '(given)'}"
    elif isinstance(change.old or change.new, Mapping):
        yield from _entries(action, change)
    elif action is Action.CREATE:
        yield f"{change.field}: {_words(change.new)}"
    else:
        yield f"{change.field}: {_words(change.old)} → {_words(change.new)}"


def _entries(action: Action, change: "FieldChange") -> Iterator[str]:
    old, new = change.old or {}, change.new or {}
    keys = [key for key in dict.fromkeys((*new, *old)) if old.get(key) != new.get(key)]
    for key in keys[:_MOST_ENTRIES]:
        was = "" if action is Action.CREATE else f"{_words(old.get(key))} → "
        yield f"{change.field}.{key}: {was}{_words(new.get(key))}"
    if len(keys) > _MOST_ENTRIES:
        yield f"{change.field}: {len(keys) - _MOST_ENTRIES} more"


def _words(value: Any) -> str:
    if value is None:
        return "(unset)"
    text = value if isinstance(value, str) else _listed(value)
    text = text.replace("\n", "⏎") or "(empty)"
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"


def _listed(value: Any) -> str:
    if isinstance(value, tuple):
        return "; ".join(map(str, value))
    return json.dumps(value, ensure_ascii=False)
