"""Flows as a source lists and gives them."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Self

from automagik.core.flows.exceptions import MalformedAnswer


@dataclass(frozen=True, kw_only=True, slots=True)
class FlowHeader:
    """A flow without its definition. Before 1.13 a list does not say `updated_at`."""

    id: str
    name: str
    description: str | None
    endpoint_name: str | None
    folder_id: str | None
    is_component: bool
    updated_at: datetime | None
    tags: tuple[str, ...]

    @classmethod
    def from_json(cls, flow: Any) -> Self:
        """Raises MalformedAnswer when there is no id or name."""
        return cls(**_header_fields(flow))


@dataclass(frozen=True, kw_only=True, slots=True)
class RemoteFlow(FlowHeader):
    """A flow with its definition: nodes, edges and viewport, or None for an empty flow."""

    data: Mapping[str, Any] | None

    @classmethod
    def from_json(cls, flow: Any) -> Self:
        """Raises MalformedAnswer when there is no id or name, or `data` is no object."""
        fields = _header_fields(flow)
        data = flow.get("data")
        if data is not None and not isinstance(data, Mapping):
            raise MalformedAnswer(f"The definition of the flow {fields['name']!r} is no object.")
        return cls(**fields, data=data)


def _header_fields(flow: Any) -> dict[str, Any]:
    if not isinstance(flow, Mapping) or not (_text(flow, "id") and _text(flow, "name")):
        raise MalformedAnswer("The source's list holds something that is no flow.")
    tags = flow.get("tags")
    return {
        "id": flow["id"],
        "name": flow["name"],
        "description": _text(flow, "description"),
        "endpoint_name": _text(flow, "endpoint_name"),
        "folder_id": _text(flow, "folder_id"),
        "is_component": flow.get("is_component") is True,
        "updated_at": _instant(_text(flow, "updated_at")),
        "tags": tuple(map(str, tags)) if isinstance(tags, list) else (),
    }


def _text(flow: Mapping[str, Any], key: str) -> str | None:
    value = flow.get(key)
    return value if isinstance(value, str) and value else None


def _instant(text: str | None) -> datetime | None:
    """LangFlow's clock is UTC, also where it does not say so."""
    if text is None:
        return None
    try:
        instant = datetime.fromisoformat(text)
    except ValueError:
        return None
    return instant.astimezone(UTC) if instant.tzinfo else instant.replace(tzinfo=UTC)
