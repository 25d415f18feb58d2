"""Traces of real runs, as a receiver of OTLP gets them."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.trace import SpanKind

from automagik.core.config import Settings
from automagik.core.embedded.ports import free_port
from automagik.core.embedded.processes import ChildProcess
from automagik.core.flows.flow_input import FlowInput
from automagik.core.scheduler.after import AfterText
from automagik.core.scheduler.manager import SchedulerManager
from automagik.demo.server import DemoServer
from tests.system.conftest import Desk, desk_at
from tests.system.fleet import Fleet, fleet_of
from tests.system.otlp import Received, Receiver, receiving

pytestmark = pytest.mark.system

CALLER = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
API_KEY, SECRET = "sk-canary-4e8d1c7b9a2f", "canary-in-the-input"
ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT"
DROPPED = "Traces are dropped"
ENDED = "SELECT state IN ('completed', 'failed') FROM tasks WHERE id = :id"

# Numbers of the protocol.
INTERNAL, CLIENT, PRODUCER, CONSUMER = (
    kind.value + 1
    for kind in (SpanKind.INTERNAL, SpanKind.CLIENT, SpanKind.PRODUCER, SpanKind.CONSUMER)
)


@pytest.fixture(autouse=True)
def _no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("OTEL_")]:
        monkeypatch.delenv(name)
    monkeypatch.delenv("TRACEPARENT", raising=False)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as receiver:
        yield receiver


@pytest.fixture
def demo_server() -> Iterator[DemoServer]:
    with DemoServer(api_key=API_KEY) as server:
        yield server


def automagik(*words: str, **environment: str) -> Any:
    """What a command says, in JSON."""
    done = subprocess.run(
        [sys.executable, "-m", "automagik", *words, "-o", "json"],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return json.loads(done.stdout)


def drain(fleet: Fleet, *processes: ChildProcess) -> None:
    """They end as an operator ends them, and send what they have left."""
    for process in processes:
        assert process.pid is not None
        os.kill(process.pid, signal.SIGTERM)
    for process in processes:
        fleet.wait_until(
            lambda process=process: process.poll() is not None,  # type: ignore[misc]
            seconds=30,
            what=f"{process.name} ends",
        )


def of_task(receiver: Receiver, task_id: str) -> dict[str, list[Received]]:
    """The spans of its trace by their names, in the order of the attempts."""
    [trace] = {
        span.trace_id
        for span in receiver.spans
        if span.attributes.get("automagik.task.id") == task_id
    }
    found: dict[str, list[Received]] = {}
    for span in (span for span in receiver.spans if span.trace_id == trace):
        found.setdefault(span.name, []).append(span)
    for spans in found.values():
        spans.sort(key=lambda span: span.attributes.get("automagik.attempt", 0))
    return found


@pytest.mark.parametrize("pool", ["threads", "prefork"])
def test_each_attempt_is_a_span_of_the_caller_s_trace_and_its_call_a_child_of_it(
    pool: str, settings: Settings, receiver: Receiver, demo_server: DemoServer, tmp_path: Path
) -> None:
    with fleet_of(settings, tmp_path / "logs") as fleet:
        desk_at(fleet, settings, demo_server)
        fleet.beat()
        worker = fleet.worker("-P", pool, "-c", "2", **{ENDPOINT: receiver.url})
        fail = ("--tweak", "FlakyComponent-flaky.failures=1", "--max-retries", "1")
        asked = ("flows", "run", "Flaky", *fail, "--input", SECRET)
        task = automagik(*asked, TRACEPARENT=CALLER)
        fleet.wait_for(ENDED, id=task["id"], seconds=30)
        shown = automagik("tasks", "show", task["id"])
        drain(fleet, worker)

    assert shown["trace_id"] == CALLER.split("-")[1]
    assert (shown["state"], shown["attempt"]) == ("completed", 2)
    found = of_task(receiver, task["id"])
    first, second = found["run Flaky"]
    assert {first.parent_id, second.parent_id} == {CALLER.split("-")[2]}
    assert {first.kind, second.kind} == {CONSUMER}
    assert {first.trace_id, second.trace_id} == {shown["trace_id"]}
    _is_attempt(first, task["id"], "failed", "waiting")
    _is_attempt(second, task["id"], "completed", "completed")
    assert (first.attributes["error.type"], first.said) == ("AM-SRC-RUN",) * 2
    assert (first.is_error, second.is_error) == (True, False)
    assert "error.type" not in second.attributes
    assert first.resource["service.name"] == "automagik-worker"

    calls = {call.parent_id: call for call in found["POST /api/v1/run/{flow_id}"]}
    assert set(calls) == {first.span_id, second.span_id}
    assert {call.kind for call in calls.values()} == {CLIENT}
    assert calls[first.span_id].attributes["error.type"] == "AM-SRC-RUN"
    assert calls[second.span_id].attributes["http.response.status_code"] == 200
    told = [run.traceparent for run in demo_server.runs]
    assert told == [f"{calls[each.span_id].traceparent}-01" for each in (first, second)]
    _tell_no_secret(receiver)


def _is_attempt(span: Received, task_id: str, outcome: str, state: str) -> None:
    facts = {name: value for name, value in span.attributes.items() if "automagik" in name}
    assert facts.pop("automagik.wait_seconds") >= 0
    assert facts == {
        "automagik.task.id": task_id,
        "automagik.flow": "Flaky",
        "automagik.source": "demo",
        "automagik.attempt": 1 if outcome == "failed" else 2,
        "automagik.outcome": outcome,
        "automagik.state": state,
    }


def _tell_no_secret(receiver: Receiver) -> None:
    sent = b"".join(receiver.bodies)
    assert sent
    hidden = (API_KEY, SECRET, os.environ["AUTOMAGIK_SECRET_KEY"])
    assert [each for each in hidden if each.encode() in sent] == []


def test_a_run_of_a_schedule_has_a_trace_of_its_own_and_what_follows_it_a_link_to_it(
    settings: Settings, receiver: Receiver, demo_server: DemoServer, tmp_path: Path
) -> None:
    with fleet_of(settings, tmp_path / "logs") as fleet:
        desk = desk_at(fleet, settings, demo_server)
        first = desk.schedule("Echo", "one-shot", "now", name="first", text=SECRET)
        SchedulerManager(fleet.database, settings).create(
            desk.flow("Echo"),
            AfterText(reference="first"),
            run_input=FlowInput(input_value="then {{ output }}"),
            name="second",
        )
        # Neither is a caller's trace that of a schedule.
        on = {ENDPOINT: receiver.url, "TRACEPARENT": CALLER}
        processes = (fleet.beat(**on), fleet.worker(**on))
        fleet.wait_for("SELECT count(*) = 2 FROM tasks WHERE state = 'completed'", seconds=30)
        ids = [str(row.id) for row in fleet.rows("SELECT id FROM tasks ORDER BY id")]
        drain(fleet, *processes)

    parent, child = (of_task(receiver, task_id) for task_id in ids)
    for found, name in ((parent, "first"), (child, "second")):
        [created], [run] = found["create task"], found["run Echo"]
        assert (created.kind, created.parent_id) == (PRODUCER, "")
        assert created.resource["service.name"] == "automagik-beat"
        assert run.parent_id == created.span_id
        assert run.attributes["automagik.schedule"] == name
    assert parent["create task"][0].attributes["automagik.schedule.id"] == str(first.id)
    [origin], [linked] = parent["create task"], child["create task"]
    assert linked.links == ((origin.trace_id, origin.span_id),)
    assert len({origin.trace_id, linked.trace_id, CALLER.split("-")[1]}) == 3
    _tell_no_secret(receiver)


def test_a_run_without_a_trace_gets_one_from_the_worker_that_claims_it_first(
    fleet: Fleet, desk: Desk, receiver: Receiver
) -> None:
    fleet.beat()
    worker = fleet.worker(**{ENDPOINT: receiver.url, "OTEL_SERVICE_NAME": "mine"})
    task = desk.run("Echo", SECRET)
    fleet.wait_for(ENDED, id=task.id)
    stored = fleet.value("SELECT traceparent FROM tasks")
    drain(fleet, worker)

    found = of_task(receiver, str(task.id))
    [root], [run] = found["claim task"], found["run Echo"]
    assert (root.kind, root.parent_id) == (INTERNAL, "")
    assert stored.startswith(root.traceparent)
    assert run.parent_id == root.span_id
    assert run.resource["service.name"] == "mine"


def test_runs_go_on_and_end_at_once_when_nobody_takes_the_traces(fleet: Fleet, desk: Desk) -> None:
    nowhere = {ENDPOINT: f"http://127.0.0.1:{free_port()}", "OTEL_BSP_SCHEDULE_DELAY": "50"}
    # So long, in seconds, each batch is tried.
    nowhere["OTEL_EXPORTER_OTLP_TIMEOUT"] = "0.2"
    processes = (fleet.beat(**nowhere), fleet.worker(**nowhere))
    desk.schedule("Echo", "one-shot", "now", name="once")
    tasks = [desk.run("Echo", str(number)) for number in range(20)]
    fleet.wait_for("SELECT count(*) = 21 FROM tasks WHERE state = 'completed'")
    fleet.wait_until(
        lambda: all(DROPPED in process.log_path.read_text() for process in processes),
        seconds=20,
        what="both say that traces are dropped",
    )
    later = desk.run("Echo")
    fleet.wait_for(ENDED, id=later.id)
    drain(fleet, *processes)

    assert fleet.value("SELECT max(attempt) FROM tasks WHERE id = :id", id=tasks[-1].id) == 1
    for process in processes:
        said = process.log_path.read_text()
        assert "Traceback" not in said, said
        assert "Connection refused" not in said, said
        assert said.count(DROPPED) == 1, said
        assert process.poll() == 0


def test_without_traces_of_its_own_a_worker_hands_the_caller_s_on(
    fleet: Fleet, desk: Desk, demo_server: DemoServer
) -> None:
    fleet.beat()
    fleet.worker()
    task = automagik("flows", "run", "Echo", TRACEPARENT=CALLER)
    fleet.wait_for(ENDED, id=task["id"])
    other = desk.run("Echo")
    fleet.wait_for(ENDED, id=other.id)

    assert [run.traceparent for run in demo_server.runs] == [CALLER, None]
    assert fleet.value("SELECT traceparent FROM tasks WHERE id = :id", id=other.id) is None
