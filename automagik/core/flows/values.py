"""What the rooms around flows are given: values, never rows, and never an API key."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from uuid import UUID

from automagik.core.exceptions import AutomagikError


class Breaker(StrEnum):
    """Whether a source gets runs: all, none, or one that tries whether it is back."""

    CLOSED = "closed"
    OPEN = "open"
    PROBING = "probing"


@dataclass(frozen=True, kw_only=True, slots=True)
class Source:
    """Where flows come from: a LangFlow server."""

    id: UUID
    name: str
    url: str
    has_api_key: bool
    max_parallel_runs: int
    max_runs_per_minute: int | None
    """None: as many as it takes."""
    breaker: Breaker
    breaker_reason: str | None
    """What the last attempt that found it down was told; None when it is up."""
    breaker_opened_at: datetime | None
    breaker_probe_at: datetime | None
    """From when on the next run may try it."""
    disabled_at: datetime | None
    """Since when it gets no runs because somebody wants it."""
    disabled_reason: str | None
    version: str | None
    """What the server said of itself when it was last checked."""
    flows: int
    """How many flows were synced from it and are not gone."""
    checked_at: datetime | None
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, kw_only=True, slots=True)
class SourceCheck:
    """What a test of a source found."""

    source: Source
    version: str | None = None
    """None when the source was not reached."""
    latency: timedelta | None = None
    """How long the source took to say its version."""
    key_valid: bool | None = None
    """None when that could not be found out."""
    flows: int | None = None
    """How many flows the key sees, without components and examples."""
    error: AutomagikError | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Flow:
    """A runnable definition known to us."""

    id: UUID
    source_id: UUID
    source_name: str
    remote_id: str
    name: str
    description: str | None
    endpoint_name: str | None
    input_component: str | None
    output_component: str | None
    version_id: UUID
    version_number: int
    max_retries: int | None = None
    """None: the setting counts. So for `timeout` and `queue`."""
    timeout: timedelta | None = None
    max_parallel_runs: int | None = None
    """None: as many as its source takes."""
    priority: int | None = None
    """None: 0."""
    queue: str | None = None
    at_most_once: bool = False
    """Whether a run is never sent again once its call may have reached the source."""
    gone_at: datetime | None
    """Since when a full sync has not found it on its source any more."""
    synced_at: datetime
    created_at: datetime
    updated_at: datetime
    schedules: int = 0
    """How many schedules run it."""
    inputs: int = 0
    """How many components could take its input."""
    outputs: int = 0
    """How many components could give its output."""

    @property
    def open_roles(self) -> tuple[str, ...]:
        """`input`, `output`: what must be chosen before it can run. None is needed of none."""
        is_open = {
            "input": self.inputs > 1 and self.input_component is None,
            "output": self.outputs > 1 and self.output_component is None,
        }
        return tuple(role for role, needed in is_open.items() if needed)


class SourceOption(StrEnum):
    """What a source may leave open, by its name on the command line."""

    API_KEY = "api-key"
    MAX_PER_MINUTE = "max-per-minute"


class FlowOption(StrEnum):
    """What a flow may leave open, by its name on the command line."""

    MAX_RETRIES = "max-retries"
    TIMEOUT = "timeout"
    MAX_PARALLEL = "max-parallel"
    PRIORITY = "priority"
    QUEUE = "queue"


@dataclass(frozen=True, kw_only=True, slots=True)
class FlowChange:
    """What to change; None stays as it is, and what `unset` names is left open again."""

    max_retries: int | None = None
    timeout: timedelta | None = None
    max_parallel_runs: int | None = None
    priority: int | None = None
    queue: str | None = None
    at_most_once: bool | None = None
    unset: Collection[FlowOption] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class FlowBaggage:
    """What is deleted with a flow."""

    schedules: int
    tasks: int
    running: int
    """How many of the tasks run right now; such a flow is not deleted."""
    log_lines: int
    followers: Sequence[str] = ()
    """The names of schedules of other flows that follow these."""
