"""A network that fails: a TCP proxy on this machine whose connections can fall silent.

A swallowed connection is half-open as behind a firewall that has forgotten it: the bytes of both
sides are accepted, which the kernels confirm, and never arrive, and neither side hears that the
other has closed. It stays like that for good; after `forward` new connections work again.
"""

import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from enum import StrEnum
from threading import Lock, Thread
from urllib.parse import urlsplit, urlunsplit

LOOPBACK = "127.0.0.1"
CHUNK = 65536


class Mode(StrEnum):
    FORWARD = "forward"
    SWALLOW = "swallow"
    REFUSE = "refuse"


class Link:
    """One client's connection; without a server it is swallowed from the start."""

    def __init__(self, client: socket.socket, server: socket.socket | None) -> None:
        self.swallows = server is None
        self._sockets = [client] if server is None else [client, server]
        ways = [(client, server)] if server is None else [(client, server), (server, client)]
        for source, sink in ways:
            Thread(target=self._carry, args=(source, sink), daemon=True).start()

    def close(self) -> None:
        for each in self._sockets:
            # Wakes who reads from it, unlike close().
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()

    def _carry(self, source: socket.socket, sink: socket.socket | None) -> None:
        with suppress(OSError):
            while data := source.recv(CHUNK):
                if sink is not None and not self.swallows:
                    sink.sendall(data)
        if not self.swallows:
            self.close()


class Proxy:
    """Forwards to a port of this machine until it is told otherwise."""

    def __init__(self, target_port: int) -> None:
        self._target = (LOOPBACK, target_port)
        self._mode = Mode.FORWARD
        self._lock = Lock()
        self._links: list[Link] = []
        self._listener = _listening(0)
        self.port: int = self._listener.getsockname()[1]
        self._accept()

    def forward(self) -> None:
        """New connections work; swallowed ones stay silent."""
        self._turn(Mode.FORWARD)

    def swallow(self) -> None:
        """From now on nothing arrives, on connections old and new, and none is closed."""
        self._turn(Mode.SWALLOW)
        with self._lock:
            for link in self._links:
                link.swallows = True

    def refuse(self) -> None:
        """New connections are refused; see `cut` for the old ones."""
        self._turn(Mode.REFUSE)

    def cut(self) -> None:
        """Closes every connection, on both sides."""
        with self._lock:
            links, self._links = self._links, []
        for link in links:
            link.close()

    def stop(self) -> None:
        self.refuse()
        self.cut()

    def _turn(self, mode: Mode) -> None:
        was, self._mode = self._mode, mode
        if mode is Mode.REFUSE and was is not Mode.REFUSE:
            self._listener.shutdown(socket.SHUT_RDWR)
            self._listener.close()
        elif was is Mode.REFUSE and mode is not Mode.REFUSE:
            self._listener = _listening(self.port)
            self._accept()

    def _accept(self) -> None:
        Thread(target=self._serve, args=(self._listener,), daemon=True).start()

    def _serve(self, listener: socket.socket) -> None:
        with suppress(OSError):
            while True:
                client, _ = listener.accept()
                self._connect(client)

    def _connect(self, client: socket.socket) -> None:
        with self._lock:
            if self._mode is Mode.SWALLOW:
                self._links.append(Link(client, None))
                return
            try:
                self._links.append(Link(client, socket.create_connection(self._target)))
            except OSError:
                client.close()


@contextmanager
def proxied(url: str) -> Iterator[tuple[Proxy, str]]:
    """A proxy before the server of a URL, and the URL that leads through it."""
    parts = urlsplit(url)
    assert parts.port is not None
    proxy = Proxy(parts.port)
    login, _, _ = parts.netloc.rpartition("@")
    through = urlunsplit(parts._replace(netloc=f"{login}@{LOOPBACK}:{proxy.port}"))
    try:
        yield proxy, through
    finally:
        proxy.stop()


def _listening(port: int) -> socket.socket:
    return socket.create_server((LOOPBACK, port), backlog=128)
