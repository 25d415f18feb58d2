"""The client against a real LangFlow: every way in, every way out, and breaking off."""

import json
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from threading import Event
from typing import Any
from uuid import uuid4

import pytest
from pydantic import SecretStr

from automagik.core.flows.analyzer import analyze
from automagik.core.flows.exceptions import (
    BadRequest,
    DeadlineExceeded,
    InvalidFlowInput,
    RemoteFlowNotFound,
    RunCancelled,
    RunFailed,
    SourceUnauthorized,
    SourceUnreachable,
    StreamEnded,
)
from automagik.core.flows.flow_input import FlowInput
from automagik.core.flows.remote import RemoteFlows, RunAnswer
from automagik.core.flows.run_body import RunBody, build_run_body
from automagik.core.flows.run_handle import RunHandle
from automagik.core.flows.stream import RunEvent
from tests.langflow.server import LangflowServer

pytestmark = pytest.mark.langflow

DEADLINE = timedelta(seconds=60)


@pytest.fixture
def flows(langflow_server: LangflowServer) -> RemoteFlows:
    return RemoteFlows(langflow_server.url, SecretStr(langflow_server.api_key))


@pytest.fixture
def ids(flows: RemoteFlows) -> dict[str, str]:
    return {flow.endpoint_name or flow.name: flow.id for flow in flows.list_flows()}


@pytest.fixture
def run(flows: RemoteFlows, ids: dict[str, str]) -> Callable[..., RunAnswer]:
    """Runs a flow by endpoint name, as a worker does."""

    def run(
        name: str,
        value: str = "",
        *,
        to: str | None = None,
        output: str | None = None,
        tweaks: Any = None,
        deadline: timedelta = DEADLINE,
        **options: Any,
    ) -> RunAnswer:
        flow = flows.get_flow(ids[name])
        analysis = analyze(flow.data)
        body = build_run_body(
            FlowInput(input_value=value, tweaks=tweaks or {}),
            analysis,
            input_component=to or (analysis.inputs[0].id if analysis.inputs else None),
            output_component=output,
            session_id=f"test-{uuid4()}",
        )
        return flows.run(flow.id, body, deadline=deadline, **options)

    return run


def test_the_server_says_who_it_is(flows: RemoteFlows) -> None:
    flows.health()
    assert flows.version().version.startswith("1.")
    assert flows.check_key()


def test_a_wrong_key_is_unauthorized(langflow_server: LangflowServer) -> None:
    stranger = RemoteFlows(langflow_server.url, SecretStr("sk-of-a-stranger"))
    for ask in (stranger.check_key, stranger.list_flows, lambda: stranger.get_flow(str(uuid4()))):
        with pytest.raises(SourceUnauthorized):
            ask()


def test_the_list_and_the_flows_agree(flows: RemoteFlows) -> None:
    headers = flows.list_flows()
    assert {"echo", "slow", "failing"} <= {flow.endpoint_name for flow in headers}
    echo = next(flow for flow in headers if flow.endpoint_name == "echo")
    full = flows.get_flow(echo.id)
    assert (full.name, full.folder_id, full.description) == (
        echo.name,
        echo.folder_id,
        echo.description,
    )
    assert full.data is not None


def test_an_unknown_flow_is_not_found(flows: RemoteFlows) -> None:
    unknown = str(uuid4())
    with pytest.raises(RemoteFlowNotFound):
        flows.get_flow(unknown)
    with pytest.raises(RemoteFlowNotFound):
        flows.run(unknown, RunBody(session_id="s"), deadline=DEADLINE)


@pytest.mark.parametrize(
    ("name", "value", "options", "text"),
    [
        ("echo", "hi", {}, "hi"),
        ("echo", "", {}, ""),
        ("echo", "", {"tweaks": {"Chat Input": {"input_value": "tweaked"}}}, "tweaked"),
        ("text-only", "hi", {}, "hi"),
        ("text-only", "hi", {"output": "TextOutput-only1"}, "hi"),
        ("webhook-in", '{"event": "push"}', {}, "webhook received 1 keys: event; event=push"),
        ("webhook-in", "plain", {}, "webhook received 1 keys: payload; event=None"),
        ("webhook-in", "", {}, "webhook received 0 keys: ; event=None"),
        ("global-variable", "hi", {}, "hi"),
        ("no-output", "hi", {}, None),
        (
            "many-io",
            "cats",
            {"to": "TextInput-topic", "output": "TextOutput-raw"},
            "Q: \nTopic: cats\nStyle: plain",
        ),
        (
            "many-io",
            "Q",
            {"tweaks": {"Style": {"input_value": 7}}, "output": "ChatOutput-answer"},
            "Q: Q\nTopic: default topic\nStyle: 7",
        ),
        (
            "prompt-template",
            "Ana",
            {"tweaks": {"Prompt-main1": {"greeting": "Bom dia"}}},
            "Bom dia, Ana! You asked for a report in English.",
        ),
    ],
)
def test_input_reaches_its_component_and_the_output_gives_its_text(
    run: Callable[..., RunAnswer],
    name: str,
    value: str,
    options: dict[str, Any],
    text: str | None,
) -> None:
    assert run(name, value, **options).text == text


def test_structured_data_comes_as_json(run: Callable[..., RunAnswer]) -> None:
    answer = run("json-output", "one two", output="StatsComponent-stat1")
    assert json.loads(answer.text or "")["words"] == 2


def test_what_langflow_would_ignore_is_refused(run: Callable[..., RunAnswer]) -> None:
    """An edge beats a tweak without a word: the flow would have run with another topic."""
    with pytest.raises(InvalidFlowInput, match="beats a tweak"):
        run("many-io", "Q", tweaks={"Prompt-many1": {"topic": "dogs"}})


def test_a_refused_tweak_is_not_retried(flows: RemoteFlows, ids: dict[str, str]) -> None:
    body = RunBody(session_id="s", tweaks={"SleepComponent-slow1": {"code": "x"}})
    with pytest.raises(BadRequest, match="code"):
        flows.run(ids["slow"], body, deadline=DEADLINE)


def test_a_failing_component_says_why(run: Callable[..., RunAnswer]) -> None:
    events: list[RunEvent] = []
    with pytest.raises((RunFailed, StreamEnded)) as caught:
        run("failing", "x", tweaks={"Fail": {"message": "told you"}}, on_event=events.append)
    assert caught.value.retryable
    assert "told you" in str(caught.value)
    assert any(event.kind == "error" for event in events)


def test_tokens_arrive_while_the_run_goes_on(run: Callable[..., RunAnswer]) -> None:
    times: list[float] = []
    run(
        "token-stream",
        "a b c d",
        tweaks={"Token Stream": {"delay": 0.2}},
        on_event=lambda event: times.append(time.monotonic()) if event.kind == "token" else None,
    )
    assert len(times) == 4
    assert times[-1] - times[0] > 0.4


def test_a_large_answer_is_read_whole(run: Callable[..., RunAnswer]) -> None:
    text = run("big-output", "x", tweaks={"Big Output": {"size": 1_000_000}}).text
    assert text is not None
    assert len(text) == 1_000_000


def test_a_run_is_cancelled_at_once_and_the_server_goes_on(
    run: Callable[..., RunAnswer], flows: RemoteFlows
) -> None:
    handle, begun = RunHandle(), Event()
    with ThreadPoolExecutor() as pool:
        call = pool.submit(
            run,
            "slow",
            "x",
            tweaks={"Sleep": {"seconds": 30}},
            handle=handle,
            on_event=lambda _: begun.set(),
        )
        assert begun.wait(20)
        aborted = time.monotonic()
        handle.abort()
        with pytest.raises(RunCancelled):
            call.result(5)
        assert time.monotonic() - aborted < 0.5
    flows.health()


def test_the_deadline_breaks_a_run_off(run: Callable[..., RunAnswer]) -> None:
    begun = time.monotonic()
    with pytest.raises(DeadlineExceeded):
        run("slow", "x", tweaks={"Sleep": {"seconds": 30}}, deadline=timedelta(seconds=1))
    assert time.monotonic() - begun < 10


def test_sessions_are_kept_apart(run: Callable[..., RunAnswer]) -> None:
    """Without a session of its own, each run would see the messages of the others."""
    for _ in range(2):
        assert str(run("session-memory", "hi").text).startswith("message 1 of session test-")


def test_an_address_that_is_no_langflow_is_unreachable(free_port: int) -> None:
    with pytest.raises(SourceUnreachable):
        RemoteFlows(f"http://127.0.0.1:{free_port}", SecretStr("k")).health()
