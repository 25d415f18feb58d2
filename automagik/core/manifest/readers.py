"""What the keys of a file take: from a node to a value, or InvalidInput. Pure.

Values are as the file would say them in its plainest words: texts, numbers, lists, mappings. So a
thing in the file and a thing that is stored can be compared, and either can be written.
"""

import json
import re
from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import Any

from automagik.core.database.lookup import nearest
from automagik.core.duration import duration_text, parse_duration, parse_grace
from automagik.core.exceptions import InvalidInput
from automagik.core.flows.flow_input import refuse_unstorable
from automagik.core.manifest.document import Listing, Node, Scalar, Table, value_of

Reader = Callable[[Node], Any]

_WHOLE = re.compile(r"[+-]?[0-9]{1,10}")
_TRUTHS = dict.fromkeys(("true", "yes", "on"), True) | dict.fromkeys(("false", "no", "off"), False)
_ENVELOPE = ("input_value", "tweaks", "session_id")


def text(node: Node) -> str:
    found = exact_text(node).strip()
    if not found:
        raise InvalidInput("is empty")
    return found


def exact_text(node: Node) -> str:
    """With the spaces around it."""
    if not isinstance(node, Scalar):
        raise InvalidInput("takes one text")
    refuse_unstorable(node.text)
    return node.text


def texts(node: Node) -> tuple[str, ...]:
    """One text, or a list."""
    if isinstance(node, Listing):
        return tuple(text(each) for each in node.items)
    return (text(node),)


def truth(node: Node) -> bool:
    found = _TRUTHS.get(text(node).lower())
    if found is None:
        raise InvalidInput("takes true or false")
    return found


def number(least: int, most: int = 2**31 - 1) -> Reader:
    def read(node: Node) -> int:
        found = text(node)
        if not _WHOLE.fullmatch(found) or not least <= int(found) <= most:
            bounds = f"from {least} to {most}" if most < 2**31 - 1 else f"from {least} on"
            raise InvalidInput(f"takes a whole number {bounds}, not {found!r}")
        return int(found)

    return read


def word(words: type[StrEnum]) -> Reader:
    def read(node: Node) -> str:
        found = text(node)
        if found in [*words]:
            return found
        raise InvalidInput(
            f"{found!r} is not possible; it takes {', '.join(words)}.",
            hint=nearest(found, [*words]),
        )

    return read


def duration(node: Node) -> str:
    return duration_text(parse_duration(text(node)))


def grace(node: Node) -> str:
    return duration_text(parse_grace(text(node)))


def run_input(node: Node) -> str:
    """Text as it stands, or JSON that is written as YAML."""
    if isinstance(node, Scalar):
        found = "" if node.is_null else node.text
    else:
        value = value_of(node)
        if isinstance(value, dict) and not value.keys().isdisjoint(_ENVELOPE):
            raise InvalidInput(
                "is what the flow is given, and nothing else.",
                hint="tweaks and session are keys beside it.",
            )
        found = json.dumps(value, ensure_ascii=False)
    refuse_unstorable(found)
    return found


def tweaks(node: Node) -> Mapping[str, Any]:
    found = value_of(node)
    if not isinstance(found, dict) or not all(isinstance(each, dict) for each in found.values()):
        raise InvalidInput("takes fields by component.", hint="tweaks: {Prompt: {template: Hi}}")
    refuse_unstorable(found)
    return found


def named_texts(node: Node) -> Mapping[str, str]:
    """A name and one text each, which may be left out."""
    if not isinstance(node, Table):
        raise InvalidInput("takes a mapping: name, colon, text")
    return {name: _optional(each) for name, each in node.entries.items()}


def _optional(node: Node) -> str:
    return "" if isinstance(node, Scalar) and node.is_null else exact_text(node)
