"""The JSON of LangFlow 1.13 for what components return: messages, answers, events."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

from automagik.demo.graph import Node

JSON = dict[str, Any]


@dataclass(frozen=True, kw_only=True, slots=True)
class Message:
    """What a chat component says, or a text component returns (then without a sender)."""

    text: str
    flow_id: str
    sender: str | None = None
    sender_name: str | None = None
    session_id: str = ""
    run_id: str | None = None
    source: Node | None = None
    """The component that made the text."""
    error: str | None = None
    """The kind of the error that this message reports."""
    partial: bool = False
    id: str = field(default_factory=lambda: str(uuid4()))
    timestamp: datetime = field(default_factory=lambda: datetime.now(UTC))

    def as_result(self) -> JSON:
        """The message in an answer."""
        fields = self._fields()
        kept = {**fields, "id": self.id} if self.sender else {**fields}
        if self.partial:
            # Only here: LangFlow calls the kept message complete from the first word on.
            fields["properties"] = {**fields["properties"], "state": "partial"}
        return {"text_key": "text", "data": kept, "default_value": "", **fields}

    def as_event(self) -> JSON:
        """The message in an `add_message` or `error` event."""
        return {**self.as_result(), "id": self.id}

    def _fields(self) -> JSON:
        return {
            "timestamp": f"{self.timestamp:%Y-%m-%d %H:%M:%S.%f} UTC",
            "sender": self.sender,
            "sender_name": self.sender_name,
            "session_id": self.session_id,
            "context_id": None if self.error else "",
            "text": self.text,
            "files": [],
            "error": False,
            "edit": False,
            "properties": self._properties(),
            "category": "error" if self.error else "message",
            "content_blocks": [self._error_block()] if self.error else [],
            "session_metadata": {"graph_run_id": self.run_id} if self.run_id else None,
            "flow_id": self.flow_id,
            "run_id": self.run_id,
            "duration": None,
        }

    def _properties(self) -> JSON:
        color = "red" if self.error else None
        name = self.source.display_name if self.source else None
        return {
            "text_color": color,
            "background_color": color,
            "edited": False,
            "source": {
                "id": self.source.id if self.source else None,
                "display_name": name,
                "source": name,
            },
            "icon": "error" if self.error else None,
            "allow_markdown": False,
            "positive_feedback": None,
            "state": "complete",
            "targets": [],
            "usage": None,
            "build_duration": None,
        }

    def _error_block(self) -> JSON:
        details = self.text.strip()
        content: JSON = {
            "type": "error",
            "duration": None,
            "header": {},
            "component": self.sender_name,
            "field": None,
            "reason": f"**{self.error}**\n - **Details: {details}**\n",
            "solution": None,
            "code": None,
            "traceback": f"{self.error}: {details}\n",
        }
        return {
            "title": "Error",
            "contents": [content],
            "allow_markdown": True,
            "media_url": None,
        }


def chat_output(node: Node, message: Message) -> JSON:
    """The entry of a chat component in an answer."""
    said = _said(node, message.text, message=message)
    artifacts = {k: said[k] for k in ("message", "sender", "sender_name", "files")}
    return _output(
        node,
        results={node.output_name: message.as_result()},
        artifacts={**artifacts, "type": "object"},
        value=message.text,
        messages=[said],
    )


def text_output(node: Node, message: Message) -> JSON:
    """The entry of a text component in an answer."""
    return _output(
        node,
        results={node.output_name: message.as_result()},
        artifacts={node.output_name: _artifact(message.text)},
        value=message.text,
        messages=[_said(node, message.text)],
    )


def other_output(node: Node, value: str | Mapping[str, Any]) -> JSON:
    """The entry of any other component in an answer."""
    artifacts = {node.output_name: _artifact(value)}
    return _output(node, results={}, artifacts=artifacts, value=value, messages=[])


def as_text(value: str | Mapping[str, Any]) -> str:
    """Structured data as a chat output shows it: a fenced block."""
    if isinstance(value, str):
        return value
    return f"```json\n{json.dumps(value, indent=2, ensure_ascii=False)}\n```"


def _output(
    node: Node, *, results: JSON, artifacts: JSON, value: Any, messages: list[JSON]
) -> JSON:
    kind = "text" if isinstance(value, str) else "data"
    return {
        "results": results,
        "artifacts": artifacts,
        "outputs": {node.output_name: {"message": value, "type": kind}},
        "logs": {node.output_name: []},
        "messages": [said for said in messages if said["message"]],
        "timedelta": None,
        "duration": None,
        "component_display_name": node.display_name,
        "component_id": node.id,
        "used_frozen_result": False,
        "token_usage": None,
    }


def _artifact(value: str | Mapping[str, Any]) -> JSON:
    if isinstance(value, str):
        return {"repr": value, "raw": value, "type": "text"}
    return {"repr": json.dumps(value, indent=4), "raw": value, "type": "object"}


def _said(node: Node, text: str, *, message: Message | None = None) -> JSON:
    return {
        # Line breaks are doubled here, and only here.
        "message": text.replace("\n", "\n\n"),
        "sender": message.sender if message else "Machine",
        "sender_name": message.sender_name if message else "AI",
        "session_id": message.session_id if message else "",
        "stream_url": None,
        "component_id": node.id,
        "files": [],
        "type": "text",
    }
