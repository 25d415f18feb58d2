r"""The input of a chain's run: text with places for what the run before has brought. Pure.

`{{ output }}` and the like are all there is: no expressions, no loops, so that what a person wrote
is filled in at once inside a beat, whatever it says. `\{{` stands for two braces.
"""

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from difflib import get_close_matches
from typing import Any
from uuid import UUID

from automagik.core.exceptions import InvalidInput
from automagik.core.flows.exceptions import InvalidFlowInput
from automagik.core.flows.flow_input import FlowInput, parse_input, refuse_unstorable

LONGEST = 1_000_000
"""So many characters an input may come to."""
NAMES = (
    "output",
    "result",
    "input",
    "task",
    "flow",
    "schedule",
    "state",
    "error",
    "error_code",
    "finished_at",
)
_RESULT = "result"
# What is between the braces has none, so that it takes one pass however the text looks.
_PLACE = re.compile(r"\\\{\{|\{\{([^{}]*)\}\}")


@dataclass(frozen=True, kw_only=True, slots=True)
class Parent:
    """A run that has ended, as a template sees it."""

    task_id: UUID
    flow: str
    schedule: str | None
    state: str
    finished_at: datetime
    input_value: str = field(default="", repr=False)
    output: str | None = field(default=None, repr=False)
    answer: Any = field(default=None, repr=False)
    """The full answer; None when it failed."""
    error: str | None = field(default=None, repr=False)
    error_code: str | None = None


@dataclass(frozen=True, slots=True)
class Place:
    """Where a value comes in; the path leads into the answer."""

    name: str
    path: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class InputTemplate:
    """Text and places in turn."""

    parts: tuple[str | Place, ...]
    is_json: bool
    """Places lie within its strings, and what comes in stays within them."""

    def render(self, parent: Parent) -> str:
        """What is not there is empty; structured values become JSON.

        Raises InvalidInput when the answer has no such path, or the input would be too long.
        """
        pieces: list[str] = []
        length = 0
        for part in self.parts:
            piece = part if isinstance(part, str) else self._filled(part, parent)
            length += len(piece)
            if length > LONGEST:
                raise InvalidInput(f"The input would have more than {LONGEST:,} characters.")
            pieces.append(piece)
        return "".join(pieces)

    def _filled(self, place: Place, parent: Parent) -> str:
        text = _text(_value(place, parent))
        return json.dumps(text, ensure_ascii=False)[1:-1] if self.is_json else text


def parse_template(text: str) -> InputTemplate:
    """Raises InvalidInput with what is possible."""
    return InputTemplate(parts=tuple(_parts(text)), is_json=_is_json(text))


def template_input(text: str | None) -> FlowInput:
    """As `parse_input`, but what is JSON only when it is filled in may stand there as text.

    Raises InvalidInput.
    """
    try:
        found = parse_input(text)
    except InvalidFlowInput:
        if not text or "{{" not in text:
            raise
        refuse_unstorable(text)
        found = FlowInput(input_value=text)
    parse_template(found.input_value)
    return found


def _parts(text: str) -> Iterator[str | Place]:
    begin = 0
    for match in _PLACE.finditer(text):
        yield _plain(text[begin : match.start()])
        yield "{{" if match[1] is None else _place(match[1].strip())
        begin = match.end()
    yield _plain(text[begin:])


def _plain(text: str) -> str:
    if "{{" in text:
        raise InvalidInput(
            "The template of the input has {{ without its }}.",
            hint=r"For two braces as they are write \{{.",
        )
    return text


def _place(said: str) -> Place:
    name, dot, path = said.partition(".")
    if name not in NAMES:
        raise _unknown(said, name)
    if not dot:
        return Place(name)
    if name != _RESULT:
        raise InvalidInput(f"{{{{ {said} }}}} cannot be: only result has parts.", hint=_POSSIBLE)
    steps = tuple(path.split("."))
    if not all(steps):
        raise InvalidInput(f"The path in {{{{ {said} }}}} has an empty step.", hint=_POSSIBLE)
    return Place(name, steps)


def _unknown(said: str, name: str) -> InvalidInput:
    close = get_close_matches(name.lower(), NAMES, n=1)
    return InvalidInput(
        f"The template of the input knows no {{{{ {said} }}}}"
        + (f"; did you mean {{{{ {close[0]} }}}}?" if close else "."),
        hint=_POSSIBLE,
    )


_POSSIBLE = (
    f"Possible are {', '.join(NAMES)}, and paths such as result.outputs.0;"
    r" for two braces as they are write \{{."
)


def _value(place: Place, parent: Parent) -> Any:
    values = {
        "output": parent.output,
        "input": parent.input_value,
        "task": str(parent.task_id),
        "flow": parent.flow,
        "schedule": parent.schedule,
        "state": parent.state,
        "error": parent.error,
        "error_code": parent.error_code,
        "finished_at": parent.finished_at.isoformat(),
    }
    if place.name != _RESULT:
        return values[place.name]
    return None if parent.answer is None else _found(parent.answer, place.path)


def _found(answer: Any, path: Sequence[str]) -> Any:
    value = answer
    for step in path:
        if isinstance(value, dict) and step in value:
            value = value[step]
        elif isinstance(value, list) and _is_index(step, value):
            value = value[int(step)]
        else:
            raise InvalidInput(f"The answer of the run before has no {'.'.join(path)}.")
    return value


def _is_index(step: str, values: Sequence[Any]) -> bool:
    return step.isascii() and step.isdigit() and len(step) < 10 and int(step) < len(values)


def _text(value: Any) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _is_json(text: str) -> bool:
    if not text.lstrip().startswith(("{", "[")):
        return False
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True
