"""YAML as a tree: nothing is guessed, every line is known, and nothing can be smuggled in."""

from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from automagik.core.exceptions import InvalidInput
from automagik.core.manifest.document import LONGEST, Table, documents, read_text, value_of
from automagik.core.manifest.problems import ManifestInvalid
from automagik.core.manifest.writing import yaml_text

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**20), 10**20)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
TRAPS = [
    "on",
    "yes",
    "09:00",
    "1:30",
    "2030-12-01",
    "1e3",
    "0x1F",
    "010",
    "1_000",
    "~",
    "",
    "=",
    "<<",
]


def read(text: str) -> Any:
    [node] = documents(text, file="a.yaml")
    return value_of(node)


def problem(text: str) -> str:
    with pytest.raises(ManifestInvalid) as refused:
        documents(text, file="a.yaml")
    return refused.value.problems[0].text


@given(st.dictionaries(st.text(), VALUES, max_size=4))
def test_what_is_written_is_read_as_the_same(value: dict[str, Any]) -> None:
    assert read(yaml_text([value])) == value


@pytest.mark.parametrize("text", TRAPS)
def test_texts_that_look_like_something_else_stay_texts_for_every_reader(text: str) -> None:
    written = yaml_text([{"value": text}])

    assert read(written) == {"value": text}
    assert yaml.safe_load(written) == {"value": text}


@pytest.mark.parametrize("text", ["on", "yes", "09:00", "1:30", "2030-12-01", "010", "1_000"])
def test_words_times_and_dates_without_quotes_are_texts(text: str) -> None:
    assert read(f"{text}: {text}") == {text: text}


def test_json_without_quotes_is_what_it_is_in_json() -> None:
    assert read("[1, -2.5, 1e3, true, null, ~, '1', \"true\"]") == [
        1, -2.5, 1000.0, True, None, None, "1", "true",
    ]  # fmt: skip


def test_every_key_knows_its_line() -> None:
    [node] = documents("# first\na:\n  b: 1\n\n  c: 2\n", file="a.yaml")
    assert isinstance(node, Table)
    inner = node.entries["a"]
    assert isinstance(inner, Table)

    assert [str(node.keys["a"]), str(inner.keys["b"]), str(inner.keys["c"])] == [
        "a.yaml:2",
        "a.yaml:3",
        "a.yaml:5",
    ]


def test_aliases_and_merged_keys_can_be_used_and_what_is_said_itself_wins() -> None:
    assert read("a: &a {x: 1, y: 2}\nb: {<<: *a, y: 3}\nc: *a") == {
        "a": {"x": 1, "y": 2},
        "b": {"x": 1, "y": 3},
        "c": {"x": 1, "y": 2},
    }


@pytest.mark.parametrize(
    "text, said",
    [
        ("a:\n  b: 1\n  b: 2\n", "a.yaml:3: a.b: is there twice; first in line 2"),
        ("a: 1\nb: !!python/object/apply:os.system [ls]\n", "a.yaml:2: b: tags"),
        ("a: 1\n? [x, y]\n: 2\n", "a.yaml:2: a key must be"),
        ("a: 1\nb: [1\n", "a.yaml:3: this is no YAML"),
        ("a: 1\nb: \x07\n", "a.yaml:2: there is a character"),
        ("a: {<<: 5}\n", "a.yaml:1: a: << takes a mapping"),
        ("a: *nobody\n", "a.yaml:1: this is no YAML"),
    ],
)
def test_what_cannot_be_read_is_told_with_its_line(text: str, said: str) -> None:
    assert problem(text).startswith(said)


def test_no_text_is_so_deep_or_so_full_of_aliases_that_reading_it_takes_for_ever() -> None:
    bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
        f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 9)
    )

    assert "too large" in problem(bomb)
    assert "too large" in problem("a: &a [*a]\n")
    assert "too large" in problem("[" * 200 + "]" * 200)


@pytest.mark.parametrize("text", ["[" * 100_000, "{a: " * 100_000, "- " * 100_000])
def test_no_depth_of_a_text_ends_the_process(text: str) -> None:
    assert "too large" in problem(text)


def test_a_text_has_an_end() -> None:
    assert "too large" in problem("#" * (LONGEST + 1))
    assert "too large" in problem("- a\n" * 250_000)
    with pytest.raises(InvalidInput, match="too large"):
        read_text(b"#" * (LONGEST + 1), file="a.yaml")


def test_what_is_no_yaml_is_told_without_the_line_which_may_hold_a_secret() -> None:
    assert "canary" not in problem("a: 'sk-canary\nb: [sk-canary\n")
