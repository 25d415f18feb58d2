"""Runs a flow by interpreting its definition."""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any
from uuid import uuid4

from automagik.demo.components import ComponentFailed, Surroundings, Value, call
from automagik.demo.flows import Flow
from automagik.demo.graph import Graph, Node
from automagik.demo.messages import (
    JSON,
    Message,
    as_text,
    chat_output,
    other_output,
    text_output,
)
from automagik.demo.request import RunRequest

Emit = Callable[[str, JSON], None]


class FlowFailed(Exception):
    """A component of the flow failed; the message is what LangFlow answers."""

    def __init__(self, node: Node, error: ComponentFailed) -> None:
        text = f"Error running graph: Error building Component {node.display_name}: \n\n{error}"
        detail = {
            "message": text,
            "traceback": None,
            "description": None,
            "code": None,
            "suggestion": None,
        }
        super().__init__(json.dumps(detail, separators=(",", ":")))


@dataclass(kw_only=True, slots=True)
class Run:
    """One run of a flow. `emit` gets the events that a stream shows."""

    flow: Flow
    request: RunRequest
    surroundings: Surroundings
    emit: Emit
    id: str = field(default_factory=lambda: str(uuid4()))
    _values: dict[str, Value] = field(default_factory=dict)
    _entries: dict[str, JSON] = field(default_factory=dict)

    def answer(self) -> JSON:
        """Runs every component. Raises FlowFailed, RunAborted."""
        graph = self._graph()
        for node in graph.in_order():
            try:
                self._build(node, graph)
            except ComponentFailed as error:
                self.emit("error", self._complaint(node, error).as_event())
                raise FlowFailed(node, error) from error
        request = self.request
        given = {} if request.input_value is None else {"input_value": request.input_value}
        asked = graph.outputs(request.output_type, component=request.output_component)
        return {
            "session_id": self.surroundings.session_id,
            "outputs": [{"inputs": given, "outputs": [self._entries[n.id] for n in asked]}],
        }

    def _graph(self) -> Graph:
        graph = Graph.read(self.flow["data"]).with_tweaks(self.request.tweaks)
        if self.request.input_value is None:
            return graph
        return graph.with_input(self.request.input_value, input_type=self.request.input_type)

    def _build(self, node: Node, graph: Graph) -> None:
        edges = [edge for edge in graph.into(node) if edge.source in self._values]
        fields = {**node.fields, **{edge.field: self._values[edge.source] for edge in edges}}
        value = call(node, fields, surroundings=self.surroundings)
        source = next((n for n in graph.nodes if edges and n.id == edges[-1].source), None)
        if node.type in ("ChatInput", "ChatOutput"):
            message = self._say(node, value, fields=fields, source=source)
            entry, value = chat_output(node, message), message.text
        elif isinstance(value, Iterator):
            entry = other_output(node, "")
        elif node.type in ("TextInput", "TextOutput"):
            value = as_text(value)
            entry = text_output(node, Message(text=value, flow_id=self.flow["id"]))
        else:
            entry = other_output(node, value)
        self._values[node.id] = value
        self._entries[node.id] = entry

    def _say(
        self, node: Node, value: Value, *, fields: Mapping[str, Any], source: Node | None
    ) -> Message:
        message = Message(
            text="",
            flow_id=self.flow["id"],
            sender=fields.get("sender") or "Machine",
            sender_name=fields.get("sender_name") or "AI",
            session_id=fields.get("session_id") or self.surroundings.session_id,
            run_id=self.id,
            source=source if node.type == "ChatOutput" else None,
        )
        if isinstance(value, Iterator):
            value = self._say_by_word(message, value)
        message = replace(message, text=as_text(value))
        self.emit("add_message", message.as_event())
        return message

    def _say_by_word(self, message: Message, words: Iterator[str]) -> str:
        said = ""
        for word in words:
            if not said:
                self.emit("add_message", replace(message, text=word, partial=True).as_event())
            self.emit("token", {"chunk": word, "id": message.id})
            said += word
        return said

    def _complaint(self, node: Node, error: ComponentFailed) -> Message:
        return Message(
            text=f"{error}\n",
            flow_id=self.flow["id"],
            sender=node.display_name,
            sender_name=node.display_name,
            session_id=self.surroundings.session_id,
            run_id=self.id,
            source=node,
            error=error.kind,
        )
