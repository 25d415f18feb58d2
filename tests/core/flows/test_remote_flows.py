"""The client against recorded answers of LangFlow 1.0 to 1.13."""

import json
import socket
from datetime import UTC, timedelta
from typing import Any

import pytest
from pydantic import SecretStr

from automagik.core.exceptions import InvalidInput
from automagik.core.flows.call import MAX_REFUSAL_BYTES
from automagik.core.flows.exceptions import (
    MalformedAnswer,
    RemoteError,
    RemoteFlowNotFound,
    RunFailed,
    SourceUnauthorized,
    StreamEnded,
)
from automagik.core.flows.remote import RemoteFlows, RunAnswer
from automagik.core.flows.run_body import RunBody
from automagik.core.flows.stream import RunEvent
from tests.core.flows.peer import peer, read_request
from tests.core.flows.recorded import SINCE_1_2, VERSIONS, Replay, recording, replayed

KEY = "sk-canary-key"
DEADLINE = timedelta(seconds=10)


def client(replay: Replay) -> RemoteFlows:
    return RemoteFlows(replay.url, SecretStr(KEY))


def run(replay: Replay, **options: Any) -> RunAnswer:
    body = RunBody(session_id="s1", input_value="hello")
    return client(replay).run("flow/1", body, deadline=DEADLINE, **options)


def response(version: str, name: str) -> dict[str, Any]:
    return dict(recording(version, name)["response"])


def ok(answer: Any) -> dict[str, Any]:
    return {"status": 200, "headers": {"content-type": "application/json"}, "json": answer}


@pytest.mark.parametrize("version", VERSIONS)
def test_a_server_of_any_version_says_who_it_is(version: str) -> None:
    with replayed(response(version, "health")) as replay:
        client(replay).health()
    with replayed(response(version, "version")) as replay:
        assert client(replay).version().version
    with replayed(response(version, "whoami")) as replay:
        assert client(replay).check_key() == "admin"
        assert replay.requests[0]["headers"]["x-api-key"] == KEY


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("name", ["whoami_bad_key", "flows_bad_key", "flows_no_key"])
def test_a_wrong_key_is_unauthorized_in_every_wording(version: str, name: str) -> None:
    with replayed(response(version, name)) as replay, pytest.raises(SourceUnauthorized) as caught:
        client(replay).list_flows()
    assert caught.value.exit_code == 4
    assert not caught.value.retryable


@pytest.mark.parametrize("version", SINCE_1_2)
def test_flows_are_listed_by_name_with_headers_only(version: str) -> None:
    with replayed(response(version, "flows_headers")) as replay:
        flows = client(replay).list_flows()
        assert len(flows) == len(replay.response["json"])
        assert [flow.name for flow in flows] == sorted((f.name for f in flows), key=str.casefold)
        assert {flow.endpoint_name for flow in flows} >= {"echo", "big-output"}
        path = replay.requests[0]["path"]
    assert path.startswith("/api/v1/flows/?")
    assert {"get_all=true", "header_flows=true", "remove_example_flows=true"} <= set(
        path.partition("?")[2].split("&")
    )


def test_only_1_13_says_in_the_list_when_a_flow_changed() -> None:
    with replayed(response("1.13.0", "flows_headers")) as replay:
        assert all(f.updated_at and f.updated_at.tzinfo == UTC for f in client(replay).list_flows())
    with replayed(response("1.7.3", "flows_headers")) as replay:
        assert all(f.updated_at is None for f in client(replay).list_flows())


def test_components_and_examples_are_listed_when_asked_for() -> None:
    flows = [{"id": "1", "name": "b", "is_component": True}, {"id": "2", "name": "A"}]
    with replayed(ok(flows)) as replay:
        assert [f.id for f in client(replay).list_flows()] == ["2"]
        everything = client(replay).list_flows(include_components=True, include_examples=True)
        assert [f.id for f in everything] == ["2", "1"]
        assert "remove_example_flows=false" in replay.requests[-1]["path"]


def test_1_0_lists_by_folder_what_it_cannot_list_for_a_key() -> None:
    folders = [{"id": "f1", "name": "My Projects"}, {"id": "f2", "name": "Starter Projects"}]
    by_path = {
        "/api/v1/folders/": ok(folders),
        "/api/v1/folders/f1": ok({"flows": [response("1.0.19", "flow_get")["json"]]}),
    }
    with replayed(response("1.0.19", "flows_headers"), by_path) as replay:
        assert [flow.name for flow in client(replay).list_flows()] == ["Echo"]


def test_a_list_in_pages_is_read_to_its_end() -> None:
    page = {"items": [{"id": "1", "name": "a"}], "pages": 3}
    with replayed(ok(page)) as replay:
        assert len(client(replay).list_flows()) == 3
        assert "page=3" in replay.requests[-1]["path"]


@pytest.mark.parametrize("version", VERSIONS)
def test_a_flow_comes_with_its_definition(version: str) -> None:
    with replayed(response(version, "flow_get")) as replay:
        flow = client(replay).get_flow("an id")
        assert replay.requests[0]["path"] == "/api/v1/flows/an%20id"
    assert flow.name == "Echo"
    assert flow.updated_at is not None
    assert flow.data is not None
    assert len(flow.data["nodes"]) == 2


@pytest.mark.parametrize("version", VERSIONS)
def test_a_flow_that_is_gone_is_not_found(version: str) -> None:
    unknown = response(version, "flow_get_unknown")
    with replayed(unknown) as replay, pytest.raises(RemoteFlowNotFound):
        client(replay).get_flow("x")
    unknown = response(version, "run_unknown_id")
    with replayed(unknown) as replay, pytest.raises(RemoteFlowNotFound) as caught:
        run(replay)
    assert caught.value.exit_code == 3


@pytest.mark.parametrize("version", VERSIONS)
def test_a_run_is_streamed_and_gives_answer_and_text(version: str) -> None:
    """1.0 answers with plain JSON and no events."""
    events: list[RunEvent] = []
    with replayed(response(version, "run_stream_echo")) as replay:
        answer = run(replay, on_event=events.append)
        request = replay.requests[0]
    assert (answer.text, answer.http_status) == ("hello", 200)
    assert answer.answer["session_id"]
    assert len(events) == (0 if version == "1.0.19" else 2)
    assert request["path"] == "/api/v1/run/flow%2F1?stream=true"
    assert request["headers"]["content-type"] == "application/json"
    assert json.loads(request["body"])["input_value"] == "hello"


@pytest.mark.parametrize("version", VERSIONS)
def test_a_failed_run_is_a_failure_in_every_version(version: str) -> None:
    silent = version in ("1.2.0", "1.4.3", "1.7.3")
    with replayed(response(version, "run_stream_failing")) as replay:
        with pytest.raises(StreamEnded if silent else RunFailed):
            run(replay)
        assert len(replay.requests) == 1


@pytest.mark.parametrize("version", VERSIONS)
def test_a_failed_run_that_was_not_streamed_has_langflows_text(version: str) -> None:
    failing = response(version, "run_failing")
    with replayed(failing) as replay, pytest.raises(RunFailed, match="deliberate") as caught:
        run(replay)
    assert caught.value.http_status_received == 500


def test_only_the_chosen_outputs_text_is_taken() -> None:
    with replayed(response("1.13.0", "run_many_any")) as replay:
        body = RunBody(session_id="s1", output_component="TextOutput-raw")
        answer = client(replay).run("x", body, deadline=DEADLINE)
    assert answer.text == "Q: Q\nTopic: default topic\nStyle: plain"


def test_a_fresh_connection_carries_each_call() -> None:
    with replayed(response("1.13.0", "version")) as replay:
        client(replay).version()
        assert replay.requests[0]["headers"]["connection"] == "close"


def test_neither_cookies_nor_passwords_from_netrc_are_sent(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login me password canary\n")
    monkeypatch.setenv("NETRC", str(netrc))
    answer = response("1.13.0", "version")
    answer["headers"] = answer["headers"] | {"set-cookie": "access_token_lf=1; path=/"}
    with replayed(answer) as replay:
        flows = client(replay)
        flows.version()
        flows.version()
        sent = [request["headers"] for request in replay.requests]
    assert not any({"cookie", "authorization"} & headers.keys() for headers in sent)


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_a_redirect_is_not_followed_because_the_key_would_travel(status: int) -> None:
    with replayed(response("1.13.0", "version")) as other:
        moved = {"status": status, "headers": {"location": other.url + "/?k=" + KEY}, "text": ""}
        with replayed(moved) as replay, pytest.raises(MalformedAnswer, match=other.url) as caught:
            client(replay).version()
        assert other.requests == []
    assert KEY not in str(caught.value)


def test_of_a_redirect_no_more_is_read_than_of_other_refusals() -> None:
    def endless(connection: socket.socket) -> None:
        read_request(connection)
        connection.sendall(
            b"HTTP/1.1 302 Found\r\nlocation: /x\r\ncontent-length: 999999999\r\n\r\n"
        )
        connection.sendall(b"x" * 2 * MAX_REFUSAL_BYTES)

    with peer(endless) as server, pytest.raises(MalformedAnswer, match="/x"):
        RemoteFlows(server.url, SecretStr(KEY)).version()


@pytest.mark.parametrize(
    "answer",
    [
        {"status": 400, "headers": {}, "text": json.dumps({"detail": f"bad {KEY}"})},
        {"status": 500, "headers": {}, "text": json.dumps({"detail": f"bad {KEY}"})},
        {"status": 403, "headers": {"content-type": KEY}, "text": KEY},
        {"status": 200, "headers": {"content-type": "text/html"}, "text": KEY},
        {
            "status": 200,
            "headers": {"content-type": "text/event-stream"},
            "text": json.dumps({"event": "error", "data": {"error": f"bad {KEY}"}}) + "\n\n",
        },
    ],
)
def test_an_error_never_repeats_the_key(answer: dict[str, Any]) -> None:
    said: list[RunEvent] = []
    with replayed(answer) as replay, pytest.raises(RemoteError) as caught:
        run(replay, on_event=said.append)
    assert KEY not in f"{caught.value} {caught.value.hint} {caught.value!r} {said}"


def test_an_answer_that_repeats_the_key_is_kept_without_it() -> None:
    with replayed(ok({"outputs": [], "headers": f"x-api-key: {KEY}"})) as replay:
        assert run(replay).answer == {"outputs": [], "headers": "x-api-key: ***"}


def test_a_repr_shows_neither_key_nor_answer() -> None:
    with replayed(response("1.13.0", "run_stream_echo")) as replay:
        assert "hello" not in repr(run(replay))
        assert KEY not in repr(vars(client(replay)))


@pytest.mark.parametrize("key", ["a b", "a\nb", "schlüssel", "a\x7f"])
def test_a_key_that_no_header_can_carry_is_refused_and_not_repeated(key: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        RemoteFlows("http://localhost:7860", SecretStr(key))
    assert key not in str(caught.value)


@pytest.mark.parametrize(
    "answer", [{"flows": 1}, [1], [{"id": "1"}], [{"name": "x", "id": 3}], "text", None, 1]
)
def test_a_list_that_holds_no_flows_is_malformed(answer: Any) -> None:
    with replayed(ok(answer)) as replay, pytest.raises(MalformedAnswer):
        client(replay).list_flows()
