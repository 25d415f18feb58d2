"""A story with secrets: flows end in every way on servers that send the API key back.

A beat, a worker and Flower run them; afterwards everything that was left is kept for a search.
"""

import os
import secrets
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Event
from typing import Any

import pytest
import requests

from automagik.core.config import Settings
from automagik.core.embedded import services
from automagik.core.embedded.ports import LOOPBACK, free_port
from automagik.demo.connection import Connection
from automagik.demo.faults import Fault
from automagik.demo.flows import built_in_flows
from automagik.demo.server import DemoServer
from tests.cli.command_line import Cli, cli_in
from tests.system.conftest import Desk
from tests.system.fleet import Fleet, fleet_of
from tests.system.traces import (
    Traces,
    command_lines,
    file_traces,
    flower_traces,
    redis_commands,
    redis_traces,
    table_traces,
)

KEY = f"sk-{secrets.token_hex(24)}"
INPUT = f"question-{secrets.token_hex(12)}"
OUTPUT = f"answer-{secrets.token_hex(12)}"
SCHEDULE = "every-morning"
WHOAMI = "/api/v1/users/whoami"

FLOWER_STATES = {
    "Echo": "SUCCESS",
    "Slow": "SUCCESS",
    "Failing": "FAILURE",
    "Flaky": "RETRY",
    "Rotated": "FAILURE",
}
"""How the run of each flow ends, as Flower says it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Aftermath:
    """What was left when all runs had ended, and each flow's row in `tasks`."""

    tasks: Mapping[str, Any]
    tables: Traces
    redis: Traces
    flower: Traces
    files: Traces
    said: Traces
    processes: Traces

    @property
    def everything(self) -> Traces:
        parts = (self.redis, self.flower, self.files, self.said, self.processes)
        return {place: text for part in (self.tables, *parts) for place, text in part.items()}


def happened(settings: Settings, patch: pytest.MonkeyPatch, *, server_logs: Path) -> Aftermath:
    """Needs the settings in the environment."""
    logs, redis_url = settings.home / "fleet", settings.require_redis_url()
    faults: dict[str, Fault] = {
        "slow": _answer_with_key,
        "failing": _refuse_with_key(500),
        "flaky": _refuse_with_key(429),
    }
    with (
        _flower(settings) as flower,
        # With the environment and the command line that everybody can read.
        fleet_of(settings, logs, afresh=True) as fleet,
        DemoServer(api_key=KEY, faults=faults) as server,
        redis_commands(redis_url) as commands,
    ):
        fleet.worker()
        fleet.beat()
        fleet.wait_until(lambda: _sees_worker(flower), seconds=60, what="Flower sees the worker")
        cli = cli_in(settings.home.parent, patch)
        _add_sources(cli, server, key_file=settings.home.parent / "key.txt")
        tasks = _run_all(fleet, settings, cli=cli, flower=flower)
        faults[WHOAMI] = _refuse_with_key(403)
        left = Aftermath(
            tasks=tasks,
            tables=table_traces(fleet),
            redis=redis_traces(redis_url),
            flower=flower_traces(
                flower,
                worker=fleet.value("SELECT name FROM workers"),
                task_ids=[task.id for task in tasks.values()],
            ),
            files=file_traces([settings.home, server_logs]),
            said=_said(cli, patch, url=server.url, tasks=tasks),
            processes=command_lines(),
        )
    return replace(left, redis={**left.redis, "redis commands": "\n".join(commands)})


@contextmanager
def _flower(settings: Settings) -> Iterator[str]:
    """Started as `automagik up` starts it, but with its API open. Gives its URL."""
    port = free_port()
    environment = os.environ | {"FLOWER_UNAUTHENTICATED_API": "true"}
    child = services.flower(settings, environment, port=port)
    url = f"http://{LOOPBACK}:{port}"
    child.start()
    try:
        child.wait_until(services.answers(url), seconds=60)
        yield url
    finally:
        child.stop()


def _sees_worker(flower: str) -> bool:
    found = requests.get(f"{flower}/workers?json=1", timeout=20).json()["data"]
    return any(worker["status"] for worker in found)


def _add_sources(cli: Cli, server: DemoServer, *, key_file: Path) -> None:
    """One that knows the key, and one that has another key by now."""
    key_file.write_text(f"{KEY}\n")
    _add_source(cli, "demo", server.url, key_file=key_file)
    port = free_port()
    [echo, *_] = built_in_flows()
    rotated = echo | {"id": str(uuid.uuid4()), "name": "Rotated", "endpoint_name": "rotated"}
    with DemoServer(flows=[rotated], api_key=KEY, port=port) as before:
        _add_source(cli, "rotated", before.url, key_file=key_file)


def _add_source(cli: Cli, name: str, url: str, *, key_file: Path) -> None:
    for words in (
        ("sources", "add", name, url, "--api-key-file", str(key_file)),
        ("flows", "sync", "--source", name),
    ):
        done = cli(*words)
        assert done.exit_code == 0, done.stderr


def _run_all(fleet: Fleet, settings: Settings, *, cli: Cli, flower: str) -> Mapping[str, Any]:
    """The rows of the tasks by flow, when all of them are as they shall be."""
    fixed = ("--at", "now", "--name", SCHEDULE, "--input", INPUT)
    assert cli("schedules", "create", "Echo", *fixed).exit_code == 0
    desk = Desk(database=fleet.database, settings=settings)
    desk.run("Slow", INPUT)
    desk.run("Failing", INPUT, tweaks={"FailComponent-fail": {"message": INPUT}}, max_retries=0)
    desk.run("Flaky", INPUT)
    [url] = fleet.rows("SELECT url FROM sources WHERE name = 'rotated'")
    port = int(url.url.rpartition(":")[2])
    with DemoServer(port=port):
        desk.run("Rotated", INPUT)
        fleet.wait_until(
            lambda: _flower_states(flower) == sorted(FLOWER_STATES.values()),
            seconds=30,
            what=f"Flower shows {FLOWER_STATES}",
        )
    named = "SELECT f.name AS flow, t.* FROM tasks t JOIN flows f ON f.id = t.flow_id"
    return {row.flow: row for row in fleet.rows(named)}


def _flower_states(flower: str) -> list[str]:
    tasks: dict[str, Any] = requests.get(f"{flower}/api/tasks", timeout=20).json()
    return sorted(task["state"] for task in tasks.values())


def _said(
    cli: Cli, patch: pytest.MonkeyPatch, *, url: str, tasks: Mapping[str, Any]
) -> dict[str, str]:
    """What the command line prints, above all where it meets the key."""
    ids = [str(task.id) for task in tasks.values()]
    commands = [
        *(("sources", "list"), ("sources", "show", "demo"), ("status",), ("doctor",)),
        *(("sources", "test", source) for source in ("demo", "rotated")),
        *(("tasks", word, task) for word in ("show", "logs", "output") for task in ids),
    ]
    said = {}
    for words in commands:
        result = cli(*words, "-o", "json")
        said[f"automagik {' '.join(words)}"] = f"{result.stdout}\n{result.stderr}"
    with patch.context() as debugging:
        debugging.setenv("AUTOMAGIK_DEBUG", "1")
        result = cli("sources", "add", "again", url, "--api-key-file", "key.txt")
        said["automagik in debug mode"] = f"{result.stdout}\n{result.stderr}"
    return said


def _answer_with_key(connection: Connection, _: Event) -> None:
    text = f"{OUTPUT} {connection.headers['x-api-key']}"
    output = {"component_id": "ChatOutput-slow", "results": {"message": {"text": text}}}
    connection.send_json(200, {"session_id": "s", "outputs": [{"outputs": [output]}]})


def _refuse_with_key(status: int) -> Fault:
    """In the text and in a header; to come again much later."""

    def fault(connection: Connection, _: Event) -> None:
        key = connection.headers["x-api-key"]
        headers = {"retry-after": "3600", "x-seen": key}
        detail = {"detail": f"nobody is called {key} here"}
        connection.send_json(status, detail, headers=headers)

    return fault
