"""What a sync did, flow by flow."""

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from shlex import quote
from typing import Literal
from uuid import UUID

from automagik.core.exceptions import AutomagikError
from automagik.core.flows.components import Component

Role = Literal["input", "output"]


class Change(StrEnum):
    """What became of a flow."""

    ADDED = "added"
    UPDATED = "updated"
    UNCHANGED = "unchanged"
    GONE = "gone"
    """Not on its source any more: marked, and kept with its history."""
    FAILED = "failed"
    """It could not be fetched; what was stored of it stays."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SyncedFlow:
    """One flow of a sync."""

    source_name: str
    remote_id: str
    name: str
    change: Change
    what: tuple[str, ...] = ()
    """What changed: definition, name, description, endpoint name, input, output, back again."""
    flow_id: UUID | None = None
    version_number: int | None = None
    input_component: str | None = None
    output_component: str | None = None
    choices: tuple["Choice", ...] = ()
    """What must be chosen before it can run."""
    warnings: tuple[str, ...] = ()
    error: AutomagikError | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Choice:
    """A flow has several inputs or outputs."""

    flow_name: str
    role: Role
    candidates: tuple[Component, ...]

    @property
    def hint(self) -> str:
        ids = ", ".join(component.id for component in self.candidates)
        return (
            f"Choose with: automagik flows sync {quote(self.flow_name)}"
            f" --{self.role}-component ID, where ID is one of: {ids}"
        )


Choose = Callable[[Choice], str | None]
"""Asks a person: the id of a candidate, or None for no answer."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SourceFailure:
    """A source that could not be synced, while others could."""

    source_name: str
    error: AutomagikError


@dataclass(frozen=True, kw_only=True, slots=True)
class SyncReport:
    flows: tuple[SyncedFlow, ...] = ()
    failures: tuple[SourceFailure, ...] = field(default=())

    def count(self, change: Change) -> int:
        return sum(flow.change is change for flow in self.flows)

    @property
    def errors(self) -> list[AutomagikError]:
        """All that went wrong."""
        return [f.error for f in self.failures] + [f.error for f in self.flows if f.error]
