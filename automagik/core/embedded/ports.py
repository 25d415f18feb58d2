"""Free ports on the loopback interface.

They come from below the range that systems give to outgoing connections: nothing takes such a
port by chance between two runs, and a client that knocks too early cannot connect to itself.
"""

import secrets
import socket

from automagik.core.embedded.exceptions import EmbeddedError

LOOPBACK = "127.0.0.1"
_RANGE = range(20_000, 32_000)
_TRIES = 50


def is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
    return True


def free_port(preferred: int | None = None) -> int:
    """The preferred port when it is free, else another. Raises EmbeddedError when none is."""
    if preferred is not None and is_free(preferred):
        return preferred
    for _ in range(_TRIES):
        port = secrets.choice(_RANGE)
        if is_free(port):
            return port
    raise EmbeddedError(
        f"No port on {LOOPBACK} between {_RANGE.start} and {_RANGE.stop} is free.",
        hint="Check the loopback interface, or set DATABASE_URL and REDIS_URL.",
    )
