"""What an attempt came to, as values."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from automagik.core.flows.run_handle import AbortReason


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


@dataclass(frozen=True, kw_only=True, slots=True)
class Released:
    """Broken off because the worker stops; another one starts it again."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Disowned:
    """The run is not this worker's any more; whoever took it has ended it."""

    reason: AbortReason


Outcome = Completed | Failed | Released | Disowned
