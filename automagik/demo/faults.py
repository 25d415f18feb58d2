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
_BLOCK_BYTES = 64 * 1024


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


def after(seconds: float, fault: Fault) -> Fault:
    """Says nothing for so long, then does this: as a proxy that loses patience with a server."""

    def patient(connection: Connection, stopping: Event) -> None:
        if _stay(connection, stopping, seconds=seconds):
            fault(connection, stopping)

    return patient


def cut_stream(seconds: float, event: str = "add_message") -> Fault:
    """Begins a stream with this event, says no more, and drops the connection."""

    def fault(connection: Connection, stopping: Event) -> None:
        _begin_stream(connection)
        connection.send_chunk(_event(event))
        after(seconds, reset())(connection, stopping)

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


def huge(size: int, *, status: int = 200) -> Fault:
    """An answer of at least so many bytes, without a length in its headers; a good one with 200."""

    def fault(connection: Connection, stopping: Event) -> None:
        headers = {"content-type": JSON_TYPE, "transfer-encoding": "chunked"}
        connection.begin(status, headers=headers)
        connection.send_chunk(b'{"outputs":[],"session_id":"')
        _send_again_and_again(connection, b"x" * _BLOCK_BYTES, size=size, stopping=stopping)
        connection.send_chunk(b'"}')
        connection.send_chunk(b"")

    return fault


def chatter(size: int, *, text: str = "and so on") -> Fault:
    """A stream of messages without an end, at least so many bytes of them."""

    def fault(connection: Connection, stopping: Event) -> None:
        message = _event("add_message", text=text)
        block = message * (_BLOCK_BYTES // len(message) + 1)
        _begin_stream(connection)
        _send_again_and_again(connection, block, size=size, stopping=stopping)
        connection.send_chunk(b"")

    return fault


def unfinished_stream(*events: str) -> Fault:
    """A stream with empty events of these names and no `end`."""

    def fault(connection: Connection, _: Event) -> None:
        _begin_stream(connection)
        for event in events:
            connection.send_chunk(_event(event))
        connection.send_chunk(b"")

    return fault


def _begin_stream(connection: Connection) -> None:
    headers = {"content-type": STREAM_TYPE, "transfer-encoding": "chunked"}
    connection.begin(200, headers=headers)


def _event(name: str, **data: str) -> bytes:
    return json.dumps({"event": name, "data": data}).encode() + b"\n\n"


def _send_again_and_again(
    connection: Connection, block: bytes, *, size: int, stopping: Event
) -> None:
    sent = 0
    while sent < size and not stopping.is_set():
        connection.send_chunk(block)
        sent += len(block)


def _stay(connection: Connection, stopping: Event, *, seconds: float) -> bool:
    """Waits; false as soon as the client has gone or the server stops."""
    waited = 0.0
    while waited < seconds:
        tick = min(_TICK_SECONDS, seconds - waited)
        if stopping.wait(tick) or connection.client_is_gone():
            return False
        waited += tick
    return True
