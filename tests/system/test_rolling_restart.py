"""All workers are exchanged one after the other under load: nothing is lost, no attempt is used."""

import os
import signal
from collections import Counter
from dataclasses import dataclass
from datetime import timedelta
from itertools import cycle
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
GRACE = "5"
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
    fleet: Fleet,
    desk: Desk,
    demo_server: DemoServer,
    monkeypatch: pytest.MonkeyPatch,
    pool: str,
    *,
    full_size: bool,
) -> None:
    """Short runs finish within the grace, long ones go to another worker. Nobody has a retry."""
    size = FULL if full_size else SMALL
    # What is under way is slow on a busy machine, and not lost.
    monkeypatch.setenv("AUTOMAGIK_LEASE_SECONDS", "20")
    fleet.beat()
    workers = [_worker(fleet, pool) for _ in range(size.workers)]
    long = [_long_run(desk) for _ in range(size.long)]
    demo_server.wait_for_runs(lambda runs: len(runs) >= size.long, seconds=20)

    old: list[ChildProcess] = []
    # Supervisors differ: some ask the main process, some all processes of a service.
    ways = cycle((os.kill, os.killpg))
    for _ in range(size.rounds):
        for worker in list(workers):
            fresh = _worker(fleet, pool)
            add_slow_runs(fleet, size.batch, seconds=SHORT_SECONDS)
            fleet.wait_for("SELECT count(*) > 0 FROM tasks WHERE state = 'queued'")
            assert worker.pid is not None
            next(ways)(worker.pid, signal.SIGTERM)
            workers.remove(worker)
            workers.append(fresh)
            old.append(worker)
    fleet.wait_until(
        lambda: all(worker.poll() == 0 for worker in old),
        seconds=60,
        what="all workers of before have stopped by themselves",
    )
    short = size.batch * len(old)
    open_ones = "SELECT count(*) = 0 FROM tasks WHERE id <> ALL(:long) AND finished_at IS NULL"
    fleet.wait_for(open_ones, long=long, seconds=300)
    ended = fleet.rows("SELECT state, error_code, attempt FROM tasks WHERE id <> ALL(:l)", l=long)
    assert Counter(map(tuple, ended)) == {("completed", None, 1): short}
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


@pytest.mark.parametrize("pool", ["threads", "prefork"])
def test_a_worker_that_must_stop_at_once_gives_its_runs_back(
    fleet: Fleet, desk: Desk, demo_server: DemoServer, pool: str
) -> None:
    """Celery's cold shutdown has no grace, and costs no attempt either."""
    fleet.beat()
    worker = _worker(fleet, pool)
    task = _long_run(desk)
    demo_server.wait_for_runs(lambda runs: len(runs) == 1, seconds=20)
    assert worker.pid is not None
    os.kill(worker.pid, signal.SIGQUIT)
    fleet.wait_until(lambda: worker.poll() is not None, seconds=30, what="the worker stops")
    assert fleet.value("SELECT outcome FROM task_attempts") == "released"
    _worker(fleet, pool)
    again = "SELECT state = 'running' AND attempt = 2 FROM tasks WHERE id = :id"
    fleet.wait_for(again, id=task)
    assert violations(fleet.database) == []


def _worker(fleet: Fleet, pool: str) -> ChildProcess:
    return fleet.worker("-P", pool, "-c", str(SLOTS), AUTOMAGIK_DRAIN_SECONDS=GRACE)


def _long_run(desk: Desk) -> UUID:
    longer = {"SleepComponent-slow": {"seconds": LONG.total_seconds()}}
    return desk.run("Slow", tweaks=longer, max_retries=0, timeout=2 * LONG).id


def _each_attempt_was_a_call(fleet: Fleet, demo_server: DemoServer) -> None:
    attempts = fleet.rows("SELECT id, attempt FROM tasks")
    calls = Counter(run.session_id for run in demo_server.runs)
    assert {str(task.id): task.attempt for task in attempts} == calls
