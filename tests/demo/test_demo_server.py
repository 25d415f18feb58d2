"""The demo server as a stand-in: what it adds to the contract with LangFlow."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import active_count
from typing import Any

import pytest
import requests

from automagik.demo import faults
from automagik.demo.faults import Fault
from automagik.demo.flows import built_in_flows, load_flows, merged
from automagik.demo.journal import RunRecord
from automagik.demo.server import DemoServer

DATA = Path(__file__).parents[1] / "data" / "langflow" / "flows"


class Client:
    """Requests to one demo server."""

    def __init__(self, url: str, api_key: str) -> None:
        self.url = url
        self.session = requests.Session()
        self.session.headers["x-api-key"] = api_key

    def get(self, path: str) -> Any:
        return self.session.get(self.url + path, timeout=10).json()

    def run(self, flow: str, *, stream: bool = False, **body: Any) -> requests.Response:
        return self.session.post(
            f"{self.url}/api/v1/run/{flow}",
            params={"stream": str(stream).lower()},
            json=body,
            stream=stream,
            timeout=10,
        )

    def close(self) -> None:
        self.session.close()


@pytest.fixture
def faulty() -> dict[str, Fault]:
    """The faults of the server; tests fill it."""
    return {}


@pytest.fixture
def server(faulty: dict[str, Fault]) -> Iterator[DemoServer]:
    with DemoServer(faults=faulty) as server:
        yield server


@pytest.fixture
def client(server: DemoServer) -> Iterator[Client]:
    client = Client(server.url, server.api_key)
    yield client
    client.close()


def text(answer: requests.Response) -> Any:
    return answer.json()["outputs"][0]["outputs"][0]["outputs"]["message"]["message"]


def outcomes(runs: list[RunRecord]) -> list[str]:
    return [run.outcome for run in runs]


def test_the_built_in_flows_are_listed_under_their_endpoint_names(client: Client) -> None:
    flows = client.get("/api/v1/flows/?header_flows=true")
    assert [flow["endpoint_name"] for flow in flows] == ["echo", "slow", "failing", "flaky"]


def test_flaky_answers_on_the_third_attempt_of_each_session(client: Client) -> None:
    for session in ("one", "two"):
        answers = [client.run("flaky", input_value="x", session_id=session) for _ in range(3)]
        assert [answer.status_code for answer in answers] == [500, 500, 200]
        assert text(answers[-1]) == "succeeded on attempt 3: x"


def test_parallel_runs_do_not_mix(server: DemoServer) -> None:
    def echo(number: int) -> Any:
        client = Client(server.url, server.api_key)
        try:
            return text(client.run("echo", input_value=f"run {number}"))
        finally:
            client.close()

    with ThreadPoolExecutor(50) as pool:
        answers = list(pool.map(echo, range(200)))
    assert answers == [f"run {number}" for number in range(200)]
    assert outcomes(server.runs) == ["completed"] * 200


def test_closing_the_connection_of_a_stream_aborts_its_run(
    server: DemoServer, client: Client
) -> None:
    tweaks = {"Sleep": {"seconds": 60}}
    with client.run("slow", stream=True, input_value="x", tweaks=tweaks) as answer:
        next(answer.iter_lines())
        assert outcomes(server.runs) == ["running"]
    client.close()
    server.wait_for_runs(lambda runs: outcomes(runs) == ["aborted"], seconds=1)
    assert server.runs[0].streamed


def test_a_plain_run_goes_on_without_its_client(server: DemoServer, client: Client) -> None:
    with pytest.raises(requests.ReadTimeout):
        client.session.post(
            f"{server.url}/api/v1/run/slow",
            json={"tweaks": {"Sleep": {"seconds": 0.5}}},
            timeout=0.1,
        )
    assert outcomes(server.runs) == ["running"]
    server.wait_for_runs(lambda runs: outcomes(runs) == ["completed"])


def test_stopping_the_server_ends_its_runs_and_its_threads() -> None:
    before = active_count()
    with DemoServer() as server, ThreadPoolExecutor(1) as pool:
        client = Client(server.url, server.api_key)
        run = pool.submit(client.run, "slow", tweaks={"Sleep": {"seconds": 60}})
        server.wait_for_runs(lambda runs: outcomes(runs) == ["running"])
        server.stop()
        assert isinstance(run.exception(timeout=5), requests.ConnectionError)
        client.close()
    assert outcomes(server.runs) == ["aborted"]
    assert active_count() == before


def test_the_journal_can_be_read_over_http(client: Client) -> None:
    client.run("failing", input_value="x", session_id="s")
    [run] = client.get("/demo/runs")
    assert run | {"started": ""} == {
        "flow": "failing",
        "session_id": "s",
        "input_value": "x",
        "streamed": False,
        "idempotency_key": None,
        "traceparent": None,
        "started": "",
        "outcome": "failed",
    }


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        (faults.reset(), requests.ConnectionError),
        (faults.hang(), requests.Timeout),
        (faults.drip(seconds=0.5), requests.ConnectionError),
        (faults.broken_json(), requests.JSONDecodeError),
        (faults.html_page(), requests.JSONDecodeError),
    ],
    ids=["reset", "hang", "drip", "broken json", "html page"],
)
def test_a_fault_breaks_the_runs_of_its_flow_only(
    client: Client,
    server: DemoServer,
    faulty: dict[str, Fault],
    fault: Fault,
    error: type[Exception],
) -> None:
    faulty["slow"] = fault
    with pytest.raises(error):
        client.session.post(f"{server.url}/api/v1/run/slow", json={}, timeout=0.2).json()
    assert text(client.run("echo", input_value="well")) == "well"
    assert sorted(outcomes(server.runs)) == ["completed", "fault"]


def test_a_fault_can_sit_on_a_path(client: Client, faulty: dict[str, Fault]) -> None:
    faulty["/api/v1/flows/"] = faults.answer(503, headers={"retry-after": "7"})
    answer = client.session.get(f"{client.url}/api/v1/flows/", timeout=10)
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "7")


def test_a_huge_answer_is_as_large_as_it_should_be(
    client: Client, faulty: dict[str, Fault]
) -> None:
    faulty["echo"] = faults.huge(10_000_000)
    assert len(client.run("echo").content) > 10_000_000


def test_a_stream_can_end_without_saying_so(client: Client, faulty: dict[str, Fault]) -> None:
    faulty["echo"] = faults.unfinished_stream("add_message")
    events = [json.loads(e) for e in client.run("echo", stream=True).text.split("\n\n") if e]
    assert [event["event"] for event in events] == ["add_message"]


def test_flows_of_files_take_the_place_of_built_in_flows_with_the_same_endpoint() -> None:
    flows = merged(load_flows(DATA), built_in_flows())
    names = [flow["endpoint_name"] for flow in flows]
    assert len(names) == len(set(names)) == 15
    assert "echo" in names


def test_the_program_serves_until_it_is_terminated(tmp_path: Path) -> None:
    key_file = tmp_path / "key"
    key_file.write_text("secret\n")
    command = [sys.executable, "-m", "automagik.demo", "--api-key-file", str(key_file)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line.startswith("automagik demo server (not a real LangFlow) at http://127.0.0.1:")
        client = Client(line.split()[-1], "secret")
        assert text(client.run("echo", input_value="hi")) == "hi"
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=5) == 0
        client.close()


def test_the_program_refuses_to_start_without_a_key() -> None:
    environment = {n: v for n, v in os.environ.items() if n != "AUTOMAGIK_DEMO_API_KEY"}
    command = [sys.executable, "-m", "automagik.demo"]
    ended = subprocess.run(
        command, env=environment, capture_output=True, text=True, timeout=30, check=False
    )
    assert (ended.returncode, ended.stdout) == (2, "")
    assert "no API key in AUTOMAGIK_DEMO_API_KEY" in ended.stderr
