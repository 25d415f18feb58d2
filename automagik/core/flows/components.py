"""The nodes and edges of a definition, read into values: of every definition, however odd."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from automagik.core.flows.definition import items, mapping

INPUT_TYPES = ("ChatInput", "TextInput", "Webhook")
OUTPUT_TYPES = ("ChatOutput", "TextOutput", "DataOutput")
NOTE = "noteNode"
PROTECTED_FIELDS = frozenset(
    {
        "allow_dangerous_code",
        "code",
        "filter_instruction",
        "function_code",
        "global_imports",
        "python_code",
        "tool_code",
    }
)
"""What LangFlow 1.12 and later refuses to tweak, since it is code or lets code do more."""
PROTECTED_BY_TYPE = {"SQLComponent": frozenset({"database_url", "query"})}
HANDLE_QUOTE = "\N{LATIN SMALL LIGATURE OE}"
"""Stands for a quotation mark in the JSON of an edge's handle."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Parameter:
    """A field of a component that a tweak may set.

    `type` is LangFlow's (str, int, bool, float, file, dict, ...). `fed_by` is the component whose
    edge sets the field, which beats every tweak. `is_missing`: a run needs a value and has none.
    `from_variable`: the value is the name of a global variable on the server.
    """

    name: str
    display_name: str
    type: str
    required: bool
    advanced: bool
    is_list: bool
    is_secret: bool
    has_value: bool
    from_variable: bool
    is_missing: bool
    fed_by: str | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Component:
    """A node of a flow. `protected` names the fields that no tweak may set."""

    id: str
    type: str
    display_name: str
    is_input: bool
    is_output: bool
    parameters: tuple[Parameter, ...] = field(repr=False)
    protected: tuple[str, ...] = field(repr=False)

    @property
    def label(self) -> str:
        return f"{self.id} ({self.display_name})"

    @property
    def input_field(self) -> str:
        """The field that takes what comes from outside."""
        return "data" if self.type == "Webhook" else "input_value"

    def parameter(self, name: str) -> Parameter | None:
        return next((p for p in self.parameters if p.name == name), None)


@dataclass(frozen=True, kw_only=True, slots=True)
class Edge:
    """`source` gives its output to the field of `target`."""

    source: str
    target: str
    field: str | None


def read_edges(definition: Mapping[str, Any]) -> tuple[Edge, ...]:
    return tuple(
        Edge(source=edge["source"], target=edge["target"], field=_fed_field(edge))
        for edge in items(definition, "edges")
        if isinstance(edge.get("source"), str) and isinstance(edge.get("target"), str)
    )


def read_components(definition: Mapping[str, Any], edges: tuple[Edge, ...]) -> Iterator[Component]:
    """The nodes without the notes."""
    feeders = {(edge.target, edge.field): edge.source for edge in edges}
    for node in items(definition, "nodes"):
        if isinstance(node.get("id"), str) and node.get("type") != NOTE:
            yield _component(node, feeders)


def _component(node: Mapping[str, Any], feeders: Mapping[tuple[str, str | None], str]) -> Component:
    data = mapping(node.get("data"))
    inner = mapping(data.get("node"))
    node_id, kind = node["id"], str(data.get("type") or "")
    kinds = {kind, node_id.partition("-")[0]}
    fields = _fields(inner)
    protected = tuple(name for name in fields if _is_protected(name, fields[name], kind=kind))
    return Component(
        id=node_id,
        type=kind,
        display_name=str(inner.get("display_name") or kind),
        is_input=bool(kinds.intersection(INPUT_TYPES) or inner.get("is_input")),
        is_output=bool(kinds.intersection(OUTPUT_TYPES) or inner.get("is_output")),
        parameters=tuple(
            _parameter(
                name,
                spec,
                fed_by=feeders.get((node_id, name)),
                is_tool=inner.get("tool_mode") is True,
            )
            for name, spec in fields.items()
            if name not in protected
        ),
        protected=protected,
    )


def _fields(inner: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """Without what LangFlow keeps for itself, such as the template's `_type`."""
    return {
        name: spec
        for name, spec in mapping(inner.get("template")).items()
        if isinstance(spec, Mapping) and not name.startswith("_")
    }


def _is_protected(name: str, spec: Mapping[str, Any], *, kind: str) -> bool:
    by_type = PROTECTED_BY_TYPE.get(kind, frozenset())
    return spec.get("type") == "code" or name in PROTECTED_FIELDS or name in by_type


def _parameter(
    name: str, spec: Mapping[str, Any], *, fed_by: str | None, is_tool: bool
) -> Parameter:
    required = spec.get("required") is True
    has_value = any(spec.get(key) not in (None, "", [], {}) for key in ("value", "file_path"))
    # The agent fills the fields of its tools; a hidden field belongs to a mode that is not chosen.
    is_asked_for = spec.get("show") is not False and not (is_tool and spec.get("tool_mode") is True)
    return Parameter(
        name=name,
        display_name=str(spec.get("display_name") or name),
        type=str(spec.get("type") or "other"),
        required=required,
        advanced=spec.get("advanced") is True,
        is_list=spec.get("list") is True,
        is_secret=spec.get("password") is True or spec.get("_input_type") == "SecretStrInput",
        has_value=has_value,
        from_variable=spec.get("load_from_db") is True,
        is_missing=required and is_asked_for and not has_value and fed_by is None,
        fed_by=fed_by,
    )


def _fed_field(edge: Mapping[str, Any]) -> str | None:
    """The handle is an object in the edge's data, and JSON with odd quotation marks beside it."""
    handle = mapping(mapping(edge.get("data")).get("targetHandle"))
    if not handle:
        handle = _parsed_handle(edge.get("targetHandle"))
    name = handle.get("fieldName")
    return name if isinstance(name, str) else None


def _parsed_handle(text: Any) -> Mapping[str, Any]:
    try:
        return mapping(json.loads(str(text).replace(HANDLE_QUOTE, '"')))
    except (ValueError, RecursionError):
        return {}
