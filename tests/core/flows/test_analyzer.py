"""What a definition means for a run. Every definition can be analyzed, however odd."""

import copy
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from automagik.core.flows.analyzer import FlowAnalysis, analyze, pick_component
from automagik.core.flows.definition import content_hash
from automagik.core.flows.exceptions import ComponentChoiceNeeded
from automagik.core.flows.problems import ProblemCode
from tests.core.flows.recorded import FLOWS, VERSIONS, definition, flow_files

INPUTS_AND_OUTPUTS = {
    "echo": (["ChatInput-echo1"], ["ChatOutput-echo1"]),
    "text_only": (["TextInput-only1"], ["TextOutput-only1"]),
    "webhook": (["Webhook-hook1"], ["ChatOutput-hook1"]),
    "no_output": (["ChatInput-noout"], []),
    "many_io": (
        ["ChatInput-many1", "TextInput-topic", "TextInput-style"],
        ["ChatOutput-answer", "ChatOutput-stats", "TextOutput-raw"],
    ),
    "starters/seo_keyword_generator": ([], ["ChatOutput-XXeY0"]),
    "starters/text_sentiment_analysis": ([], ["ChatOutput-DVXkn", "ChatOutput-h5fAd"]),
    "starters/simple_agent": (["ChatInput-tKQ4d"], ["ChatOutput-KxTA8"]),
}


def codes(analysis: FlowAnalysis) -> set[ProblemCode]:
    return {problem.code for problem in analysis.problems}


@pytest.mark.parametrize("path", flow_files(), ids=lambda path: str(path.relative_to(FLOWS)))
def test_every_real_flow_is_understood(path: Path) -> None:
    """All nodes but notes are components, and every edge leads from one to a field of another."""
    data = json.loads(path.read_text())["data"]
    analysis = analyze(data)
    notes = sum(node["type"] == "noteNode" for node in data["nodes"])
    assert len(analysis.components) == len(data["nodes"]) - notes
    assert len(analysis.edges) == len(data["edges"])
    for edge in analysis.edges:
        target = analysis.component(edge.target)
        assert analysis.component(edge.source) is not None
        assert target is not None
        assert edge.field is not None
        parameter = target.parameter(edge.field)
        assert parameter is None or parameter.fed_by is not None
    assert ProblemCode.INLINED_SECRET not in codes(analysis)
    assert all("code" in c.protected for c in analysis.components if c.protected)


@pytest.mark.parametrize("name", INPUTS_AND_OUTPUTS)
def test_inputs_and_outputs_are_found(name: str) -> None:
    analysis = analyze(definition(name))
    found = [c.id for c in analysis.inputs], [c.id for c in analysis.outputs]
    assert found == INPUTS_AND_OUTPUTS[name]


@pytest.mark.parametrize("version", VERSIONS[:-1])
@pytest.mark.parametrize("name", ["echo", "many_io", "webhook"])
def test_old_versions_name_the_same_inputs_and_outputs(version: str, name: str) -> None:
    old, new = analyze(definition(f"versions/{version}/{name}")), analyze(definition(name))
    assert [c.id for c in old.inputs + old.outputs] == [c.id for c in new.inputs + new.outputs]


def test_a_flag_makes_any_component_an_input_or_an_output() -> None:
    node = {"id": "Mine-1", "data": {"type": "Mine", "node": {"is_input": True, "is_output": True}}}
    component = analyze({"nodes": [node]}).components[0]
    assert (component.is_input, component.is_output) == (True, True)


def test_parameters_have_what_a_person_needs_to_tweak_them() -> None:
    seconds = analyze(definition("slow")).components[1].parameter("seconds")
    assert seconds is not None
    assert (seconds.type, seconds.has_value, seconds.fed_by) == ("float", True, None)


def test_code_is_no_parameter() -> None:
    sleep = analyze(definition("slow")).components[1]
    assert sleep.parameter("code") is None
    assert sleep.protected == ("code",)


def test_the_older_form_of_an_edge_is_read_as_well() -> None:
    data = definition("echo")
    for edge in data["edges"]:
        del edge["data"]
    assert analyze(data).edges == analyze(definition("echo")).edges


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("no_output", ProblemCode.NO_OUTPUT),
        ("starters/seo_keyword_generator", ProblemCode.NO_INPUT),
        ("many_io", ProblemCode.SEVERAL_INPUTS),
        ("many_io", ProblemCode.SEVERAL_OUTPUTS),
        ("extra/native_schedule", ProblemCode.NATIVE_SCHEDULE),
    ],
)
def test_problems_of_real_flows_are_found(name: str, code: ProblemCode) -> None:
    assert code in codes(analyze(definition(name)))


@pytest.mark.parametrize("name", ["echo", "slow", "text_only", "webhook", "prompt_template"])
def test_flows_without_problems_have_none(name: str) -> None:
    assert analyze(definition(name)).problems == ()


@pytest.mark.parametrize("data", [None, {}, {"nodes": []}, {"nodes": "x", "edges": 3}])
def test_an_empty_flow_is_a_problem_and_no_error(data: Any) -> None:
    assert codes(analyze(data)) == {ProblemCode.NO_DATA}


def with_field(**spec: Any) -> dict[str, Any]:
    template = {"api_key": {"type": "str", "show": True, "value": "", **spec}}
    node = {"template": template, "display_name": "Model"}
    return {"nodes": [{"id": "Model-1", "data": {"type": "Model", "node": node}}]}


@pytest.mark.parametrize("mark", [{"password": True}, {"_input_type": "SecretStrInput"}])
def test_a_secret_in_the_flow_is_a_problem_that_does_not_repeat_it(mark: dict[str, Any]) -> None:
    analysis = analyze(with_field(value="canary", **mark))
    assert ProblemCode.INLINED_SECRET in codes(analysis)
    assert "canary" not in repr(analysis)
    variable = analyze(with_field(value="OPENAI_API_KEY", load_from_db=True, **mark))
    assert ProblemCode.INLINED_SECRET not in codes(variable)


def test_a_required_field_without_a_value_is_a_problem_unless_an_edge_feeds_it() -> None:
    data = with_field(required=True)
    assert ProblemCode.MISSING_REQUIRED in codes(analyze(data))
    fed = data | {
        "edges": [
            {
                "source": "Other-1",
                "target": "Model-1",
                "data": {"targetHandle": {"fieldName": "api_key"}},
            }
        ]
    }
    assert ProblemCode.MISSING_REQUIRED not in codes(analyze(fed))
    assert ProblemCode.MISSING_REQUIRED not in codes(analyze(with_field(required=True, show=False)))


JSON = st.recursive(
    st.none() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["id", "data", "node", "type", "template", "source", "target", "value"]
            ),
            inner,
            max_size=5,
        )
    ),
)


@given(nodes=JSON, edges=JSON)
def test_no_definition_is_an_error(nodes: Any, edges: Any) -> None:
    data = {"nodes": nodes, "edges": edges}
    assert isinstance(analyze(data), FlowAnalysis)
    assert len(content_hash(data)) == 64


def test_the_only_candidate_is_picked_and_none_is_an_answer() -> None:
    analysis = analyze(definition("no_output"))
    assert pick_component(analysis.inputs, None) == "ChatInput-noout"
    assert pick_component(analysis.outputs, None, role="output") is None


@pytest.mark.parametrize("chosen", ["TextOutput-raw", "Raw Prompt", "raw prompt", "TextOutput"])
def test_a_candidate_is_picked_by_id_name_or_type(chosen: str) -> None:
    outputs = analyze(definition("many_io")).outputs
    assert pick_component(outputs, chosen, role="output") == "TextOutput-raw"


@pytest.mark.parametrize("chosen", [None, "ChatOutput", "Nope"])
def test_what_is_not_one_candidate_needs_a_choice(chosen: str | None) -> None:
    outputs = analyze(definition("many_io")).outputs
    with pytest.raises(ComponentChoiceNeeded, match=r"ChatOutput-answer \(Answer\)") as caught:
        pick_component(outputs, chosen, role="output")
    assert caught.value.role == "output"
    assert "ChatOutput-stats" in caught.value.candidates
    assert "--output-component" in str(caught.value.hint)


def test_moving_nodes_about_does_not_change_the_hash() -> None:
    data = definition("many_io")
    moved = copy.deepcopy(data)
    moved["viewport"] = {"x": 9, "y": 9, "zoom": 2}
    for node in moved["nodes"]:
        node |= {"position": {"x": 1, "y": 2}, "positionAbsolute": {}, "dragging": True}
        node |= {"selected": True, "measured": {}, "width": 5, "height": 6}
    for edge in moved["edges"]:
        edge["selected"] = True
    assert content_hash(moved) == content_hash(data)
    assert content_hash(dict(reversed(data.items()))) == content_hash(data)


def test_whatever_a_run_depends_on_changes_the_hash() -> None:
    """Also a field of a component that happens to be called like a place in the editor."""
    data = definition("slow")
    hashes = {content_hash(data), content_hash(None)}
    template = data["nodes"][1]["data"]["node"]["template"]
    template["seconds"]["value"] = 3
    hashes.add(content_hash(data))
    template["width"] = {"type": "int", "value": 1}
    hashes.add(content_hash(data))
    data["edges"].pop()
    hashes.add(content_hash(data))
    assert len(hashes) == 5
