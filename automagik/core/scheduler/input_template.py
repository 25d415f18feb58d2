r"""The input of a chain's run: text with places for what the run before has brought. Pure.

`{{ output }}` and the like are all there is: no expressions, no loops, so that what a person wrote
is filled in at once inside a beat, whatever it says. `\{{` stands for two braces. A template that
is JSON stays JSON, whatever comes in.
"""

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from difflib import get_close_matches
from enum import StrEnum
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
_QUOTE = re.compile(r'\\.|(")', re.DOTALL)


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


class Form(StrEnum):
    """How a value comes in."""

    TEXT = "text"
    """As it is."""
    STRING = "string"
    """Within a string of JSON, in which it stays."""
    VALUE = "value"
    """Between the strings of JSON: a value of its own."""

    def of(self, value: Any) -> str:
        if self is Form.VALUE:
            return _json(value)
        return _json(_text(value))[1:-1] if self is Form.STRING else _text(value)


_STANDS_FOR = {Form.STRING: "x", Form.VALUE: "null"}
"""What is no part of anything longer: neither of an escape, nor of a number or a word."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a value comes in; the path leads into the answer."""

    name: str
    path: tuple[str, ...] = ()
    form: Form = Form.TEXT


@dataclass(frozen=True, kw_only=True, slots=True)
class InputTemplate:
    """Text and places in turn."""

    parts: tuple[str | Place, ...]

    def render(self, parent: Parent) -> str:
        """What is not there is empty, between strings of JSON null; structured values become JSON.

        Raises InvalidInput when the answer has no such path, or the input would be too long.
        """
        pieces: list[str] = []
        length = 0
        for part in self.parts:
            piece = part if isinstance(part, str) else part.form.of(_value(part, parent))
            length += len(piece)
            if length > LONGEST:
                raise InvalidInput(f"The input would have more than {LONGEST:,} characters.")
            pieces.append(piece)
        return "".join(pieces)


def parse_template(text: str) -> InputTemplate:
    """Raises InvalidInput with what is possible."""
    parts = tuple(_parts(text))
    in_json = tuple(_in_json(parts))
    return InputTemplate(parts=in_json if _is_json(in_json) else parts)


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
    return value if isinstance(value, str) else _json(value)


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def _in_json(parts: Sequence[str | Place]) -> Iterator[str | Place]:
    """Each place in the form that it has if the whole is JSON."""
    is_within = False
    for part in parts:
        if isinstance(part, Place):
            yield replace(part, form=Form.STRING if is_within else Form.VALUE)
            continue
        quotes = [each for each in _QUOTE.finditer(part) if each[1]]
        is_within ^= len(quotes) % 2 == 1
        yield part


def _is_json(parts: Sequence[str | Place]) -> bool:
    text = "".join(part if isinstance(part, str) else _STANDS_FOR[part.form] for part in parts)
    if not text.lstrip().startswith(("{", "[")):
        return False
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True
