"""A real Prometheus scrapes a real metrics server while beats and workers do their work."""

import json
import os
import shutil
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote
from urllib.request import urlopen

import pytest
import yaml

from automagik.core.embedded.ports import free_port
from automagik.core.embedded.processes import ChildProcess
from automagik.core.scheduler.manager import SchedulerManager
from tests.cli.command_line import cli_in
from tests.deploy.promql import DASHBOARDS, RULES, alerts, panel_expressions
from tests.system.conftest import Desk
from tests.system.fleet import Fleet

pytestmark = [pytest.mark.system]

SECONDS = 30
HERE = "127.0.0.1"
MAY_BE_NOTHING = ("error_code", "automagik_tasks_due")
"""There are no series of errors that did not occur, and of queues in which nothing is due."""


def until(holds: Callable[[], Any], child: ChildProcess) -> Any:
    """What it gives, once that is true."""
    end = time.monotonic() + SECONDS
    while not (found := holds()):
        assert time.monotonic() < end, child.tail(40)
        time.sleep(0.1)
    return found


def answers(url: str) -> str | None:
    try:
        with urlopen(url, timeout=15) as answer:
            return str(answer.read().decode())
    except OSError:
        return None


@contextmanager
def process(name: str, *command: str, folder: Path) -> Iterator[ChildProcess]:
    stop = ((signal.SIGTERM, 15.0), (signal.SIGKILL, 5.0))
    child = ChildProcess(
        name, command, log_path=folder / f"{name}.log", env=os.environ, stop_signals=stop
    )
    child.start()
    try:
        yield child
    finally:
        child.stop()


@pytest.fixture
def server(fleet: Fleet, tmp_path: Path) -> Iterator[str]:
    """Its address, once it answers."""
    port = str(free_port())
    command = (sys.executable, "-m", "automagik", "metrics", "serve", "--port", port)
    with process("metrics", *command, folder=tmp_path) as child:
        until(lambda: answers(f"http://{HERE}:{port}/metrics"), child)
        yield f"{HERE}:{port}"
        assert child.poll() is None, child.tail(40)


class Prometheus:
    def __init__(self, address: str) -> None:
        self._address = address

    def ask(self, path: str) -> Any:
        text = answers(f"http://{self._address}/api/v1/{path}")
        return json.loads(text)["data"] if text else None

    def query(self, expression: str) -> list[dict[str, Any]]:
        """Raises KeyError or AssertionError for an expression that it does not take."""
        found = self.ask(f"query?query={quote(expression)}")
        assert found is not None, expression
        result: list[dict[str, Any]] = found["result"]
        return result

    def value(self, expression: str) -> float:
        """Of the only series; nothing when there is none."""
        found = self.query(expression)
        return float(found[0]["value"][1]) if found else 0.0


@pytest.fixture
def prometheus(server: str, tmp_path: Path) -> Iterator[Prometheus]:
    found = shutil.which("prometheus")
    if found is None:
        pytest.skip("prometheus is not installed: apt-get install prometheus")
    config = yaml.safe_load(RULES.with_name("prometheus.yml").read_text())
    config["global"] = {"scrape_interval": "1s", "evaluation_interval": "1s"}
    config["rule_files"] = [str(RULES)]
    config["scrape_configs"][0]["scrape_timeout"] = "1s"
    config["scrape_configs"][0]["static_configs"] = [{"targets": [server]}]
    file = tmp_path / "prometheus.yml"
    file.write_text(yaml.safe_dump(config))
    address = f"{HERE}:{free_port()}"
    command = (
        found,
        f"--config.file={file}",
        f"--storage.tsdb.path={tmp_path / 'tsdb'}",
        f"--web.listen-address={address}",
    )
    with process("prometheus", *command, folder=tmp_path) as child:
        asked = Prometheus(address)
        until(lambda: asked.ask("query?query=automagik_up"), child)
        until(lambda: asked.value("automagik_up"), child)
        yield asked


@pytest.mark.timeout(180)
def test_prometheus_counts_what_really_happened_and_every_panel_has_an_answer(
    fleet: Fleet, desk: Desk, server: str, prometheus: Prometheus
) -> None:
    fleet.beat()
    fleet.worker()
    often = desk.schedule("Echo", "interval", "1s", name="often")
    for _ in range(12):
        desk.run("Echo", "hello")
    failing = desk.run("Failing", max_retries=0)
    fleet.wait_for("SELECT state = 'failed' FROM tasks WHERE id = :id", id=failing.id)
    enough = "SELECT count(*) >= 3 FROM tasks WHERE state = 'completed' AND schedule_id IS NOT NULL"
    fleet.wait_for(enough)
    SchedulerManager(desk.database, desk.settings).pause(often.id)
    fleet.wait_for("SELECT count(*) = 0 FROM tasks WHERE finished_at IS NULL")
    [stored] = fleet.rows(
        "SELECT count(*) FILTER (WHERE state = 'completed') AS completed,"
        " count(*) FILTER (WHERE state = 'failed') AS failed,"
        " count(schedule_id) AS scheduled FROM tasks"
    )

    ends = 'sum(automagik_tasks_finished_total{outcome="%s"})'
    fleet.wait_until(
        lambda: prometheus.value(ends % "completed") == stored.completed,
        seconds=SECONDS,
        what="Prometheus has seen all",
    )
    assert prometheus.value(ends % "failed") == stored.failed
    assert prometheus.value('sum(automagik_tasks_created_total{trigger="manual"})') == 13
    assert prometheus.value("automagik_schedule_lag_seconds_count") == stored.scheduled
    assert prometheus.value("automagik_beats") == 1
    assert prometheus.value('automagik_workers{state="online"}') == 1
    started = 'sum(increase(automagik_task_transitions_total{to_state="running"}[1m]))'
    assert prometheus.value(started) > 10
    flow = {"instance": server, "source": "demo", "flow": "Echo"}
    silent = [
        expression
        for dashboard in DASHBOARDS
        for expression in panel_expressions(dashboard, **flow)
        if not prometheus.query(expression)
    ]
    assert [each for each in silent if not any(name in each for name in MAY_BE_NOTHING)] == []
    for alert in alerts():
        prometheus.query(alert["expr"])
    rules = prometheus.ask("rules")["groups"][0]["rules"]
    assert {rule["health"] for rule in rules} <= {"ok", "unknown"}
    assert len(rules) == len(alerts())


def test_a_server_outlives_its_database_and_ends_when_it_is_told(
    settings: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_URL", f"postgresql://nobody@{HERE}:{free_port()}/x")
    port = str(free_port())
    command = (sys.executable, "-m", "automagik", "metrics", "serve", "--port", port)
    with process("metrics", *command, folder=tmp_path) as child:
        told = until(lambda: answers(f"http://{HERE}:{port}/metrics"), child)
        again = answers(f"http://{HERE}:{port}/metrics")
        child.stop()

        assert "\nautomagik_up 0.0\n" in told
        assert again
        assert child.poll() == 0
        assert child.tail(40).count("cannot be read") == 1
        assert "Traceback" not in child.tail(40)


def test_a_port_that_is_taken_is_said(
    settings: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with closing(socket.create_server((HERE, 0))) as taken:
        port = str(taken.getsockname()[1])
        ended = cli_in(tmp_path, monkeypatch)("metrics", "serve", "--port", port)

    assert ended.exit_code == 6
    assert "--port" in ended.stderr
