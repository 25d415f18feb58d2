"""What AutoMagik relies on: recordings, demo server and real LangFlow answer alike."""

from dataclasses import dataclass, field
from typing import Any, Literal

import pytest

from tests.langflow.exchanges import Answer, Ask, at, recorded, settled, shape

JSON = "application/json"
STREAM = "text/event-stream"

TEXT = "outputs.0.outputs.0.outputs.message.message"
ECHO_ID = "e1d3994d-8a55-4d5e-beb0-0d13f0a2cb53"
NOBODY = "00000000-0000-4000-8000-000000000000"


@dataclass(frozen=True, kw_only=True)
class Exchange:
    """What must hold of the answer to a recorded request."""

    name: str
    status: int = 200
    content_type: str = JSON
    holds: dict[str, Any] = field(default_factory=dict)
    contains: dict[str, Any] = field(default_factory=dict)
    like_recording: Literal["settled", "shape"] = "settled"
    """Equal but for ids and times, or of the same keys and types."""


def said(name: str, text: str) -> Exchange:
    return Exchange(name=name, holds={TEXT: text})


def refused(name: str, status: int, detail: Any) -> Exchange:
    return Exchange(name=name, status=status, holds={"detail": detail})


def unfit(name: str, kind: str) -> Exchange:
    holds = {"detail.0.type": kind}
    return Exchange(name=name, status=422, holds=holds, like_recording="shape")


def failed(name: str, component: str, error: str) -> Exchange:
    message = f"Error running graph: Error building Component {component}: \n\n{error}"
    return Exchange(name=name, status=500, holds={"detail.json.message": message})


EXCHANGES = [
    # The server.
    Exchange(name="health", holds={"status": "ok"}),
    Exchange(name="health_check", holds={"status": "ok", "db": "ok"}),
    Exchange(name="version", holds={"version": "1.13.0"}, like_recording="shape"),
    Exchange(name="whoami", holds={"is_active": True}, like_recording="shape"),
    refused("whoami_bad_key", 403, "Invalid API key"),
    # Flows.
    Exchange(
        name="flows_headers",
        holds={"0.data": None, "0.is_component": False},
        contains={"*.endpoint_name": "echo", "*.id": ECHO_ID},
        like_recording="shape",
    ),
    Exchange(
        name="flows_key_in_query", contains={"*.endpoint_name": "echo"}, like_recording="shape"
    ),
    Exchange(name="flows_page1", holds={"page": 1, "size": 2}, like_recording="shape"),
    Exchange(name="flows_page1_headers", holds={"items.0.data": None}, like_recording="shape"),
    Exchange(name="flows_page_beyond_end", holds={"items": [], "page": 99}, like_recording="shape"),
    unfit("flows_page_size_too_big", "less_than_equal"),
    refused("flows_no_key", 403, "No authentication credentials provided"),
    refused("flows_bad_key", 403, "Invalid API key"),
    refused("flows_bad_bearer", 401, "Invalid token"),
    Exchange(name="flows_no_trailing_slash", status=307, content_type=""),
    Exchange(
        name="flow_get",
        holds={
            "name": "Echo",
            "endpoint_name": "echo",
            "data.nodes.*.data.type": ["ChatInput", "ChatOutput"],
        },
        like_recording="shape",
    ),
    refused("flow_get_unknown", 404, "Flow not found"),
    unfit("flow_get_not_uuid", "uuid_parsing"),
    # Plain runs.
    said("run_echo", "hello world"),
    Exchange(name="run_echo_by_endpoint", holds={TEXT: "hello", "session_id": ECHO_ID}),
    said("run_echo_empty_object", ""),
    said("run_echo_no_body", ""),
    said("run_unknown_body_field", "hello"),
    said("run_nul_character", "a\0b"),
    said("run_slow", "slept 0.2s: x"),
    said("run_prompt", "Bom dia, world! You asked for a report in English."),
    said("run_webhook_flow", "webhook received 1 keys: event; event=push"),
    Exchange(name="run_big_output_2k", holds={"outputs.0.inputs.input_value": "x"}),
    Exchange(name="run_json_output", contains={TEXT: '```json\n{\n  "characters": 7,'}),
    Exchange(name="run_text_only", holds={"outputs.0.outputs.0.outputs.text.message": "t"}),
    Exchange(
        name="run_text_only_default_types",
        holds={"outputs.0.outputs.0.outputs.text.message": ""},
    ),
    Exchange(name="run_no_output", holds={"outputs.0.outputs": []}),
    # Choosing inputs and outputs.
    Exchange(
        name="run_many_default",
        holds={"outputs.0.outputs.*.component_id": ["ChatOutput-answer", "ChatOutput-stats"]},
    ),
    Exchange(
        name="run_many_any",
        holds={
            "outputs.0.outputs.*.component_id": [
                "ChatOutput-answer",
                "ChatOutput-stats",
                "TextOutput-raw",
            ]
        },
    ),
    Exchange(name="run_many_text", holds={"outputs.0.outputs.*.component_id": ["TextOutput-raw"]}),
    Exchange(
        name="run_many_debug",
        contains={"outputs.0.outputs.*.component_id": "Prompt-many1"},
        like_recording="shape",
    ),
    said("run_many_input_text", "Q: \nTopic: T\nStyle: T"),
    said("run_many_tweaked_inputs", "Q: Q\nTopic: cats\nStyle: fancy"),
    Exchange(
        name="run_many_output_component",
        holds={"outputs.0.outputs.*.component_display_name": ["Statistics"]},
    ),
    Exchange(name="run_many_output_component_unknown", holds={"outputs.0.outputs": []}),
    # What a client gets wrong.
    said("run_input_not_string", ""),
    said("run_input_type_unknown", ""),
    said("run_tweaks_not_object", ""),
    said("run_tweak_input_only", "from tweak"),
    said("run_tweak_unknown_component", "x"),
    said("run_tweak_unknown_field", "x"),
    Exchange(name="run_tweak_and_input", status=400, contains={"detail": "cannot pass a tweak"}),
    Exchange(
        name="run_tweak_refused",
        status=422,
        holds={"detail.code": "TWEAKS_REFUSED", "detail.fields": ["code"]},
        like_recording="shape",
    ),
    Exchange(
        name="run_tweak_wrong_type",
        status=500,
        contains={"detail": "Could not convert 'abc' to float for input seconds."},
        like_recording="shape",
    ),
    unfit("run_invalid_json", "json_invalid"),
    unfit("run_stream_bad_flag", "bool_parsing"),
    refused("run_unknown_id", 404, f"Flow identifier {NOBODY} not found"),
    refused("run_unknown_name", 404, "Flow identifier nope not found"),
    refused("run_no_key", 403, "An API key must be passed as query or header"),
    refused("run_bad_key", 403, "Invalid or missing API key"),
    # Failing runs.
    failed("run_failing", "Fail", "deliberate failure"),
    failed("run_failing_key_error", "Fail", "'missing'"),
    # Streams.
    Exchange(
        name="run_stream_echo",
        content_type=STREAM,
        holds={
            "*.event": ["add_message", "add_message", "end"],
            f"-1.data.result.{TEXT}": "hello",
        },
    ),
    Exchange(
        name="run_stream_tokens",
        content_type=STREAM,
        holds={
            "*.event": ["add_message", "add_message", *["token"] * 3, "add_message", "end"],
            "3.data.chunk": "two ",
            f"-1.data.result.{TEXT}": "one two three ",
        },
    ),
    Exchange(
        name="run_stream_failing",
        content_type=STREAM,
        holds={"*.event": ["add_message", "error", "error"]},
        contains={"-1.data.error": "Error building Component Fail"},
    ),
]

FLAKY = [
    failed("run_flaky_attempt_1", "Flaky", "flaky failure 1 of 2 (key rec956d02c6)"),
    failed("run_flaky_attempt_2", "Flaky", "flaky failure 2 of 2 (key rec956d02c6)"),
    said("run_flaky_attempt_3", "succeeded on attempt 3: x"),
]
SESSION = [
    said("run_session_memory_1", "message 1 of session mem-956d02c6: hi"),
    said("run_session_memory_2", "message 2 of session mem-956d02c6: hi"),
]


@pytest.mark.parametrize("exchange", EXCHANGES, ids=lambda exchange: exchange.name)
def test_a_request_is_answered_as_recorded(ask: Ask, exchange: Exchange) -> None:
    check(ask(exchange.name), exchange)


@pytest.mark.parametrize("exchanges", [FLAKY, SESSION], ids=["flaky", "session"])
def test_requests_that_build_on_each_other_are_answered_as_recorded(
    ask: Ask, exchanges: list[Exchange]
) -> None:
    for exchange in exchanges:
        check(ask(exchange.name), exchange)


def check(answer: Answer, exchange: Exchange) -> None:
    assert answer.status == exchange.status
    assert answer.content_type.partition(";")[0] == exchange.content_type
    for path, value in exchange.holds.items():
        assert at(answer.body, path) == value
    for path, part in exchange.contains.items():
        assert part in at(answer.body, path)
    view = {"settled": settled, "shape": shape}[exchange.like_recording]
    assert view(answer.body) == view(recorded(exchange.name).body)
