"""A call is broken off from another thread at any moment, within half a second, plain or TLS."""

import socket
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from threading import Event, Timer
from typing import Any

import pytest
from pydantic import SecretStr

from automagik.core.flows.exceptions import (
    DeadlineExceeded,
    RunCancelled,
    SourceTimeout,
    SourceUntrusted,
)
from automagik.core.flows.remote import RemoteFlows, RunAnswer
from automagik.core.flows.run_body import RunBody
from automagik.core.flows.run_handle import AbortReason, RunHandle
from automagik.demo.server import DemoServer
from tests.core.flows.peer import (
    STREAM_BEGUN,
    certificate_for_loopback,
    full_backlog,
    peer,
    read_request,
)

PATIENCE = timedelta(seconds=10)
AT_ONCE = 0.5


def remote(url: str, **limits: Any) -> RemoteFlows:
    return RemoteFlows(url, SecretStr("canary-key"), **limits)


def run(
    flows: RemoteFlows, handle: RunHandle | None = None, *, deadline: timedelta = PATIENCE
) -> RunAnswer:
    return flows.run("echo", RunBody(session_id="s"), deadline=deadline, handle=handle)


def silent(_: socket.socket) -> None:
    """Neither reads nor answers."""


def without_headers(connection: socket.socket) -> None:
    read_request(connection)


def in_the_headers(connection: socket.socket) -> None:
    read_request(connection)
    connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-ty")


def in_the_body(connection: socket.socket) -> None:
    read_request(connection)
    connection.sendall(STREAM_BEGUN)


@pytest.fixture
def certificate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A certificate that this test trusts."""
    path = certificate_for_loopback(tmp_path)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(path))
    return path


@contextmanager
def elapsing(at_most: float) -> Iterator[None]:
    begun = time.monotonic()
    yield
    assert time.monotonic() - begun < at_most


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
@pytest.mark.parametrize("script", [silent, without_headers, in_the_headers, in_the_body])
def test_an_abort_ends_the_call_at_once_and_closes_the_connection(
    script: Callable[[socket.socket], None], certificate: Path, *, tls: bool
) -> None:
    handle = RunHandle()
    with (
        peer(script, certificate=certificate if tls else None) as server,
        ThreadPoolExecutor() as pool,
    ):
        call = pool.submit(run, remote(server.url), handle)
        assert server.reached.wait(5)
        with elapsing(AT_ONCE):
            handle.abort()
            with pytest.raises(RunCancelled, match="cancelled"):
                call.result(5)
        assert server.left.wait(5)


def test_an_abort_ends_a_tls_handshake() -> None:
    handle = RunHandle()
    with peer(silent) as server, ThreadPoolExecutor() as pool:
        call = pool.submit(run, remote(server.url.replace("http", "https")), handle)
        assert server.reached.wait(5)
        with elapsing(AT_ONCE):
            handle.abort(AbortReason.SHUTDOWN)
            with pytest.raises(RunCancelled, match="shutdown"):
                call.result(5)


def test_an_abort_ends_the_wait_for_a_connection() -> None:
    handle = RunHandle()
    with full_backlog() as url, elapsing(0.2 + AT_ONCE):
        Timer(0.2, handle.abort).start()
        with pytest.raises(RunCancelled):
            run(remote(url), handle)


def test_no_connection_in_time_is_a_timeout() -> None:
    with full_backlog() as url, elapsing(0.2 + AT_ONCE), pytest.raises(SourceTimeout) as caught:
        run(remote(url, connect_timeout=timedelta(seconds=0.2)))
    assert not isinstance(caught.value, DeadlineExceeded)


@pytest.fixture
def dead_name_server(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The one thing here that is not real: no test can make the system's resolver hang."""
    end, real = Event(), socket.getaddrinfo

    def hang(*args: Any, **kwargs: Any) -> Any:
        if not kwargs.get("flags"):
            end.wait(10)
        return real(*args, **kwargs)

    monkeypatch.setattr("automagik.core.flows.transport.getaddrinfo", hang)
    yield
    end.set()


@pytest.mark.usefixtures("dead_name_server")
def test_an_abort_ends_the_wait_for_a_name_server() -> None:
    handle = RunHandle()
    with elapsing(0.2 + AT_ONCE):
        Timer(0.2, handle.abort).start()
        with pytest.raises(RunCancelled):
            run(remote("http://localhost:1"), handle)


@pytest.mark.usefixtures("dead_name_server")
def test_a_name_server_counts_towards_the_connect_timeout() -> None:
    with elapsing(0.2 + AT_ONCE), pytest.raises(SourceTimeout):
        run(remote("http://localhost:1", connect_timeout=timedelta(seconds=0.2)))


def test_an_abort_before_the_call_keeps_it_from_being_sent() -> None:
    handle = RunHandle()
    handle.abort(AbortReason.LEASE_LOST)
    with DemoServer() as server:
        with pytest.raises(RunCancelled, match="lease_lost"):
            run(remote(server.url), handle)
        assert server.runs == []


def test_the_first_reason_stays() -> None:
    handle = RunHandle()
    handle.abort(AbortReason.SHUTDOWN)
    handle.abort(AbortReason.CANCELLED)
    assert handle.reason is AbortReason.SHUTDOWN


def test_an_abort_after_the_answer_changes_nothing() -> None:
    handle = RunHandle()
    with DemoServer() as server:
        flows = RemoteFlows(server.url, SecretStr(server.api_key))
        answer = run(flows, handle)
        handle.abort()
    assert answer.http_status == 200


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
@pytest.mark.parametrize("script", [silent, without_headers, in_the_headers, in_the_body])
def test_the_deadline_holds_wherever_the_server_stops(
    script: Callable[[socket.socket], None], certificate: Path, *, tls: bool
) -> None:
    with (
        peer(script, certificate=certificate if tls else None) as server,
        elapsing(0.3 + AT_ONCE),
        pytest.raises(DeadlineExceeded, match=r"0\.3 s"),
    ):
        run(remote(server.url), deadline=timedelta(seconds=0.3))


def drip(connection: socket.socket, text: bytes) -> None:
    read_request(connection)
    for position in range(len(text)):
        connection.sendall(text[position : position + 1])
        time.sleep(0.02)


@pytest.mark.parametrize(
    "text", [b"HTTP/1.1 200 OK\r\nx: " + b"y" * 500, STREAM_BEGUN[:-9] + b"x" * 500]
)
def test_the_deadline_holds_against_one_byte_at_a_time(text: bytes) -> None:
    with (
        peer(lambda connection: drip(connection, text)) as server,
        elapsing(0.3 + AT_ONCE),
        pytest.raises(DeadlineExceeded),
    ):
        run(remote(server.url), deadline=timedelta(seconds=0.3))


@pytest.mark.parametrize("script", [silent, without_headers, in_the_headers])
def test_silence_ends_other_calls_by_their_read_timeout(
    script: Callable[[socket.socket], None],
) -> None:
    with peer(script) as server, elapsing(0.2 + AT_ONCE), pytest.raises(SourceTimeout) as caught:
        remote(server.url, read_timeout=timedelta(seconds=0.2)).version()
    assert not isinstance(caught.value, DeadlineExceeded)


def test_other_calls_have_a_total_deadline_as_well() -> None:
    text = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\r\n{" + b" " * 500
    with (
        peer(lambda connection: drip(connection, text)) as server,
        elapsing(0.3 + AT_ONCE),
        pytest.raises(DeadlineExceeded),
    ):
        remote(server.url, total_timeout=timedelta(seconds=0.3)).version()


def test_a_certificate_that_nobody_vouches_for_is_refused_and_the_key_not_sent(
    tmp_path: Path,
) -> None:
    path = certificate_for_loopback(tmp_path)
    with peer(silent, certificate=path) as server:
        with pytest.raises(SourceUntrusted) as caught:
            run(remote(server.url))
        assert not caught.value.retryable
    assert server.received == b""
