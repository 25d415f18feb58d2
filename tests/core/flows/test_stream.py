"""The stream of a run, as recorded and as the network cuts it up."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from automagik.core.flows.answer import extract_text
from automagik.core.flows.exceptions import BadRequest, MalformedAnswer, RunFailed, StreamEnded
from automagik.core.flows.stream import RunEvent, follow
from tests.core.flows.recorded import SINCE_1_2, recording

ENDED = b'{"event": "end", "data": {"result": {"outputs": []}}}'


def streamed(version: str, name: str) -> bytes:
    return str(recording(version, name)["response"]["text"]).encode()


@pytest.mark.parametrize("version", SINCE_1_2)
def test_the_end_event_carries_the_answer(version: str) -> None:
    events: list[RunEvent] = []
    answer = follow([streamed(version, "run_stream_echo")], events.append)
    assert extract_text(answer, output_component=None) == "hello"
    assert [(e.kind, e.sender, e.text) for e in events] == [
        ("add_message", "User", "hello"),
        ("add_message", "Machine", "hello"),
    ]
    assert [e.component for e in events] == ["user", "ChatInput-echo1"]


def test_tokens_come_one_by_one() -> None:
    events: list[RunEvent] = []
    follow([streamed("1.13.0", "run_stream_tokens")], events.append)
    assert [e.text for e in events if e.kind == "token"] == ["one ", "two ", "three "]


@pytest.mark.parametrize("version", ["1.2.0", "1.4.3", "1.7.3"])
def test_before_1_13_a_failed_run_just_ends(version: str) -> None:
    with pytest.raises(StreamEnded) as caught:
        follow([streamed(version, "run_stream_failing")], None)
    assert caught.value.retryable
    assert "1.2 to 1.7" in str(caught.value.hint)


def test_a_failed_run_has_langflows_text_and_tells_the_component() -> None:
    events: list[RunEvent] = []
    with pytest.raises(RunFailed, match="Component Fail: \n\ndeliberate failure") as caught:
        follow([streamed("1.13.0", "run_stream_failing")], events.append)
    assert caught.value.retryable
    assert (events[1].kind, events[1].component) == ("error", "FailComponent-fail1")


def test_a_component_that_complains_before_the_end_has_not_failed_the_run() -> None:
    complaint = b'{"event": "error", "data": {"text": "tool failed", "error": false}}\n\n'
    assert follow([complaint + ENDED], None) == {"outputs": []}
    with pytest.raises(RunFailed, match="tool failed"):
        follow([complaint], None)


@pytest.mark.parametrize(
    "text",
    [
        "Refused tweak keys ['code']: The field is protected.",
        "If you pass an input_value to the chat input, you cannot pass a tweak with the same name.",
    ],
)
def test_a_refusal_that_comes_as_an_event_is_not_retried(text: str) -> None:
    event = b'{"event": "error", "data": {"error": "%s"}}\n\n' % text.encode()
    with pytest.raises(BadRequest) as caught:
        follow([event], None)
    assert not caught.value.retryable


@given(cuts=st.lists(st.integers(0, 8000), max_size=12))
def test_it_does_not_matter_how_the_network_cuts_the_stream(cuts: list[int]) -> None:
    whole = streamed("1.13.0", "run_stream_tokens")
    places = [0, *sorted(cuts), len(whole)]
    chunks = [whole[begin:end] for begin, end in pairwise(places)]
    assert follow(chunks, None) == follow([whole], None)


@pytest.mark.parametrize(
    "stream",
    [
        b"data: " + ENDED + b"\n\n",
        b": ping\n\nevent: end\nid: 7\ndata:" + ENDED + b"\r\n\r\n",
        b'data: {"event": "end",\ndata: "data": {"result": {"outputs": []}}}\n\n',
        ENDED,
    ],
)
def test_real_server_sent_events_are_read_as_well(stream: bytes) -> None:
    assert follow([stream], None) == {"outputs": []}


def test_an_object_that_is_cut_off_is_an_end_without_a_result() -> None:
    with pytest.raises(StreamEnded):
        follow([ENDED[:-5]], None)


@pytest.mark.parametrize(
    "stream", [b"nonsense\n\n" + ENDED, b'{"event": "end", "data": {"result": 3}}\n\n']
)
def test_a_stream_that_is_not_langflows_is_malformed(stream: bytes) -> None:
    with pytest.raises(MalformedAnswer):
        follow([stream], None)


def test_the_text_of_an_event_is_short() -> None:
    events: list[RunEvent] = []
    follow(
        [b'{"event": "token", "data": {"chunk": "%s"}}\n\n' % (b"x" * 9000), ENDED], events.append
    )
    assert len(events[0].text) == 2000
