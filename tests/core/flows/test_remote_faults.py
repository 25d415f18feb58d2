"""The client against a server that answers badly."""

import gzip
import json
from datetime import timedelta
from itertools import pairwise
from socket import SHUT_RDWR, socket
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from automagik.core.flows.call import _masked
from automagik.core.flows.exceptions import (
    AnswerTooLarge,
    DeadlineExceeded,
    MalformedAnswer,
    RateLimited,
    RemoteError,
    SourceServerError,
    SourceUnreachable,
    StreamEnded,
)
from automagik.core.flows.remote import RemoteFlows, RunAnswer
from automagik.core.flows.run_body import RunBody
from automagik.demo import faults
from automagik.demo.faults import Fault
from automagik.demo.server import DemoServer
from tests.core.flows.peer import peer, read_request
from tests.core.flows.recorded import recording, replayed

JSON_TYPE = {"content-type": "application/json"}


def client(server: DemoServer, **limits: Any) -> RemoteFlows:
    return RemoteFlows(server.url, SecretStr(server.api_key), **limits)


def run(flows: RemoteFlows, *, seconds: float = 10) -> RunAnswer:
    body = RunBody(session_id="s", input_value="hi")
    return flows.run("echo", body, deadline=timedelta(seconds=seconds))


@pytest.mark.parametrize(
    ("fault", "kind", "retryable"),
    [
        (faults.reset(), SourceUnreachable, True),
        (faults.html_page(), MalformedAnswer, False),
        (faults.broken_json(), MalformedAnswer, False),
        (faults.answer(200, "[]"), MalformedAnswer, False),
        (faults.answer(200, "{}"), MalformedAnswer, False),
        (faults.answer(200, "", headers={"content-type": ""}), MalformedAnswer, False),
        (faults.answer(429, headers={"retry-after": "7"}), RateLimited, True),
        (faults.answer(503, headers={"retry-after": "7"}), SourceServerError, True),
        (faults.unfinished_stream("add_message", "token"), StreamEnded, True),
        (faults.unfinished_stream(), StreamEnded, True),
        (faults.huge(200_000), AnswerTooLarge, False),
    ],
)
def test_a_bad_answer_is_a_typed_error_and_the_run_is_sent_once(
    fault: Fault, kind: type[RemoteError], *, retryable: bool
) -> None:
    with DemoServer(faults={"echo": fault}) as server:
        with pytest.raises(kind) as caught:
            run(client(server, max_answer_bytes=100_000))
        assert type(caught.value) is kind
        assert caught.value.retryable is retryable
        if retryable and kind in (RateLimited, SourceServerError):
            assert caught.value.retry_after == timedelta(seconds=7)


@pytest.mark.parametrize("fault", [faults.hang(), faults.drip(seconds=0.05)])
def test_a_run_that_does_not_end_is_broken_off(fault: Fault) -> None:
    with DemoServer(faults={"echo": fault}) as server, pytest.raises(DeadlineExceeded):
        run(client(server), seconds=0.3)


def test_a_server_that_is_not_there_is_unreachable(free_port: int) -> None:
    flows = RemoteFlows(f"http://127.0.0.1:{free_port}", SecretStr("canary-key"))
    with pytest.raises(SourceUnreachable, match="Connection refused") as caught:
        run(flows)
    assert caught.value.retryable
    assert "canary-key" not in str(caught.value)


def test_a_name_that_does_not_exist_is_unreachable() -> None:
    with pytest.raises(SourceUnreachable, match=r"langflow\.invalid"):
        RemoteFlows("http://langflow.invalid", SecretStr("k")).health()


def compressed(answer: Any) -> dict[str, Any]:
    body = gzip.compress(json.dumps(answer).encode())
    return {
        "status": 200,
        "headers": JSON_TYPE | {"content-encoding": "gzip"},
        "body": body,
        "text": "",
    }


def test_a_compressed_answer_is_read() -> None:
    with replayed(compressed(recording("1.13.0", "version")["response"]["json"])) as replay:
        assert RemoteFlows(replay.url, SecretStr("k")).version().version == "1.13.0"


def test_the_limit_of_size_counts_what_was_compressed() -> None:
    with replayed(compressed({"version": "x" * 10_000_000})) as replay:
        assert len(replay.response["body"]) < 20_000
        with pytest.raises(AnswerTooLarge):
            RemoteFlows(replay.url, SecretStr("k"), max_answer_bytes=100_000).version()


def test_what_calls_itself_compressed_and_is_not_is_malformed() -> None:
    answer = {"status": 200, "headers": JSON_TYPE | {"content-encoding": "gzip"}, "text": "{}"}
    with replayed(answer) as replay, pytest.raises(MalformedAnswer, match="decompressed"):
        RemoteFlows(replay.url, SecretStr("k")).version()


def test_a_body_shorter_than_announced_is_a_broken_connection() -> None:
    """Not a malformed answer: it is worth another try."""

    def cut_short(connection: socket) -> None:
        read_request(connection)
        connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n")
        connection.sendall(b"content-length: 500\r\n\r\n{")
        connection.shutdown(SHUT_RDWR)

    with peer(cut_short) as server, pytest.raises(SourceUnreachable):
        run(RemoteFlows(server.url, SecretStr("k")))


@given(cuts=st.lists(st.integers(0, 60), max_size=6))
def test_a_key_is_masked_wherever_the_network_cuts_it(cuts: list[int]) -> None:
    whole = b"sk-can sk-canary-key sk-sk-canary-keysk-canary-ke"
    places = [0, *sorted(cuts), len(whole)]
    chunks = [whole[begin:end] for begin, end in pairwise(places)]
    masked = b"".join(_masked(chunks, SecretStr("sk-canary-key")))
    assert masked == b"sk-can *** sk-***sk-canary-ke"


def test_an_event_does_not_wait_for_what_follows() -> None:
    chunks = iter([b'{"event": "token"}\n\n'])
    assert next(_masked(chunks, SecretStr("sk-canary-key"))) == b'{"event": "token"}\n\n'


def test_a_listener_that_fails_is_not_taken_for_the_network() -> None:
    def fail(_: object) -> None:
        raise OSError(28, "No space left on device")

    with DemoServer() as server, pytest.raises(OSError, match="No space left"):
        client(server).run(
            "echo",
            RunBody(session_id="s", input_value="hi"),
            deadline=timedelta(seconds=10),
            on_event=fail,
        )
