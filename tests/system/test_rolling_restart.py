"""All workers are exchanged one after the other under load: nothing is lost, no attempt is used."""

import os
import signal
from collections import Counter
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

import pytest

from automagik.core.embedded.processes import ChildProcess
from automagik.demo.server import DemoServer
from tests.system.conftest import Desk
from tests.system.fleet import Fleet
from tests.system.history import violations
from tests.system.load import add_slow_runs

pytestmark = pytest.mark.system

SLOTS = 4
GRACE = "4"
SHORT_SECONDS = 0.3
LONG = timedelta(minutes=15)


@dataclass(frozen=True, kw_only=True, slots=True)
class Size:
    """`batch`: how many short runs are waiting when a worker is asked to stop."""

    workers: int
    rounds: int
    batch: int
    long: int


SMALL = Size(workers=2, rounds=1, batch=40, long=2)
FULL = Size(workers=4, rounds=3, batch=170, long=8)


@pytest.mark.parametrize("pool", ["threads", "prefork"])
@pytest.mark.timeout(900)
def test_a_rolling_restart_loses_nothing(
    fleet: Fleet, desk: Desk, demo_server: DemoServer, pool: str, *, full_size: bool
) -> None:
    """Short runs finish within the grace, long ones go to another worker. Nobody has a retry."""
    size = FULL if full_size else SMALL
    fleet.beat()
    workers = [_worker(fleet, pool) for _ in range(size.workers)]
    long = [_long_run(desk) for _ in range(size.long)]
    demo_server.wait_for_runs(lambda runs: len(runs) >= size.long, seconds=20)

    old: list[ChildProcess] = []
    for _ in range(size.rounds):
        for worker in list(workers):
            fresh = _worker(fleet, pool)
            add_slow_runs(fleet, size.batch, seconds=SHORT_SECONDS)
            fleet.wait_for("SELECT count(*) > 0 FROM tasks WHERE state = 'queued'")
            _ask_to_stop(worker)
            workers.remove(worker)
            workers.append(fresh)
            old.append(worker)
    fleet.wait_until(
        lambda: all(worker.poll() == 0 for worker in old),
        seconds=60,
        what="all workers of before have stopped by themselves",
    )
    short = size.batch * len(old)
    short_ones = "FROM tasks WHERE id <> ALL(:long) AND state = 'completed' AND attempt = 1"
    fleet.wait_for(f"SELECT count(*) = :all {short_ones}", long=long, all=short, seconds=300)
    again = "SELECT count(*) = :all FROM tasks WHERE state = 'running' AND id = ANY(:long)"
    fleet.wait_for(again, long=long, all=size.long)

    outcomes = fleet.rows("SELECT coalesce(outcome, 'running') AS outcome FROM task_attempts")
    found = Counter(row.outcome for row in outcomes)
    assert found.keys() == {"completed", "released", "running"}
    assert (found["completed"], found["running"]) == (short, size.long)
    assert found["released"] >= size.long, "each long run was under way on a worker that stopped"
    assert fleet.value("SELECT bool_and(max_attempts - attempt = 0) FROM tasks")
    _each_attempt_was_a_call(fleet, demo_server)
    assert violations(fleet.database) == []


def _worker(fleet: Fleet, pool: str) -> ChildProcess:
    return fleet.worker("-P", pool, "-c", str(SLOTS), AUTOMAGIK_DRAIN_SECONDS=GRACE)


def _long_run(desk: Desk) -> UUID:
    longer = {"SleepComponent-slow": {"seconds": LONG.total_seconds()}}
    return desk.run("Slow", tweaks=longer, max_retries=0, timeout=2 * LONG).id


def _ask_to_stop(worker: ChildProcess) -> None:
    """As a supervisor does that speaks to the main process."""
    assert worker.pid is not None
    os.kill(worker.pid, signal.SIGTERM)


def _each_attempt_was_a_call(fleet: Fleet, demo_server: DemoServer) -> None:
    attempts = fleet.rows("SELECT id, attempt FROM tasks")
    calls = Counter(run.session_id for run in demo_server.runs)
    assert {str(task.id): task.attempt for task in attempts} == calls
