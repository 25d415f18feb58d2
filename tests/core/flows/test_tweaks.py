"""Tweaks are held against the flow, because LangFlow ignores wrong ones in silence."""

from typing import Any

import pytest

from automagik.core.flows.analyzer import analyze
from automagik.core.flows.exceptions import InvalidFlowInput
from automagik.core.flows.tweaks import merge_tweaks, parse_tweaks, validate_tweaks
from tests.core.flows.recorded import definition

MANY = analyze(definition("many_io"))
SLOW = analyze(definition("slow"))


def checked(flow: str, tweaks: dict[str, Any]) -> dict[str, dict[str, Any]]:
    analysis = analyze(definition(flow))
    return validate_tweaks(analysis, tweaks, input_component=None, input_value="")


@pytest.mark.parametrize(
    ("text", "tweaks"),
    [
        ("Sleep.seconds=0.2", {"Sleep": {"seconds": 0.2}}),
        ("Sleep-1.blocking=true", {"Sleep-1": {"blocking": True}}),
        ("Agent v1.2.name=a=b", {"Agent v1.2": {"name": "a=b"}}),
        ('A.list=["x", 1]', {"A": {"list": ["x", 1]}}),
        ("A.text=007", {"A": {"text": "007"}}),
        ("A.text=NaN", {"A": {"text": "NaN"}}),
        ("A.text=", {"A": {"text": ""}}),
        ('A.text="42"', {"A": {"text": "42"}}),
    ],
)
def test_a_value_is_json_where_it_is_and_else_text(
    text: str, tweaks: dict[str, dict[str, Any]]
) -> None:
    assert parse_tweaks([text]) == tweaks


def test_several_tweaks_of_one_component_are_collected() -> None:
    assert parse_tweaks(["A.x=1", "B.x=2", "A.y=3"]) == {"A": {"x": 1, "y": 3}, "B": {"x": 2}}


@pytest.mark.parametrize(
    "texts", [["A.x"], ["x=1"], [".x=1"], ["A.=1"], ["A.x=1", "A.x=2"], ["A.x=\0"]]
)
def test_what_is_no_tweak_is_refused(texts: list[str]) -> None:
    with pytest.raises(InvalidFlowInput):
        parse_tweaks(texts)


def test_merging_keeps_all_fields_and_prefers_the_later() -> None:
    assert merge_tweaks({"A": {"x": 1, "y": 1}}, {"A": {"x": 2}, "B": {"z": 3}}) == {
        "A": {"x": 2, "y": 1},
        "B": {"z": 3},
    }


@pytest.mark.parametrize("name", ["SleepComponent-slow1", "Sleep"])
def test_a_component_is_named_by_id_or_display_name(name: str) -> None:
    assert checked("slow", {name: {"seconds": 1}}) == {"SleepComponent-slow1": {"seconds": 1}}


@pytest.mark.parametrize(
    ("tweaks", "said", "hint"),
    [
        ({"SleepComponent-slow": {"seconds": 1}}, "no component", "SleepComponent-slow1"),
        ({"Zzz": {"seconds": 1}}, "no component", "Known: "),
        ({"Sleep": {"secnds": 1}}, "no field 'secnds'", "seconds"),
        ({"Sleep": {"code": "x"}}, "protected", ""),
        ({"ChatOutput-slow1": {"input_value": "x"}}, "set by SleepComponent-slow1", "comes from"),
        ({"Sleep": {"seconds": 1}, "SleepComponent-slow1": {"seconds": 2}}, "tweaked twice", ""),
    ],
)
def test_what_langflow_would_ignore_is_refused(
    tweaks: dict[str, Any], said: str, hint: str
) -> None:
    with pytest.raises(InvalidFlowInput, match=said) as caught:
        checked("slow", tweaks)
    assert hint in str(caught.value.hint)


def test_a_display_name_of_two_components_is_no_name() -> None:
    with pytest.raises(InvalidFlowInput, match="several components"):
        checked("starters/text_sentiment_analysis", {"Chat Output": {"sender": "x"}})


@pytest.mark.parametrize(
    "value", ["0.2", True, None, [1.0], {"a": 1}, {"value": 1}, {"load_from_db": True}]
)
def test_a_value_that_the_field_cannot_hold_is_refused(value: Any) -> None:
    with pytest.raises(InvalidFlowInput, match="takes float") as refused:
        checked("slow", {"Sleep": {"seconds": value}})
    assert "--tweak SleepComponent-slow1.seconds=0.5" in str(refused.value.hint)


@pytest.mark.parametrize(("given", "taken"), [("x", "x"), (42, "42"), (1.5, "1.5")])
def test_a_number_for_a_text_travels_as_text(given: Any, taken: str) -> None:
    """LangFlow would take the number for nothing."""
    tweaks = {"TextInput-topic": {"input_value": given}}
    assert checked("many_io", tweaks) == {"TextInput-topic": {"input_value": taken}}


def test_a_global_variable_may_be_named_instead_of_a_value() -> None:
    reference = {"value": "MY_VARIABLE", "load_from_db": True}
    tweaks = {"TextInput-topic": {"input_value": reference}}
    assert checked("many_io", tweaks) == tweaks


def test_the_input_and_a_tweak_of_the_same_field_contradict_each_other() -> None:
    tweaks = {"Topic": {"input_value": "x"}}
    with pytest.raises(InvalidFlowInput, match="both set"):
        validate_tweaks(MANY, tweaks, input_component="TextInput-topic", input_value="y")
    assert validate_tweaks(MANY, tweaks, input_component="TextInput-topic", input_value="")
    assert validate_tweaks(MANY, tweaks, input_component="ChatInput-many1", input_value="y")
