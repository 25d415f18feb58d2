"""What an attempt came to, as values."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from automagik.core.flows.run_handle import AbortReason

WORKER_LOST = "AM-WORKER-LOST"
"""The error code of an attempt whose worker died, froze, or stopped in the midst of it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Completed:
    answer: dict[str, Any]
    text: str | None
    http_status: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Failed:
    code: str
    message: str
    retryable: bool
    retry_after: timedelta | None = None
    http_status: int | None = None
    never_sent: bool = False
    """Whether surely nothing of the call has reached the source."""
    source_is_up: bool | None = None
    """What it says of the source as a whole; None: nothing."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Released:
    """Broken off because the worker stops; another one starts it again."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Disowned:
    """The run is not this worker's any more; whoever took it has ended it."""

    reason: AbortReason


Outcome = Completed | Failed | Released | Disowned
