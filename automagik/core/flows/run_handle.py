"""The handle by which one thread breaks another thread's call off."""

import contextlib
from enum import StrEnum
from socket import SHUT_RDWR, socket
from threading import Lock


class AbortReason(StrEnum):
    """Why a call is broken off."""

    CANCELLED = "cancelled"
    LEASE_LOST = "lease_lost"
    SHUTDOWN = "shutdown"
    DEADLINE = "deadline"


class RunHandle:
    """Breaks a call off before, during or after it. The first reason stays.

    One handle serves one run; its calls leave a duplicate of their socket here. Shutting that down
    ends a blocked connect, handshake, read or write at once.

    It also keeps how far the call came: a run that was sent may have happened, whatever came back.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._reason: AbortReason | None = None
        self._duplicate: socket | None = None
        self._connected = False

    @property
    def never_sent(self) -> bool:
        """Whether no call has had a connection that takes a request, TLS handshake included."""
        return not self._connected

    @property
    def reason(self) -> AbortReason | None:
        return self._reason

    def abort(self, reason: AbortReason = AbortReason.CANCELLED) -> None:
        with self._lock:
            self._reason = self._reason or reason
            self._shut_down()

    def attach(self, connection: socket) -> None:
        """Keeps a duplicate, because TLS takes the descriptor of the original over."""
        with self._lock:
            self._close_duplicate()
            self._duplicate = connection.dup()
            if self._reason is not None:
                self._shut_down()

    def note_connected(self) -> None:
        """From now on the source may have heard of the call."""
        self._connected = True

    def detach(self) -> None:
        """Lets the connection go; until then it stays open for the peer."""
        with self._lock:
            self._close_duplicate()

    def _shut_down(self) -> None:
        if self._duplicate is not None:
            with contextlib.suppress(OSError):  # it is closed already
                self._duplicate.shutdown(SHUT_RDWR)

    def _close_duplicate(self) -> None:
        if self._duplicate is not None:
            self._duplicate.close()
            self._duplicate = None
