"""What is promised when a connection is dead and nobody says so.

The small size runs with a tenth of the patience, the full one with all of it.
"""

import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

import pytest

from automagik.core.config import Settings
from automagik.core.embedded.processes import ChildProcess
from automagik.core.exceptions import Unreachable
from automagik.core.tasks.manager import TaskManager
from automagik.core.tasks.values import Task
from automagik.demo.journal import RunRecord
from automagik.demo.server import DemoServer
from tests.system.conftest import Desk, desk_at
from tests.system.fleet import Fleet, fleet_of, kill
from tests.system.history import violations
from tests.system.proxy import proxied

logger = logging.getLogger(__name__)

pytestmark = [pytest.mark.system, pytest.mark.timeout(400)]

POOLS = ("threads", "prefork")
NO_REPLY = "Redis BRPOP got no reply"
NOT_A_BYTE = "not a byte within"
LONG = {"SleepComponent-slow": {"seconds": 300.0}}
MIDDLING = {"SleepComponent-slow": {"seconds": 3.0}}
NOTICED_SECONDS = 60
RECOVERED_SECONDS = 60
# A cancelled run is broken off by a notification: heartbeats are rarer than that.
LEASE_SECONDS = 120
HEARD_SECONDS = 8


@dataclass(frozen=True, kw_only=True, slots=True)
class Crew:
    """A fleet whose ways to the servers can be led through proxies."""

    fleet: Fleet
    desk: Desk
    source: DemoServer
    app: str

    def start(self, **urls: str) -> list[ChildProcess]:
        """A beat, and a worker of each kind."""
        workers = [self.fleet.worker("-c", "2", "-P", pool, **urls) for pool in POOLS]
        return [self.fleet.beat(**urls), *workers]

    def command(self, *arguments: str, **urls: str) -> "subprocess.Popen[str]":
        return subprocess.Popen(
            [sys.executable, "-m", self.app, *arguments],
            env=os.environ | urls,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )


@pytest.fixture
def crew(settings: Settings, tmp_path: Path, *, full_size: bool) -> Iterator[Crew]:
    app = "automagik" if full_size else "tests.system.impatient"
    with (
        pytest.MonkeyPatch.context() as patch,
        fleet_of(settings, tmp_path / "logs", app=app) as fleet,
        DemoServer() as source,
    ):
        patch.setenv("AUTOMAGIK_LEASE_SECONDS", str(LEASE_SECONDS))
        yield Crew(fleet=fleet, desk=desk_at(fleet, settings, source), source=source, app=app)


def test_a_silent_redis_is_noticed_and_left_behind(crew: Crew, settings: Settings) -> None:
    """Beat and both kinds of workers say so, and take up their work when the network is mended."""
    with proxied(settings.require_redis_url()) as (proxy, url):
        processes = crew.start(REDIS_URL=url)
        _run_some(crew)
        proxy.swallow()
        for _ in range(4):
            crew.desk.run("Echo", "in the dark")
        beat, *workers = processes
        expected = {beat: "Redis does not answer"} | dict.fromkeys(workers, NO_REPLY)
        _notice(crew, expected)
        proxy.forward()
        _all_completed(crew)
        assert [process.poll() for process in processes] == [None] * 3
    assert violations(crew.fleet.database) == []


def test_a_worker_stops_when_asked_while_redis_is_silent(crew: Crew, settings: Settings) -> None:
    with proxied(settings.require_redis_url()) as (proxy, url):
        workers = [crew.fleet.worker("-c", "1", "-P", pool, REDIS_URL=url) for pool in POOLS]
        proxy.swallow()
        _notice(crew, dict.fromkeys(workers, NO_REPLY))
        for worker in workers:
            kill(worker, signal.SIGTERM)
        crew.fleet.wait_until(
            lambda: None not in [worker.poll() for worker in workers],
            seconds=NOTICED_SECONDS,
            what="both workers stop",
        )


def test_a_silent_postgresql_is_noticed_and_left_behind(crew: Crew, settings: Settings) -> None:
    """Runs that were under way are finished, and the workers listen again."""
    with proxied(settings.require_database_url()) as (proxy, url):
        processes = crew.start(DATABASE_URL=url)
        _run_some(crew)
        short, long = crew.desk.run("Slow", tweaks=MIDDLING), crew.desk.run("Slow", tweaks=LONG)
        crew.fleet.wait_for("SELECT count(*) = 2 FROM tasks WHERE state = 'running'")
        waits = crew.command("tasks", "logs", str(long.id), "--follow", DATABASE_URL=url)
        crew.fleet.wait_until(
            lambda: waits.stdout is not None and bool(waits.stdout.readline()),
            seconds=20,
            what="the command follows",
        )

        proxy.swallow()
        _notice(crew, dict.fromkeys(processes, NOT_A_BYTE))
        _gives_up(waits)
        _gives_up(crew.command("tasks", "list", DATABASE_URL=url))

        proxy.forward()
        crew.desk.run("Echo", "when it is mended")
        _all_completed(crew, but=long)
        _hears_of_its_cancellation(crew, settings, long)
        attempts = "SELECT DISTINCT attempt FROM tasks WHERE id IN (:short, :long)"
        assert crew.fleet.value(attempts, short=short.id, long=long.id) == 1
        assert [process.poll() for process in processes] == [None] * 3
    assert violations(crew.fleet.database) == []


def _run_some(crew: Crew) -> None:
    """So that everybody has connections, each child of the prefork pool too."""
    for number in range(8):
        crew.desk.run("Echo", str(number))
    _all_completed(crew)


def _notice(crew: Crew, expected: Mapping[ChildProcess, str]) -> None:
    """Each process says what is expected of it."""
    begun = time.monotonic()
    for process, words in expected.items():
        crew.fleet.wait_until(
            lambda: words in process.tail(200),  # noqa: B023  (called at once)
            seconds=NOTICED_SECONDS - (time.monotonic() - begun),
            what=f"{process.name} says {words!r}",
        )
        logger.info("%s noticed after %.1f s", process.name, time.monotonic() - begun)


def _all_completed(crew: Crew, *, but: Task | None = None) -> None:
    begun = time.monotonic()
    open_tasks = "SELECT count(*) = 0 FROM tasks WHERE state <> 'completed' AND id <> :but"
    nobody = UUID(int=0)
    crew.fleet.wait_for(open_tasks, but=but.id if but else nobody, seconds=RECOVERED_SECONDS)
    logger.info("all completed after %.1f s", time.monotonic() - begun)


def _gives_up(command: "subprocess.Popen[str]") -> None:
    begun = time.monotonic()
    _, said = command.communicate(timeout=NOTICED_SECONDS)
    logger.info("%s gave up after %.1f s", command.args, time.monotonic() - begun)
    assert command.returncode == Unreachable.exit_code, said
    assert f"PostgreSQL does not answer: {NOT_A_BYTE}" in said
    assert "Traceback" not in said


def _hears_of_its_cancellation(crew: Crew, settings: Settings, task: Task) -> None:
    TaskManager(crew.fleet.database, settings).cancel(task.id, actor="test")

    def is_broken_off(runs: list[RunRecord]) -> bool:
        return any(r.session_id == str(task.id) and r.outcome == "aborted" for r in runs)

    crew.source.wait_for_runs(is_broken_off, seconds=HEARD_SECONDS)
