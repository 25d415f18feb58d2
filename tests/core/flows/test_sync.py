"""FlowSync: what is stored of flows, what a sync says about them, and that no history is lost."""

import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from sqlalchemy import func, select

from automagik.core.config import Settings
from automagik.core.database.models import FlowComponentRow, FlowRow, FlowVersionRow
from automagik.core.database.session import Database
from automagik.core.exceptions import Ambiguous, NotFound
from automagik.core.flows.exceptions import (
    RemoteError,
    SourceUnreachable,
)
from automagik.core.flows.manager import FlowManager
from automagik.core.flows.sync import FlowSync
from automagik.core.flows.sync_report import Change, SyncReport
from automagik.demo.faults import Fault, answer
from automagik.demo.server import DemoServer
from tests.core.flows.synced import add_source, add_task, built_in, node, recorded

ECHO = built_in("Echo")


def changes(report: SyncReport) -> dict[str, str]:
    return {flow.name: flow.change.value for flow in report.flows}


def count(database: Database, row: Any) -> int:
    with database.transaction() as connection:
        return connection.scalar(select(func.count()).select_from(row)) or 0


def test_a_flow_with_one_input_and_one_output_is_ready(sync: FlowSync, flows: FlowManager) -> None:
    assert changes(sync.sync()) == {"Echo": "added", "Failing": "added"}

    echo = flows.get("Echo")
    assert (echo.input_component, echo.output_component) == ("ChatInput-echo", "ChatOutput-echo")
    assert (echo.version_number, echo.source_name, echo.endpoint_name) == (1, "demo", "echo")
    assert echo.open_roles == ()


def test_a_second_sync_changes_nothing(
    sync: FlowSync, flows: FlowManager, database: Database
) -> None:
    sync.sync()
    before = flows.get("Echo")
    report = sync.sync()
    after = flows.get("Echo")

    assert changes(report) == {"Echo": "unchanged", "Failing": "unchanged"}
    assert after.synced_at > before.synced_at
    assert after.updated_at == before.updated_at
    assert count(database, FlowVersionRow) == 2


def test_a_definition_is_stored_once_also_when_an_old_one_comes_back(
    sync: FlowSync, flows: FlowManager, remote_flows: list[dict[str, Any]], database: Database
) -> None:
    def synced() -> tuple[str, tuple[str, ...], int]:
        [flow] = sync.sync(["Failing"]).flows
        return flow.change.value, flow.what, flows.get("Failing").version_number

    message = node(remote_flows[1], "FailComponent")["data"]["node"]["template"]["message"]
    first = synced()
    message["value"] = "another text"
    second = synced()
    message["value"] = "deliberate failure"
    third = synced()

    assert first == ("added", (), 1)
    assert second == ("updated", ("definition",), 2)
    assert third == ("updated", ("definition",), 1)
    assert count(database, FlowVersionRow) == 2


def test_moving_a_node_is_no_change(sync: FlowSync, remote_flows: list[dict[str, Any]]) -> None:
    sync.sync(["Echo"])
    node(remote_flows[0], "ChatInput")["position"] = {"x": 1, "y": 2}

    assert changes(sync.sync(["Echo"])) == {"Echo": "unchanged"}


def test_components_belong_to_the_version_that_has_them(
    sync: FlowSync, flows: FlowManager, remote_flows: list[dict[str, Any]], database: Database
) -> None:
    sync.sync(["Failing"])
    first = flows.get("Failing").version_id
    data = remote_flows[1]["data"]
    data["nodes"] = [n for n in data["nodes"] if n["data"]["type"] != "FailComponent"]
    data["edges"] = []
    sync.sync(["Failing"])
    second = flows.get("Failing").version_id

    query = select(func.count()).select_from(FlowComponentRow)
    with database.transaction() as connection:
        numbers = [
            connection.scalar(query.where(FlowComponentRow.version_id == version))
            for version in (first, second)
        ]
    assert numbers == [3, 2]


def test_what_changed_is_said(sync: FlowSync, remote_flows: list[dict[str, Any]]) -> None:
    sync.sync(["Echo"])
    remote_flows[0] |= {"name": "Greeter", "description": "Greets.", "endpoint_name": None}

    [flow] = sync.sync(["Echo"]).flows
    assert (flow.name, flow.change) == ("Greeter", Change.UPDATED)
    assert flow.what == ("name", "description", "endpoint name")


def test_a_flow_that_went_away_is_marked_with_its_history_and_may_come_back(
    sync: FlowSync, flows: FlowManager, remote_flows: list[dict[str, Any]], database: Database
) -> None:
    sync.sync()
    echo = flows.get("Echo")
    add_task(database, echo)
    remote_flows.pop(0)

    assert changes(sync.sync()) == {"Echo": "gone", "Failing": "unchanged"}
    assert flows.get("Echo").gone_at
    assert flows.weigh(echo).tasks == 1
    assert changes(sync.sync()) == {"Failing": "unchanged"}

    remote_flows.append(built_in("Echo"))
    [back] = [flow for flow in sync.sync().flows if flow.name == "Echo"]
    assert (back.change, back.what, back.flow_id) == (Change.UPDATED, ("back again",), echo.id)
    assert flows.get("Echo").gone_at is None


def test_only_a_full_sync_finds_that_a_flow_is_gone(
    sync: FlowSync, flows: FlowManager, remote_flows: list[dict[str, Any]]
) -> None:
    sync.sync()
    remote_flows.pop(0)
    sync.sync(["Failing"])

    assert flows.get("Echo").gone_at is None


def test_a_flow_that_cannot_be_fetched_is_noted_and_stays(
    sync: FlowSync, flows: FlowManager, faults: dict[str, Fault]
) -> None:
    sync.sync()
    faults[f"/api/v1/flows/{ECHO['id']}"] = answer(500, '{"detail": "broken"}')
    report = sync.sync()

    assert changes(report) == {"Echo": "failed", "Failing": "unchanged"}
    assert isinstance(report.errors[0], RemoteError)
    assert flows.get("Echo").gone_at is None


def test_a_source_that_does_not_answer_marks_nothing(
    sync: FlowSync, flows: FlowManager, server: DemoServer
) -> None:
    sync.sync()
    server.stop()

    with pytest.raises(SourceUnreachable):
        sync.sync()
    assert flows.get("Echo").gone_at is None


def test_of_several_sources_one_may_fail(
    sync: FlowSync, server: DemoServer, database: Database, settings: Settings
) -> None:
    with DemoServer(flows=[built_in("Slow")]) as second:
        add_source(database, settings, second, "second")
        server.stop()
        report = sync.sync()

    assert changes(report) == {"Slow": "added"}
    assert [failure.source_name for failure in report.failures] == ["demo"]


@pytest.mark.parametrize(
    "reference", ["Echo", "echo", "ECHO", ECHO["id"], "demo/Echo", "Demo/echo"]
)
def test_a_flow_is_named_by_name_endpoint_name_or_id(reference: str, sync: FlowSync) -> None:
    assert changes(sync.sync([reference])) == {"Echo": "added"}


def test_a_flow_is_named_by_our_id_and_by_its_old_name(
    sync: FlowSync, flows: FlowManager, remote_flows: list[dict[str, Any]]
) -> None:
    sync.sync(["Echo"])
    remote_flows[0] |= {"name": "Greeter", "endpoint_name": "greeter"}

    assert changes(sync.sync([str(flows.get("Echo").id)])) == {"Greeter": "updated"}


def test_an_unknown_name_stores_nothing(sync: FlowSync, database: Database) -> None:
    with pytest.raises(NotFound) as caught:
        sync.sync(["Echo", "Falling"])

    assert caught.value.hint == "Did you mean 'Failing'?"
    assert count(database, FlowRow) == 0


def test_a_name_on_two_sources_needs_its_source(
    sync: FlowSync, flows: FlowManager, database: Database, settings: Settings
) -> None:
    with DemoServer() as second:
        other = add_source(database, settings, second, "second")
        with pytest.raises(Ambiguous, match=r"demo/Echo .*second/Echo"):
            sync.sync(["Echo"])
        sync.sync(["second/Echo"])
        sync.sync(["Echo"], source="demo")

    with pytest.raises(Ambiguous, match=r"demo/Echo .*second/Echo"):
        flows.get("Echo")
    assert flows.get("second/echo") == flows.get("Echo", source=other)


def test_without_a_source_there_is_nothing_to_sync(database: Database, settings: Settings) -> None:
    with pytest.raises(NotFound, match="no source") as caught:
        FlowSync(database, settings).sync()
    assert "automagik sources add" in str(caught.value.hint)


def test_a_flow_without_output_is_synced_with_a_warning(
    sync: FlowSync, flows: FlowManager, remote_flows: list[dict[str, Any]]
) -> None:
    remote_flows[:] = [recorded("no_output")]
    [flow] = sync.sync().flows

    assert flow.output_component is None
    assert any("no output component" in warning for warning in flow.warnings)
    assert flows.list()[0].open_roles == ()


def test_a_flow_that_langflow_schedules_itself_is_warned_of(
    sync: FlowSync, remote_flows: list[dict[str, Any]]
) -> None:
    trigger = json.loads(json.dumps(node(remote_flows[0], "ChatInput")))
    trigger["id"] = trigger["data"]["id"] = "ScheduleTrigger-1"
    trigger["data"]["type"] = "ScheduleTrigger"
    remote_flows[0]["data"]["nodes"].append(trigger)

    [flow] = sync.sync(["Echo"]).flows
    assert any("twice" in warning for warning in flow.warnings)


def test_an_empty_flow_and_odd_characters_can_be_stored(
    sync: FlowSync, flows: FlowManager, remote_flows: list[dict[str, Any]]
) -> None:
    remote_flows[0]["data"] = None
    node(remote_flows[1], "ChatInput")["data"]["node"]["display_name"] = "a\0b"
    report = sync.sync()

    assert changes(report) == {"Echo": "added", "Failing": "added"}
    assert flows.analysis(flows.get("Echo")).components == ()


def test_two_syncs_at_once_agree(sync: FlowSync, database: Database, settings: Settings) -> None:
    syncs = [FlowSync(database, settings) for _ in range(4)]
    with ThreadPoolExecutor(4) as threads:
        reports = list(threads.map(lambda each: each.sync(), syncs))

    assert sum(report.count(Change.ADDED) for report in reports) == 2
    assert (count(database, FlowRow), count(database, FlowVersionRow)) == (2, 2)


def test_progress_is_told_flow_by_flow(sync: FlowSync) -> None:
    told: list[str] = []
    sync.sync(on_flow=lambda flow: told.append(flow.name))

    assert told == ["Echo", "Failing"]
