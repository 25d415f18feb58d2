"""The input of a chain's run."""

import json
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from automagik.core.exceptions import InvalidInput
from automagik.core.scheduler.input_template import (
    LONGEST,
    NAMES,
    Parent,
    Place,
    parse_template,
    template_input,
)

ANSWER = {"outputs": [{"text": "deep", "3": "by key"}, 7], "none": None, "é": ["ü"]}
TEXTS = st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="\0"))


def parent(**said: Any) -> Parent:
    given = {
        "task_id": UUID(int=7),
        "flow": "Echo",
        "schedule": "nightly",
        "state": "completed",
        "finished_at": datetime(2030, 1, 2, 3, 4, 5, tzinfo=UTC),
        "input_value": "asked",
        "output": "said",
        "answer": ANSWER,
    }
    return Parent(**{**given, **said})


def filled(template: str, **said: Any) -> str:
    return parse_template(template).render(parent(**said))


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        ("", ""),
        ("plain } text }} {", "plain } text }} {"),
        ("{{ output }}", "said"),
        ("{{output}}{{  output  }}", "saidsaid"),
        ("{{ input }} at {{ finished_at }}", "asked at 2030-01-02T03:04:05+00:00"),
        ("{{ flow }}/{{ schedule }}/{{ task }}", f"Echo/nightly/{UUID(int=7)}"),
        ("{{ state }}[{{ error }}{{ error_code }}]", "completed[]"),
        ("{{ result.outputs.0.text }}", "deep"),
        ("{{ result.outputs.0.3 }}", "by key"),
        ("{{ result.outputs.1 }}", "7"),
        ("{{ result.none }}", ""),
        ("{{ result.é }}", '["ü"]'),
        (r"\{{ output }} {{ output }}", "{{ output }} said"),
    ],
)
def test_places_are_filled_in(template: str, expected: str) -> None:
    assert filled(template) == expected


def test_a_failed_run_brought_no_answer_and_that_is_empty() -> None:
    told = "{{ state }}: {{ error }}{{ output }}{{ result.outputs.0 }}{{ result }}"
    assert filled(told, state="failed", error="no", output=None, answer=None) == "failed: no"


@pytest.mark.parametrize(
    "path", ["nowhere", "outputs.2", "outputs.-1", "outputs.0.text.more", "é.x"]
)
def test_a_path_that_the_answer_does_not_have_is_refused_by_its_name(path: str) -> None:
    template = parse_template(f"{{{{ result.{path} }}}}")

    with pytest.raises(InvalidInput, match=path):
        template.render(parent())


@pytest.mark.parametrize(
    ("template", "said"),
    [
        ("{{ outptu }}", "did you mean {{ output }}"),
        ("{{ OUTPUT }}", "did you mean {{ output }}"),
        ("{{ }}", "knows no"),
        ("{{ output.text }}", "only result has parts"),
        ("{{ result..a }}", "empty step"),
        ("{{ output", "without its }}"),
        ("{{ a {{ output }}", "without its }}"),
        ("{{ 1 + 1 }}", "knows no"),
    ],
)
def test_what_cannot_be_filled_in_is_refused_before_it_is_stored(template: str, said: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        parse_template(template)

    assert said in refused.value.message


@given(value=TEXTS)
def test_what_comes_into_a_string_of_json_stays_within_it(value: str) -> None:
    template = '{"text": "say: {{ output }}", "all": ["{{ result.v }}"]}'

    told = json.loads(filled(template, output=value, answer={"v": [value]}))

    assert told["text"] == f"say: {value}"
    assert json.loads(told["all"][0]) == [value]


Case = tuple[str, Any]
"""A template that is JSON, and what it says when it is filled in."""


def cases(as_text: dict[str, str], as_value: dict[str, Any]) -> st.SearchStrategy[Case]:
    literals = TEXTS.filter(lambda said: "{" not in said and not said.endswith("\\"))
    words = literals.map(lambda said: (json.dumps(said)[1:-1], said))
    words |= st.just((r"\{{", "{{"))
    words |= st.sampled_from([(f"{{{{ {name} }}}}", said) for name, said in as_text.items()])
    strings = st.lists(words, max_size=4).map(
        lambda all_: (f'"{"".join(t for t, _ in all_)}"', "".join(said for _, said in all_))
    )
    places = st.sampled_from([(f"{{{{{name}}}}}", value) for name, value in as_value.items()])
    plain = st.sampled_from([(text, json.loads(text)) for text in ("1", "-5e3", "true", "null")])
    return inside(st.recursive(plain | strings | places, inside, max_leaves=6))


def inside(values: st.SearchStrategy[Case]) -> st.SearchStrategy[Case]:
    def as_list(all_: list[Case]) -> Case:
        return f"[{', '.join(text for text, _ in all_)}]", [said for _, said in all_]

    def as_object(all_: list[Case]) -> Case:
        pairs = [f'"k{number}": {text}' for number, (text, _) in enumerate(all_)]
        values = {f"k{number}": said for number, (_, said) in enumerate(all_)}
        return f"{{{', '.join(pairs)} }}", values

    return st.lists(values, max_size=3).map(as_list) | st.lists(values, max_size=3).map(as_object)


@given(
    output=TEXTS,
    value=st.recursive(st.integers() | TEXTS | st.none(), st.lists, max_leaves=4),
    data=st.data(),
)
def test_json_stays_json_whatever_comes_in(output: str, value: Any, data: st.DataObject) -> None:
    """In a string the text comes in, elsewhere the value."""
    written = "" if value is None else json.dumps(value, ensure_ascii=False)
    as_text = {"output": output, "result.v": value if isinstance(value, str) else written}
    as_value = {"output": output, "result.v": value, "error": None}
    template, expected = data.draw(cases(as_text, as_value))

    assert json.loads(filled(template, output=output, answer={"v": value})) == expected


@pytest.mark.parametrize(
    "template",
    [r'{"a": "\u00{{ output }}"}', '{"a": 1{{ output }}}', "{{{ output }}: 1}", '["a{{ output }}]'],
)
def test_what_is_json_only_for_some_values_is_text(template: str) -> None:
    assert filled(template, output='"') == template.replace("{{ output }}", '"')


def test_a_template_that_is_json_only_when_it_is_filled_in_takes_values_as_json() -> None:
    run_input = template_input('{"answer": {{ result.outputs }}}')

    told = json.loads(filled(run_input.input_value))

    assert told == {"answer": ANSWER["outputs"]}


def test_json_around_a_template_says_tweaks_and_session_as_it_does_for_every_input() -> None:
    envelope = {"input_value": "{{ output }}", "tweaks": {"a": {"b": "{{"}}, "session_id": "s"}
    run_input = template_input(json.dumps(envelope))

    assert (run_input.input_value, run_input.session_id) == ("{{ output }}", "s")
    assert run_input.tweaks == {"a": {"b": "{{"}}, "only the input is a template"
    with pytest.raises(InvalidInput):
        template_input('{"input_value": "{{ unknown }}"}')
    with pytest.raises(InvalidInput):
        template_input('{"no json')


def test_an_input_beyond_all_bounds_is_refused_without_being_made() -> None:
    template = parse_template("{{ output }}" * 100_000)

    with pytest.raises(InvalidInput, match="1,000,000"):
        template.render(parent(output="x" * LONGEST))


@given(text=TEXTS, values=TEXTS)
def test_nothing_of_a_value_is_read_as_a_template_and_doubled_braces_can_be_written(
    text: str, values: str
) -> None:
    assert filled("{{ output }}", output=values) == values
    if "{{" not in text and not text.endswith(("{", "\\")):
        assert filled(text + r"\{{") == text + "{{"


@given(text=st.text(alphabet="{}\\ .outpresl0", max_size=40))
def test_any_text_is_a_template_or_is_refused(text: str) -> None:
    parts: tuple[str | Place, ...] = ()
    with suppress(InvalidInput):
        parts = parse_template(text).parts
    assert all(isinstance(part, str) or part.name in NAMES for part in parts)
