"""Flows with several inputs and outputs: who chooses, and how long a choice lasts."""

import json
from typing import Any

import pytest
from sqlalchemy import func, select

from automagik.core.database.models import FlowRow
from automagik.core.database.session import Database
from automagik.core.exceptions import InvalidInput
from automagik.core.flows.exceptions import ComponentChoiceNeeded
from automagik.core.flows.manager import FlowManager
from automagik.core.flows.sync import FlowSync
from automagik.core.flows.sync_report import Change, Choice
from tests.core.flows.synced import recorded


@pytest.fixture
def first_flows() -> list[dict[str, Any]]:
    return [recorded("many_io")]


def test_choices_are_left_open_and_reported_when_nobody_can_be_asked(
    sync: FlowSync, flows: FlowManager
) -> None:
    [flow] = sync.sync().flows

    assert (flow.change, flow.input_component) == (Change.ADDED, None)
    assert [choice.role for choice in flow.choices] == ["input", "output"]
    assert "automagik flows sync" in flow.choices[0].hint
    assert "--input-component" in flow.choices[0].hint
    assert flows.list()[0].open_roles == ("input", "output")


def test_choices_are_made_by_options_and_kept(sync: FlowSync, flows: FlowManager) -> None:
    [flow] = sync.sync().flows
    wanted = {choice.role: choice.candidates[-1].id for choice in flow.choices}
    sync.sync(
        [flow.name],
        input_component=wanted["input"],
        output_component=wanted["output"],
    )
    [kept] = sync.sync().flows

    assert (kept.change, kept.choices) == (Change.UNCHANGED, ())
    assert (kept.input_component, kept.output_component) == (wanted["input"], wanted["output"])
    assert flows.list()[0].open_roles == ()


def test_choices_are_open_again_when_the_chosen_component_is_gone(
    sync: FlowSync, remote_flows: list[dict[str, Any]]
) -> None:
    name, data = remote_flows[0]["name"], remote_flows[0]["data"]
    first = sync.sync().flows[0].choices[0].candidates[0].id
    sync.sync([name], input_component=first)
    text = json.dumps(data).replace(first, "ChatInput-other")
    remote_flows[0]["data"] = json.loads(text)

    [flow] = sync.sync().flows
    assert flow.input_component is None
    assert flow.choices[0].role == "input"


def test_choices_are_asked_of_a_person_who_may_leave_them_open(sync: FlowSync) -> None:
    asked: list[Choice] = []

    def choose(choice: Choice) -> str | None:
        asked.append(choice)
        return choice.candidates[1].id if choice.role == "input" else None

    [flow] = sync.sync(choose=choose).flows

    assert [choice.role for choice in asked] == ["input", "output"]
    assert flow.input_component == asked[0].candidates[1].id
    assert [choice.role for choice in flow.choices] == ["output"]


def test_choices_of_what_is_no_candidate_are_refused(
    sync: FlowSync, remote_flows: list[dict[str, Any]], database: Database
) -> None:
    with pytest.raises(ComponentChoiceNeeded) as caught:
        sync.sync([remote_flows[0]["name"]], input_component="Prompt-x")
    assert len(caught.value.candidates) > 1
    with database.transaction() as connection:
        assert connection.scalar(select(func.count()).select_from(FlowRow)) == 0


@pytest.mark.parametrize("references", [(), ("a", "b")])
def test_choices_are_for_one_flow_at_a_time(references: tuple[str, ...], sync: FlowSync) -> None:
    with pytest.raises(InvalidInput, match="one flow at a time"):
        sync.sync(references, input_component="ChatInput-x")
