"""The input of a run as people write it."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from automagik.core.flows.exceptions import InvalidFlowInput
from automagik.core.flows.flow_input import FlowInput, parse_input


@pytest.mark.parametrize("text", ["hello", " two  spaces ", "line\nline", "42", '"quoted"', "null"])
def test_text_travels_as_it_is(text: str) -> None:
    assert parse_input(text) == FlowInput(input_value=text)


@pytest.mark.parametrize("text", [None, "", "\ufeff"])
def test_no_input_is_empty_input(text: str | None) -> None:
    assert parse_input(text) == FlowInput()


@pytest.mark.parametrize("text", ["[1, 2]", "{}", '{"event": "push",  "n": 1}', ' [{"input": 1}]'])
def test_other_json_travels_as_it_was_written(text: str) -> None:
    assert parse_input(text) == FlowInput(input_value=text)


@pytest.mark.parametrize("key", ["input_value", "input", "message"])
def test_an_object_may_say_more(key: str) -> None:
    text = json.dumps({key: "hi", "tweaks": {"Sleep": {"seconds": 1}}, "session_id": "s1"})
    assert parse_input(text) == FlowInput(
        input_value="hi", tweaks={"Sleep": {"seconds": 1}}, session_id="s1"
    )


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ('{"input_value": {"a": [1, "é"]}}', '{"a": [1, "é"]}'),
        ('{"input": 3}', "3"),
        ('{"message": null}', ""),
        ('{"session_id": "s"}', ""),
    ],
)
def test_an_input_inside_an_object_always_becomes_a_text(text: str, value: str) -> None:
    assert parse_input(text).input_value == value


@pytest.mark.parametrize(
    ("text", "place"),
    [("{broken", "line 1, column 2"), ("[1,\n 2", "line 2"), ("[note] buy milk", "column 2")],
)
def test_what_starts_like_json_and_is_none_is_refused_with_its_place(text: str, place: str) -> None:
    with pytest.raises(InvalidFlowInput, match=place) as caught:
        parse_input(text)
    assert '{"input_value": "..."}' in str(caught.value.hint)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"input_value": "x", "tweak": {}, "sesion": 1}', "tweak, sesion"),
        ('{"input": "a", "message": "b"}', "input and message"),
        ('{"tweaks": ["x"]}', "component"),
        ('{"tweaks": {"stream": true}}', "component"),
        ('{"session_id": 7}', "session_id"),
        ('{"session_id": " "}', "session_id"),
        ('{"input": NaN}', "NaN"),
        ('{"input": 1e999}', "bounds"),
        ('{"input": "a\\u0000"}', "NUL"),
        ('{"input": "\\ud800"}', "half a character"),
        ("a\0b", "NUL"),
        ("a\udce9", "half a character"),
        ("[" * 100_000, "nested"),
        ("[" + "1" * 5000 + "]", "too long"),
    ],
)
def test_what_cannot_be_meant_is_refused_in_words(text: str, said: str) -> None:
    with pytest.raises(InvalidFlowInput, match=said):
        parse_input(text)


@given(text=st.text())
def test_any_text_can_be_sent_wrapped(text: str) -> None:
    wrapped = json.dumps({"input_value": text})
    if "\0" in text:
        with pytest.raises(InvalidFlowInput):
            parse_input(wrapped)
    else:
        assert parse_input(wrapped).input_value == text


def test_a_repr_shows_neither_input_nor_tweaks() -> None:
    flow_input = FlowInput(input_value="canary", tweaks={"canary": {"canary": "canary"}})
    assert "canary" not in repr(flow_input)
