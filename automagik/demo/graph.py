"""A definition as a graph of nodes, ready to be interpreted."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from graphlib import CycleError, TopologicalSorter
from typing import Any, Self

INPUT_TYPES = ("ChatInput", "TextInput", "Webhook")
OUTPUT_TYPES = ("ChatOutput", "TextOutput", "DataOutput")


@dataclass(frozen=True, kw_only=True, slots=True)
class Node:
    id: str
    type: str
    display_name: str
    fields: Mapping[str, Any]
    kinds: Mapping[str, str]
    """Field name to the type of its values: str, int, float, bool, ..."""
    output_name: str

    def called(self, name: str) -> bool:
        """Whether this is the node's id or display name."""
        return name in (self.id, self.display_name)


@dataclass(frozen=True, kw_only=True, slots=True)
class Edge:
    source: str
    target: str
    field: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Graph:
    nodes: tuple[Node, ...]
    edges: tuple[Edge, ...]

    @classmethod
    def read(cls, data: Mapping[str, Any] | None) -> Self:
        """Reads the `data` of a flow; notes are left out."""
        data = data or {}
        nodes = [n for n in data.get("nodes", []) if n.get("type") != "noteNode"]
        return cls(
            nodes=tuple(_read_node(node) for node in nodes),
            edges=tuple(_read_edge(edge) for edge in data.get("edges", [])),
        )

    def in_order(self) -> list[Node]:
        """Each node after those that it reads from. A loop is left in the definition's order."""
        before: dict[str, set[str]] = {node.id: set() for node in self.nodes}
        for edge in self.edges:
            before.setdefault(edge.target, set()).add(edge.source)
        by_id = {node.id: node for node in self.nodes}
        try:
            return [by_id[i] for i in TopologicalSorter(before).static_order() if i in by_id]
        except CycleError:
            return list(self.nodes)

    def into(self, node: Node) -> list[Edge]:
        return [edge for edge in self.edges if edge.target == node.id]

    def outputs(self, output_type: str, *, component: str) -> list[Node]:
        """The nodes that a run with these choices answers with."""
        if component:
            return [node for node in self.nodes if node.called(component)]
        if output_type == "debug":
            return list(self.nodes)
        outputs = [node for node in self.nodes if node.type in OUTPUT_TYPES]
        chosen = [n for n in outputs if output_type == "any" or output_type in n.id.lower()]
        return chosen or outputs

    def with_tweaks(self, tweaks: Mapping[str, Any]) -> Self:
        """Sets fields by node id or display name, or, without a node, wherever they exist.

        What names no node or no field is ignored, as LangFlow does.
        """
        return replace(self, nodes=tuple(_tweaked(node, tweaks) for node in self.nodes))

    def with_input(self, value: str, *, input_type: str) -> Self:
        """Gives the value to all inputs of the type: chat, text or any."""
        receivers = {"chat": ("ChatInput",), "text": ("TextInput",)}.get(input_type, INPUT_TYPES)
        nodes = (
            _with_fields(node, {"input_value": value}) if node.type in receivers else node
            for node in self.nodes
        )
        return replace(self, nodes=tuple(nodes))


def _read_node(node: Mapping[str, Any]) -> Node:
    data = node["data"]
    component = data.get("node", {})
    template = {n: f for n, f in component.get("template", {}).items() if isinstance(f, Mapping)}
    outputs = component.get("outputs") or [{"name": "output"}]
    return Node(
        id=node["id"],
        type=data["type"],
        display_name=component.get("display_name") or data["type"],
        fields={name: field.get("value") for name, field in template.items() if name != "code"},
        kinds={name: field.get("type", "str") for name, field in template.items()},
        output_name=outputs[0]["name"],
    )


def _read_edge(edge: Mapping[str, Any]) -> Edge:
    field = edge["data"]["targetHandle"]["fieldName"]
    return Edge(source=edge["source"], target=edge["target"], field=field)


def _tweaked(node: Node, tweaks: Mapping[str, Any]) -> Node:
    fields: dict[str, Any] = {}
    for name, value in tweaks.items():
        if not isinstance(value, Mapping):
            fields[name] = value
        elif node.called(name):
            fields.update(value)
    return _with_fields(node, fields)


def _with_fields(node: Node, fields: Mapping[str, Any]) -> Node:
    known = {name: value for name, value in fields.items() if name in node.fields}
    return replace(node, fields={**node.fields, **known})
