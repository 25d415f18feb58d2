"""What of the command line's input is a field, and what they come to together."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from automagik.core.flows.exceptions import InvalidFlowInput
from automagik.core.flows.input_fields import fields_text, is_field

_NAMES = st.from_regex(r"[A-Za-z_][A-Za-z0-9_-]{0,8}", fullmatch=True)
_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=5,
)


@pytest.mark.parametrize(
    "text",
    [
        "city=Ulm",
        "a.b=3",
        "a.b-c.d_e=null",
        'greeting="good morning"',
        'filter={"days": [1, 2]}',
        "city=Köln",
        "url=https://example.com/?a=b",
    ],
)
def test_one_word_with_a_path_is_a_field(text: str) -> None:
    assert is_field(text)


@pytest.mark.parametrize(
    "text",
    [
        "hello",
        "is 1 + 1 = 2?",
        "x=3 and y=4: what is x+y?",
        "greeting=good morning",
        "total= 7",
        "a==b",
        "a=",
        "aGVsbG8=",
        "dGVzdA==",
        "=3",
        "3=3",
        ".a=3",
        "a.=3",
        "a..b=3",
        "größe=3",
        "https://example.com/?a=b",
        '{"a": "b=c"}',
        "x=1\n",
    ],
)
def test_everything_else_is_a_text(text: str) -> None:
    assert not is_field(text)


@given(st.text(st.characters(exclude_characters="=")), st.sampled_from(" \n\t"), st.text())
def test_no_sentence_is_a_field(before: str, blank: str, after: str) -> None:
    assert not is_field(f"{before}{blank}={after}")
    assert not is_field(f"{before}={blank}{after}")
    assert not is_field(f"Is {before}={after}")


@given(st.dictionaries(_NAMES, _JSON, min_size=1))
def test_what_is_written_as_json_comes_out_as_it_was(whole: dict[str, Any]) -> None:
    texts = [f"{name}={json.dumps(value)}" for name, value in whole.items()]

    assert json.loads(fields_text(texts)) == whole
    assert all(map(is_field, texts))


@given(st.lists(_NAMES, min_size=1, max_size=4))
def test_dots_lead_into_objects(path: list[str]) -> None:
    value = json.loads(fields_text([f"{'.'.join(path)}=7"]))
    for name in path:
        value = value[name]

    assert value == 7


@pytest.mark.parametrize(
    "text, value",
    [
        ("a=3", 3),
        ("a=1.5", 1.5),
        ("a=true", True),
        ("a=null", None),
        ("a=[1, 2]", [1, 2]),
        ('a="3"', "3"),
        ("a=007", "007"),
        ("a=True", "True"),
        ("a=NaN", "NaN"),
        ("a=", ""),
        ("a==b", "=b"),
        ("a=two words", "two words"),
    ],
)
def test_a_value_is_json_where_it_is(text: str, value: object) -> None:
    assert json.loads(fields_text([text])) == {"a": value}


@pytest.mark.parametrize(
    "texts, said",
    [
        (["a=1", "hello"], "no PATH=VALUE"),
        (["a=1", "a=2"], "twice"),
        (["a=1", "a.b=2"], "'a' itself"),
        (["a.b=2", "a=1"], "twice"),
    ],
)
def test_what_cannot_be_together_is_refused(texts: list[str], said: str) -> None:
    with pytest.raises(InvalidFlowInput, match=said):
        fields_text(texts)
