"""The body of a run gives the input to the chosen component and to no other."""

from typing import Any

import pytest

from automagik.core.flows.analyzer import analyze
from automagik.core.flows.exceptions import InvalidFlowInput
from automagik.core.flows.flow_input import FlowInput
from automagik.core.flows.run_body import RunBody, build_run_body
from tests.core.flows.recorded import definition


def body_of(
    flow: str,
    value: str,
    *,
    to: str | None = None,
    output: str | None = None,
    tweaks: Any = None,
) -> dict[str, Any]:
    analysis = analyze(definition(flow))
    return build_run_body(
        FlowInput(input_value=value, tweaks=tweaks or {}),
        analysis,
        input_component=to or (analysis.inputs[0].id if analysis.inputs else None),
        output_component=output,
        session_id="run-1",
    ).to_json()


@pytest.mark.parametrize("value", ["hi", ""])
def test_a_chat_input_gets_the_input_value_even_if_it_is_empty(value: str) -> None:
    assert body_of("echo", value, output="ChatOutput-echo1") == {
        "session_id": "run-1",
        "input_type": "chat",
        "output_type": "any",
        "input_value": value,
        "output_component": "ChatOutput-echo1",
    }


def test_a_text_input_needs_the_text_type() -> None:
    body = body_of("text_only", "hi")
    assert (body["input_type"], body["input_value"]) == ("text", "hi")


def test_a_webhook_gets_its_data_by_a_tweak() -> None:
    body = body_of("webhook", '{"event": "push"}')
    assert body["tweaks"] == {"Webhook-hook1": {"data": '{"event": "push"}'}}
    assert "input_value" not in body


@pytest.mark.parametrize("value", ["[1]", "3", '"text"', "null"])
def test_json_that_a_webhook_would_fail_for_is_refused(value: str) -> None:
    with pytest.raises(InvalidFlowInput, match="JSON object or plain text"):
        body_of("webhook", value)


def test_of_several_text_inputs_only_the_chosen_one_gets_the_value() -> None:
    body = body_of("many_io", "cats", to="TextInput-topic")
    assert body["tweaks"] == {"TextInput-topic": {"input_value": "cats"}}
    assert "input_value" not in body


def test_a_tweak_of_another_input_value_sends_the_input_by_tweak_too() -> None:
    """LangFlow refuses an input_value beside such tweaks of inputs of the same kind."""
    body = body_of("many_io", "Q", tweaks={"Style": {"input_value": "fancy"}})
    assert body["tweaks"] == {
        "TextInput-style": {"input_value": "fancy"},
        "ChatInput-many1": {"input_value": "Q"},
    }
    assert "input_value" not in body


def test_a_tweak_of_the_input_itself_replaces_an_empty_input() -> None:
    body = body_of("echo", "", tweaks={"Chat Input": {"input_value": "tweaked"}})
    assert body["tweaks"] == {"ChatInput-echo1": {"input_value": "tweaked"}}
    assert "input_value" not in body


def test_a_variable_that_the_input_names_stays_unless_there_is_input() -> None:
    """By input_value, LangFlow would take the input for the name of a variable."""
    assert "tweaks" not in body_of("global_variable", "")
    assert body_of("global_variable", "hi")["tweaks"] == {"TextInput-gvar1": {"input_value": "hi"}}
    assert "input_value" not in body_of("global_variable", "")


def test_an_input_whose_id_does_not_tell_its_kind_is_reached_by_tweak() -> None:
    """Older servers look for the input type in the id."""
    data = definition("echo")
    data["nodes"][0]["id"] = "greeting-1"
    body = build_run_body(
        FlowInput(input_value="hi"),
        analyze(data | {"edges": []}),
        input_component="greeting-1",
        output_component=None,
        session_id="run-1",
    )
    assert body.tweaks == {"greeting-1": {"input_value": "hi"}}


def test_a_flow_without_an_input_runs_but_takes_no_input() -> None:
    assert "input_value" not in body_of("starters/seo_keyword_generator", "")
    with pytest.raises(InvalidFlowInput, match="would be lost"):
        body_of("starters/seo_keyword_generator", "keywords")


@pytest.mark.parametrize("gone", [{"to": "Gone-1"}, {"output": "Gone-1"}])
def test_a_component_that_is_gone_is_refused(gone: dict[str, str]) -> None:
    """LangFlow would run and give nothing."""
    with pytest.raises(InvalidFlowInput, match="'Gone-1' any more"):
        body_of("echo", "hi", **gone)


def test_the_session_is_the_runs_own_unless_the_input_names_one() -> None:
    analysis = analyze(definition("echo"))
    body = build_run_body(
        FlowInput(session_id="mine"),
        analysis,
        input_component=None,
        output_component=None,
        session_id="run-1",
    )
    assert body.session_id == "mine"


def test_a_repr_shows_neither_input_nor_tweaks() -> None:
    body = RunBody(session_id="s", input_value="canary", tweaks={"a": {"b": "canary"}})
    assert "canary" not in repr(body)
