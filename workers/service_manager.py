"""What systemd, or whoever else has set NOTIFY_SOCKET, is told of this process: sd_notify(3).

A dozen lines of our own: libsystemd need not be there, and the one small package has had no release
since 2017.
"""

import logging
import os
import socket

logger = logging.getLogger(__name__)


class ServiceManager:
    """Nobody, where none waits for news: then a word costs nothing."""

    def __init__(self) -> None:
        self._address = os.environ.get("NOTIFY_SOCKET", "")
        self._socket: socket.socket | None = None
        if self._address.startswith(("/", "@")):
            self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
            # A manager that does not read must not stop the clock of all schedules.
            self._socket.settimeout(0)

    def tell(self, state: str) -> None:
        """`READY=1`, `WATCHDOG=1`, `STOPPING=1`: what cannot be told is left out."""
        if self._socket is None:
            return
        # A name in the abstract namespace begins with NUL, which no variable can hold.
        address = f"\0{self._address[1:]}" if self._address[0] == "@" else self._address
        try:
            self._socket.sendto(state.encode(), address)
        except OSError as error:
            logger.debug("%s was not told %s: %s", self._address, state, error)
