"""Ways in which a server can answer badly, for tests of its clients.

`DemoServer(faults={"echo": reset()})` makes every run of the flow `echo` fail like that; a key that
begins with a slash is a path, `"/api/v1/flows/"`.
"""

import json
import socket
import struct
from collections.abc import Callable, Mapping
from threading import Event

from automagik.demo.connection import JSON_TYPE, STREAM_TYPE, Connection

Fault = Callable[[Connection, Event], None]
"""Answers on the connection; the event says that the server stops."""

_TICK_SECONDS = 0.05


def answer(status: int, body: str = "", *, headers: Mapping[str, str] | None = None) -> Fault:
    """Answers exactly this. Without a content type in the headers it is JSON."""

    def fault(connection: Connection, _: Event) -> None:
        sent = {"content-type": JSON_TYPE, **(headers or {})}
        connection.send_body(status, body.encode(), headers=sent)

    return fault


def broken_json() -> Fault:
    return answer(200, '{"session_id": "s", "outputs": [')


def html_page() -> Fault:
    page = "<!doctype html><html><body><div id='root'></div></body></html>"
    return answer(200, page, headers={"content-type": "text/html; charset=utf-8"})


def hang() -> Fault:
    """Never answers."""

    def fault(connection: Connection, stopping: Event) -> None:
        connection.close_connection = True
        _stay(connection, stopping, seconds=float("inf"))

    return fault


def reset() -> Fault:
    """Drops the connection without an answer."""

    def fault(connection: Connection, _: Event) -> None:
        connection.close_connection = True
        linger_zero = struct.pack("ii", 1, 0)
        connection.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger_zero)
        connection.connection.close()

    return fault


def drip(body: str = "{}" + " " * 3600, *, seconds: float = 1.0) -> Fault:
    """Sends one byte, waits, sends the next."""

    def fault(connection: Connection, stopping: Event) -> None:
        encoded = body.encode()
        headers = {"content-type": JSON_TYPE, "content-length": str(len(encoded))}
        connection.close_connection = True
        connection.begin(200, headers=headers)
        for position in range(len(encoded)):
            connection.wfile.write(encoded[position : position + 1])
            if not _stay(connection, stopping, seconds=seconds):
                return

    return fault


def huge(size: int) -> Fault:
    """A good answer of at least so many bytes, without a length in its headers."""

    def fault(connection: Connection, stopping: Event) -> None:
        connection.begin(200, headers={"content-type": JSON_TYPE, "transfer-encoding": "chunked"})
        connection.send_chunk(b'{"outputs":[],"session_id":"')
        sent, block = 0, b"x" * 65536
        while sent < size and not stopping.is_set():
            connection.send_chunk(block)
            sent += len(block)
        connection.send_chunk(b'"}')
        connection.send_chunk(b"")

    return fault


def unfinished_stream(*events: str) -> Fault:
    """A stream with empty events of these names and no `end`."""

    def fault(connection: Connection, _: Event) -> None:
        headers = {"content-type": STREAM_TYPE, "transfer-encoding": "chunked"}
        connection.begin(200, headers=headers)
        for event in events:
            connection.send_chunk(json.dumps({"event": event, "data": {}}).encode() + b"\n\n")
        connection.send_chunk(b"")

    return fault


def _stay(connection: Connection, stopping: Event, *, seconds: float) -> bool:
    """Waits; false as soon as the client has gone or the server stops."""
    waited = 0.0
    while waited < seconds:
        tick = min(_TICK_SECONDS, seconds - waited)
        if stopping.wait(tick) or connection.client_is_gone():
            return False
        waited += tick
    return True
