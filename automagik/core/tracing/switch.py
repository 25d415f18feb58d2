"""Whether this process makes spans: the variables of OpenTelemetry decide, as everywhere.

Without them nothing of OpenTelemetry is imported.
"""

import logging
import os
from functools import cache
from threading import Lock
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from automagik.core.tracing.spans import Traces

ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
PROTOCOLS = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
PROTOCOL = "http/protobuf"

logger = logging.getLogger(__name__)

_lock = Lock()
_current: "Traces | None" = None


@cache
def is_on() -> bool:
    """Says once why there are no traces although they are asked for.

    Children of the prefork pool inherit the answer, and what it has imported.
    """
    if not _is_asked_for():
        return False
    protocol = _first(*PROTOCOLS) or PROTOCOL
    if protocol != PROTOCOL:
        logger.warning("No traces are sent: %s is not spoken, only %s.", protocol, PROTOCOL)
        return False
    try:
        # Before a fork: children share it.
        from automagik.core.tracing import spans  # noqa: F401
    except ImportError as error:
        logger.warning("No traces are sent: %s. Install automagik[otel].", error)
        return False
    return True


def begin(service: str, *, instance: str) -> "Traces | None":
    """Of this process from now on; after a fork, as the thread that sends does not survive one.

    None when it makes no spans, also because a variable has a value that OpenTelemetry refuses.
    """
    global _current  # noqa: PLW0603  (one for the process, as its environment is)
    if not is_on():
        return None
    from automagik.core.tracing.spans import Traces

    with _lock:
        try:
            _current = _current or Traces(service, instance=instance)
        except Exception as error:  # noqa: BLE001  (runs go on, whatever is wrong with traces)
            logger.warning("No traces are sent: %s: %s", type(error).__name__, error)
        return _current


def current() -> "Traces | None":
    return _current


def end() -> None:
    """Sends what is left, for a moment at most."""
    if _current is not None:
        _current.close()


def _is_asked_for() -> bool:
    return (
        _first(*ENDPOINTS) is not None
        and (_first("OTEL_SDK_DISABLED") or "").lower() != "true"
        and _first("OTEL_TRACES_EXPORTER") != "none"
    )


def _first(*names: str) -> str | None:
    """An empty variable counts as none, as in all of OpenTelemetry."""
    return next((value for name in names if (value := os.environ.get(name, "").strip())), None)
