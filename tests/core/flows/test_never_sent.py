"""Whether a call that failed may have reached its flow: the ground for running it once more.

What is surely not sent may be sent again; of all else nobody knows whether the flow has run.
"""

import socket
import struct
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from automagik.core.flows.exceptions import (
    DeadlineExceeded,
    RateLimited,
    RemoteError,
    RunCancelled,
    SourceServerError,
    SourceTimeout,
    SourceUnreachable,
    SourceUntrusted,
    StreamEnded,
)
from automagik.core.flows.remote import RemoteFlows
from automagik.core.flows.run_body import RunBody
from automagik.core.flows.run_handle import RunHandle
from automagik.demo import faults
from automagik.demo.faults import Fault
from automagik.demo.server import DemoServer
from tests.core.flows.peer import certificate_for_loopback, full_backlog, peer, read_request

SHORT = timedelta(seconds=0.3)


def failed_run(url: str, **limits: Any) -> RemoteError:
    """What a run there comes to."""
    deadline = limits.pop("deadline", timedelta(seconds=10))
    handle = limits.pop("handle", None)
    flows = RemoteFlows(url, SecretStr("canary-key"), **limits)
    with pytest.raises(RemoteError) as caught:
        flows.run("echo", RunBody(session_id="s"), deadline=deadline, handle=handle)
    return caught.value


def silent(_: socket.socket) -> None:
    """Neither reads nor answers."""


def hang_up(connection: socket.socket) -> None:
    reset_by(connection)


def hang_up_after_the_request(connection: socket.socket) -> None:
    assert read_request(connection)
    reset_by(connection)


def reset_by(connection: socket.socket) -> None:
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


@pytest.fixture
def trusted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A certificate that this test trusts."""
    path = certificate_for_loopback(tmp_path)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(path))
    return path


class TestSurelyNotSent:
    def test_where_nobody_listens(self, free_port: int) -> None:
        error = failed_run(f"http://127.0.0.1:{free_port}")

        assert (type(error), error.never_sent) == (SourceUnreachable, True)

    def test_to_a_name_that_does_not_exist(self) -> None:
        error = failed_run("http://langflow.invalid")

        assert (type(error), error.never_sent) == (SourceUnreachable, True)

    def test_when_no_connection_comes_about_in_time(self) -> None:
        with full_backlog() as url:
            slow = failed_run(url, connect_timeout=SHORT)
            late = failed_run(url, deadline=SHORT)

        assert (type(slow), slow.never_sent) == (SourceTimeout, True)
        assert (type(late), late.never_sent) == (DeadlineExceeded, True)

    def test_when_the_tls_handshake_is_broken_off(self) -> None:
        with peer(hang_up) as server:
            error = failed_run(server.url.replace("http", "https"))

        assert (type(error), error.never_sent) == (SourceUnreachable, True)

    def test_when_the_tls_handshake_hangs(self) -> None:
        with peer(silent) as server:
            error = failed_run(server.url.replace("http", "https"), connect_timeout=SHORT)

        assert (type(error), error.never_sent) == (SourceTimeout, True)

    def test_when_the_certificate_is_not_trusted(self, tmp_path: Path) -> None:
        with peer(silent, certificate=certificate_for_loopback(tmp_path)) as server:
            error = failed_run(server.url)

        assert (type(error), error.never_sent) == (SourceUntrusted, True)
        assert server.received == b""

    def test_when_the_call_was_broken_off_before_it_began(self) -> None:
        handle = RunHandle()
        handle.abort()
        with DemoServer() as server:
            error = failed_run(server.url, handle=handle)

            assert server.runs == []
        assert (type(error), error.never_sent) == (RunCancelled, True)


class TestPerhapsSent:
    @pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
    def test_when_the_connection_is_reset_after_the_request(
        self, trusted: Path, *, tls: bool
    ) -> None:
        with peer(hang_up_after_the_request, certificate=trusted if tls else None) as server:
            error = failed_run(server.url)

        assert (type(error), error.never_sent) == (SourceUnreachable, False)

    @pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
    def test_when_nobody_answers_the_request(self, trusted: Path, *, tls: bool) -> None:
        with peer(silent, certificate=trusted if tls else None) as server:
            error = failed_run(server.url, deadline=SHORT)
            assert server.left.wait(5)

        assert (type(error), error.never_sent) == (DeadlineExceeded, False)
        assert server.received.startswith(b"POST /api/v1/run/echo")

    @pytest.mark.parametrize(
        ("fault", "kind"),
        [
            (faults.reset(), SourceUnreachable),
            (faults.answer(429), RateLimited),
            (faults.answer(503), SourceServerError),
            (faults.unfinished_stream("token"), StreamEnded),
        ],
    )
    def test_when_the_source_answers_badly(self, fault: Fault, kind: type[RemoteError]) -> None:
        with DemoServer(faults={"/api/v1/run/echo": fault}) as server:
            error = failed_run(server.url)

        assert (type(error), error.never_sent) == (kind, False)
