"""The definition of a flow as LangFlow stores it: nodes, edges and a viewport."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from typing import Any

LOOKS = frozenset(
    {
        "position",
        "positionAbsolute",
        "measured",
        "selected",
        "dragging",
        "resizing",
        "width",
        "height",
    }
)
"""What the editor keeps of a node or an edge, but no run knows of."""


def content_hash(definition: Mapping[str, Any] | None) -> str:
    """The SHA-256 of what a run depends on; moving nodes about does not change it."""
    definition = definition or {}
    content = {key: value for key, value in definition.items() if key != "viewport"}
    for part in ("nodes", "edges"):
        content[part] = [_without_looks(item) for item in items(definition, part)]
    canonical = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()


def items(definition: Mapping[str, Any], part: str) -> Iterator[Mapping[str, Any]]:
    """The objects among the `nodes` or `edges`."""
    found = definition.get(part)
    yield from (item for item in (found if isinstance(found, list) else []) if is_object(item))


def is_object(value: Any) -> bool:
    return isinstance(value, Mapping)


def mapping(value: Any) -> Mapping[str, Any]:
    """The value itself where it is an object, else an empty one."""
    return value if isinstance(value, Mapping) else {}


def _without_looks(item: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in item.items() if key not in LOOKS}
