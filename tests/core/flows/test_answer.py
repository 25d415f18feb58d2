"""What a run answered, in all shapes that LangFlow 1.0 to 1.13 gave it."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from automagik.core.flows.answer import clean_answer, extract_text, parse_answer
from automagik.core.flows.exceptions import MalformedAnswer
from tests.core.flows.recorded import SINCE_1_2, VERSIONS, answer_of

PROMPT_TEXT = "Q: Q\nTopic: default topic\nStyle: plain"


@pytest.mark.parametrize("version", VERSIONS)
def test_the_text_of_a_chat_output(version: str) -> None:
    assert extract_text(answer_of(version, "run_echo"), output_component=None) == "hello world"


@pytest.mark.parametrize("version", VERSIONS)
def test_the_text_of_a_text_output(version: str) -> None:
    assert extract_text(answer_of(version, "run_text_only"), output_component=None) == "t"


@pytest.mark.parametrize("version", VERSIONS)
def test_no_output_is_no_text(version: str) -> None:
    assert extract_text(answer_of(version, "run_no_output"), output_component=None) is None


@pytest.mark.parametrize("version", SINCE_1_2)
@pytest.mark.parametrize("chosen", ["TextOutput-raw", "Raw Prompt", "ChatOutput-answer", None])
def test_of_several_outputs_the_chosen_one_speaks_else_the_first_chat(
    version: str, chosen: str | None
) -> None:
    """Line breaks are not doubled, as they are in LangFlow's `messages`."""
    answer = answer_of(version, "run_many_any")
    assert extract_text(answer, output_component=chosen) == PROMPT_TEXT


@pytest.mark.parametrize("version", ["1.7.3", "1.13.0"])
def test_structured_data_of_a_chat_output_stays_the_text_that_langflow_made(version: str) -> None:
    text = extract_text(answer_of(version, "run_json_output"), output_component=None)
    assert text is not None
    assert json.loads(text.removeprefix("```json").removesuffix("```"))["words"] == 2


def test_structured_data_of_a_component_becomes_compact_json() -> None:
    answer = answer_of("1.13.0", "run_many_debug")
    text = extract_text(answer, output_component="StatsComponent-many1")
    assert text is not None
    assert text.startswith('{"characters":38,"words":7,')


def test_an_output_that_was_not_built_is_no_text() -> None:
    answer = answer_of("1.13.0", "run_many_output_component_unknown")
    assert extract_text(answer, output_component="Nope-1") is None


def test_an_empty_text_is_a_text() -> None:
    answer = answer_of("1.13.0", "run_input_not_string")
    assert extract_text(answer, output_component=None) == ""


def test_nul_characters_and_lone_surrogates_do_not_reach_postgresql() -> None:
    answer = clean_answer(answer_of("1.13.0", "run_nul_character"))
    assert extract_text(answer, output_component=None) == "ab"
    assert "\\u0000" not in json.dumps(answer)
    assert parse_answer(rb'{"a\u0000": ["\ud800x", 1e999, NaN]}') == {"a": ["\ufffdx", None, None]}


@pytest.mark.parametrize("body", [b"", b"{", b"<html>", b"\xff", b"1" * 5000, b"[" * 100_000])
def test_what_is_no_json_is_a_malformed_answer(body: bytes) -> None:
    with pytest.raises(MalformedAnswer):
        parse_answer(body)


TEXT = st.text(st.characters() | st.sampled_from("\0\ud800\udfff"))
JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=12,
)


@given(answer=JSON)
def test_cleaning_twice_changes_nothing_more(answer: Any) -> None:
    clean = clean_answer(answer)
    assert clean_answer(clean) == clean


@given(answer=JSON, ascii_only=st.booleans())
def test_whatever_is_parsed_is_clean(answer: Any, *, ascii_only: bool) -> None:
    body = json.dumps(answer, ensure_ascii=ascii_only).encode("utf-8", "surrogatepass")
    assert parse_answer(body) == clean_answer(answer)


@given(outputs=JSON)
def test_any_json_in_the_place_of_outputs_is_read_without_an_error(outputs: Any) -> None:
    answer = {"outputs": [{"outputs": [{"component_id": "ChatOutput-1", "outputs": outputs}]}]}
    text = extract_text(answer, output_component="ChatOutput-1")
    assert text is None or isinstance(text, str)
    assert extract_text({"outputs": outputs}, output_component=None) is None or isinstance(
        outputs, list
    )
