"""FlowManager: which flow is meant, what may run, and what goes when a flow is deleted."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import func, select, update

from automagik.core.config import Settings
from automagik.core.database.models import (
    FlowComponentRow,
    FlowRow,
    FlowVersionRow,
    ScheduleRow,
    TaskLogRow,
    TaskRow,
)
from automagik.core.database.session import WAKE, Database
from automagik.core.exceptions import Conflict, InvalidInput, NotFound
from automagik.core.flows.exceptions import ComponentChoiceNeeded, InvalidFlowInput
from automagik.core.flows.flow_input import FlowInput
from automagik.core.flows.manager import FlowManager
from automagik.core.flows.problems import ProblemCode
from automagik.core.flows.sync import FlowSync
from automagik.core.flows.values import Flow, FlowChange, FlowOption
from automagik.core.tasks.states import TaskState
from automagik.demo.server import DemoServer
from tests.core.flows.synced import add_schedule, add_source, add_task, built_in, recorded


@pytest.fixture
def flows(database: Database, settings: Settings) -> FlowManager:
    """Four flows that are synced from a server which is down since."""
    there = [built_in("Echo"), built_in("Failing"), recorded("many_io"), recorded("no_output")]
    with DemoServer(flows=there) as server:
        add_source(database, settings, server)
        FlowSync(database, settings).sync()
    return FlowManager(database, settings)


def count(database: Database, row: Any) -> int:
    with database.transaction() as connection:
        return connection.scalar(select(func.count()).select_from(row)) or 0


def test_flows_are_listed_by_name_with_their_source_and_schedules(
    flows: FlowManager, database: Database
) -> None:
    add_schedule(database, flows.get("Echo"))
    listed = flows.list()

    assert [flow.name for flow in listed] == sorted((f.name for f in listed), key=str.lower)
    assert {flow.source_name for flow in listed} == {"demo"}
    assert {flow.name: flow.schedules for flow in listed}["Echo"] == 1


@pytest.mark.parametrize("given", ["Echo", " echo ", "ECHO", "demo/Echo", "DEMO/echo"])
def test_a_flow_is_meant_by_its_name_or_endpoint_name(given: str, flows: FlowManager) -> None:
    assert flows.get(given).name == "Echo"


def test_a_flow_is_meant_by_either_id_and_by_the_beginning_of_ours(flows: FlowManager) -> None:
    echo = flows.get("Echo")

    for given in (echo.remote_id, echo.remote_id.upper(), str(echo.id), echo.id.hex):
        assert flows.get(given) == echo
    # All ids of one moment begin alike.
    assert flows.get(str(echo.id)[:-2]) == echo


def test_an_unknown_flow_is_answered_with_the_nearest_name(flows: FlowManager) -> None:
    with pytest.raises(NotFound) as caught:
        flows.get("Ehco")
    assert "'Echo'" in str(caught.value.hint)


def test_a_flow_that_is_gone_is_meant_only_when_no_other_is(
    flows: FlowManager, database: Database
) -> None:
    echo = flows.get("Echo")
    with database.transaction() as connection:
        connection.execute(
            update(FlowRow).where(FlowRow.name == "Failing").values(name="Echo", gone_at=func.now())
        )
    assert flows.get("Echo") == echo

    with database.transaction() as connection:
        connection.execute(update(FlowRow).where(FlowRow.id == echo.id).values(name="Other"))
    assert flows.get("Echo").gone_at


def test_the_analysis_is_that_of_the_synced_version(flows: FlowManager) -> None:
    analysis = flows.analysis(flows.get("Echo"))
    problems = flows.analysis(flows.get(recorded("no_output")["name"])).problems

    assert [component.id for component in analysis.components] == [
        "ChatInput-echo",
        "ChatOutput-echo",
    ]
    assert ProblemCode.NO_OUTPUT in {problem.code for problem in problems}


def test_tweaks_are_checked_and_get_component_ids(flows: FlowManager) -> None:
    given = FlowInput(input_value="hello", tweaks={"Fail": {"kind": "KeyError"}}, session_id="mine")
    checked = flows.validate_input(flows.get("Failing"), given)

    assert checked.tweaks == {"FailComponent-fail": {"kind": "KeyError"}}
    assert (checked.input_value, checked.session_id) == ("hello", "mine")


@pytest.mark.parametrize(
    "tweaks", [{"Nobody": {"kind": "x"}}, {"Fail": {"nothing": "x"}}, {"Fail": {"message": {}}}]
)
def test_tweaks_that_langflow_would_ignore_are_refused(
    tweaks: dict[str, dict[str, Any]], flows: FlowManager
) -> None:
    with pytest.raises(InvalidFlowInput):
        flows.validate_input(flows.get("Failing"), FlowInput(tweaks=tweaks))


def test_an_input_that_nobody_takes_is_refused(flows: FlowManager) -> None:
    without_input = replace(flows.get("Echo"), input_component=None)

    with pytest.raises(InvalidFlowInput, match="no input component"):
        flows.validate_input(without_input, FlowInput(input_value="lost"))


def test_a_flow_without_output_can_run(flows: FlowManager) -> None:
    flow = flows.get(recorded("no_output")["name"])

    assert flows.validate_input(flow, FlowInput(input_value="x")).input_value == "x"


def test_a_flow_with_an_open_choice_cannot_run(flows: FlowManager) -> None:
    flow = flows.get(recorded("many_io")["name"])

    with pytest.raises(ComponentChoiceNeeded) as caught:
        flows.validate_input(flow, FlowInput(input_value="x"))
    assert "automagik flows sync" in str(caught.value.hint)
    assert len(caught.value.candidates) > 1


def test_a_flow_that_is_gone_cannot_run(flows: FlowManager) -> None:
    gone = replace(flows.get("Echo"), gone_at=datetime.now(UTC))

    with pytest.raises(Conflict, match="not on the source"):
        flows.validate_input(gone, FlowInput())


def test_what_counts_for_its_runs_is_changed_one_by_one_and_left_open_again(
    flows: FlowManager,
) -> None:
    given = FlowChange(
        max_retries=0,
        timeout=timedelta(seconds=90),
        max_parallel_runs=2,
        priority=-5,
        queue="gpu",
        at_most_once=True,
    )
    before = flows.get("Echo")
    full = flows.update(before, given)
    less = flows.update(full, FlowChange(priority=4, unset=[FlowOption.QUEUE]))
    none = flows.update(less, FlowChange(at_most_once=False, unset=list(FlowOption)))

    assert _options(full) == (0, timedelta(seconds=90), 2, -5, "gpu", True)
    assert _options(less) == (0, timedelta(seconds=90), 2, 4, None, True)
    assert _options(none) == _options(before) == (None, None, None, None, None, False)
    assert before.updated_at < full.updated_at < less.updated_at
    assert flows.get("Echo") == none


def test_a_sync_leaves_what_a_person_has_set(database: Database, settings: Settings) -> None:
    flows = FlowManager(database, settings)
    there = [built_in("Echo")]
    with DemoServer(flows=there) as server:
        add_source(database, settings, server)
        FlowSync(database, settings).sync()
        changed = flows.update(flows.get("Echo"), FlowChange(queue="gpu", at_most_once=True))
        there[0]["description"] = "newer"
        FlowSync(database, settings).sync()

    assert flows.get("Echo").description == "newer"
    assert _options(flows.get("Echo")) == _options(changed)


def test_a_changed_flow_wakes_the_beats(flows: FlowManager, database: Database) -> None:
    echo = flows.get("Echo")
    with database.listen(WAKE) as listener:
        flows.update(echo, FlowChange(max_parallel_runs=9))

        assert listener.wait(timedelta(seconds=30)) == [""]


def test_changes_that_cannot_be_are_refused_and_nothing_is_changed(flows: FlowManager) -> None:
    echo = flows.get("Echo")
    for wrong, said in (
        (FlowChange(priority=1001), "-1000 to 1000"),
        (FlowChange(priority=1, queue="a b"), "queue"),
        (FlowChange(queue="gpu", unset=[FlowOption.QUEUE]), "queue is given and unset"),
        (FlowChange(max_parallel_runs=1, unset=[FlowOption.MAX_PARALLEL]), "max-parallel is given"),
    ):
        with pytest.raises(InvalidInput) as refusal:
            flows.update(echo, wrong)
        assert said in f"{refusal.value.message} {refusal.value.hint}"
    assert flows.get("Echo") == echo


def test_a_flow_that_was_deleted_meanwhile_is_not_changed(flows: FlowManager) -> None:
    echo = flows.get("Echo")
    flows.delete(echo)

    with pytest.raises(NotFound):
        flows.update(echo, FlowChange(priority=1))


def test_a_flow_is_deleted_with_all_that_hangs_on_it(
    flows: FlowManager, database: Database
) -> None:
    echo = flows.get("Echo")
    add_schedule(database, echo)
    for state in (TaskState.PENDING, TaskState.COMPLETED):
        add_task(database, echo, state=state)
    baggage = flows.weigh(echo)
    flows.delete(echo)

    assert (baggage.schedules, baggage.tasks, baggage.running, baggage.log_lines) == (1, 2, 0, 2)
    assert [count(database, row) for row in (ScheduleRow, TaskRow, TaskLogRow)] == [0, 0, 0]
    assert [count(database, row) for row in (FlowRow, FlowVersionRow)] == [3, 3]
    assert echo.version_id not in _versions_with_components(database)
    with pytest.raises(NotFound):
        flows.get(str(echo.id))


def test_a_flow_is_not_deleted_under_a_running_task(flows: FlowManager, database: Database) -> None:
    echo = flows.get("Echo")
    add_task(database, echo)
    running = add_task(database, echo, state=TaskState.RUNNING)

    with pytest.raises(Conflict, match=str(running)) as caught:
        flows.delete(echo)
    assert caught.value.hint == f"Wait for it, or cancel it with: automagik tasks cancel {running}"
    assert count(database, TaskRow) == 2


def _options(flow: Flow) -> tuple[object, ...]:
    return (
        flow.max_retries,
        flow.timeout,
        flow.max_parallel_runs,
        flow.priority,
        flow.queue,
        flow.at_most_once,
    )


def _versions_with_components(database: Database) -> set[Any]:
    with database.transaction() as connection:
        return set(connection.scalars(select(FlowComponentRow.version_id)))
