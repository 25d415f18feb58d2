"""What is promised when processes die, freeze or forget."""

import signal
from datetime import timedelta
from urllib.parse import urlsplit

import psutil
import pytest

from automagik.core.embedded.processes import ChildProcess
from automagik.core.tasks.values import Task
from automagik.demo.journal import RunRecord
from automagik.demo.server import DemoServer
from tests.system.conftest import Desk
from tests.system.fleet import Fleet, kill
from tests.system.history import violations

pytestmark = pytest.mark.system

SLOW = {"SleepComponent-slow": {"seconds": 60.0}}
SHORT = {"SleepComponent-slow": {"seconds": 1.0}}
LEASE = 2.0
"""Seconds; see SHORT_TIMES."""


@pytest.mark.parametrize("pool", ["threads", "prefork"])
def test_a_killed_workers_run_starts_again_elsewhere(
    fleet: Fleet, desk: Desk, demo_server: DemoServer, pool: str
) -> None:
    """Within the lease and five seconds, as attempt 2, with one result."""
    fleet.beat()
    workers = [fleet.worker("-P", pool, "-c", "2") for _ in range(2)]
    for worker in workers:
        assert bool(psutil.Process(worker.pid).children()) == (pool == "prefork")
    task = desk.run("Slow", "survivor", tweaks=SHORT)
    demo_server.wait_for_runs(lambda runs: len(runs) == 1)
    busy = fleet.value("SELECT pid FROM workers w JOIN tasks t ON t.worker_id = w.id")
    kill(next(worker for worker in workers if worker.pid == busy))
    fleet.wait_for("SELECT state = 'completed' FROM tasks WHERE id = :id", id=task.id)

    first_attempt, second_attempt = fleet.rows(
        "SELECT attempt, outcome, started_at, finished_at FROM task_attempts ORDER BY attempt"
    )
    assert first_attempt.outcome == "worker_lost"
    assert second_attempt.outcome == "completed"
    late = second_attempt.started_at - first_attempt.started_at
    assert late < timedelta(seconds=LEASE + 5)
    assert len(demo_server.runs) == 2
    assert violations(fleet.database) == []


@pytest.mark.parametrize("pool", ["threads", "prefork"])
def test_a_flow_that_kills_its_worker_each_time_comes_to_an_end(
    fleet: Fleet, desk: Desk, demo_server: DemoServer, pool: str
) -> None:
    """Of a prefork worker only the child dies. What else there is to do is done."""
    fleet.beat()
    task = desk.run("Slow", tweaks=SLOW, max_retries=1)
    worker = fleet.worker("-P", pool, "-c", "2")
    for attempt in (1, 2):
        victim = _process_of_run(attempt, task, worker=worker, server=demo_server)
        desk.run("Echo", "unharmed")
        victim.kill()
        if pool == "threads":
            worker = fleet.worker("-c", "2")
    fleet.wait_for("SELECT count(*) = 0 FROM tasks WHERE finished_at IS NULL")
    [row] = fleet.rows("SELECT * FROM tasks WHERE id = :id", id=task.id)
    assert (row.state, row.error_code, row.attempt) == ("failed", "AM-WORKER-LOST", 2)
    assert len(_of(demo_server.runs, task)) == 2
    assert fleet.value("SELECT count(*) FROM tasks WHERE state = 'completed'") == 2
    assert worker.poll() is None
    assert violations(fleet.database) == []


def _of(runs: list[RunRecord], task: Task) -> list[RunRecord]:
    return [run for run in runs if run.session_id == str(task.id)]


def _process_of_run(
    number: int, task: Task, *, worker: ChildProcess, server: DemoServer
) -> psutil.Process:
    """Whichever is connected to the server: the worker, or one of its children."""
    server.wait_for_runs(lambda runs: len(_of(runs, task)) == number, seconds=20)
    main, port = psutil.Process(worker.pid), urlsplit(server.url).port
    [found] = [
        process
        for process in (main, *main.children())
        if any(peer.raddr and peer.raddr.port == port for peer in process.net_connections())
    ]
    return found


@pytest.mark.parametrize("pool", ["threads", "prefork"])
def test_a_frozen_worker_that_comes_back_changes_nothing(
    fleet: Fleet, desk: Desk, demo_server: DemoServer, pool: str
) -> None:
    """Its lease is over, another worker has the run, and its late result is dropped."""
    fleet.beat()
    frozen = fleet.worker("-P", pool, "-c", "1")
    task = desk.run("Slow", "once", tweaks=SHORT)
    demo_server.wait_for_runs(lambda runs: len(runs) == 1)
    kill(frozen, signal.SIGSTOP)
    fleet.worker("-c", "1")
    fleet.wait_for("SELECT state = 'completed' FROM tasks WHERE id = :id", id=task.id)
    kill(frozen, signal.SIGCONT)
    fleet.wait_until(
        lambda: f"Task {task.id}: lease lost, attempt 1 dropped" in frozen.tail(100),
        seconds=15,
        what="the frozen worker notices that it lost its lease",
    )
    assert fleet.value("SELECT attempt FROM tasks") == 2
    ends = "SELECT count(*) FROM task_events WHERE to_state IN ('completed', 'failed', 'cancelled')"
    assert fleet.value(ends) == 1
    assert violations(fleet.database) == []


def test_a_stopping_worker_gives_its_runs_back(
    fleet: Fleet, desk: Desk, demo_server: DemoServer
) -> None:
    """After the grace the run goes to another worker and has lost no attempt by it."""
    fleet.beat()
    stopping = fleet.worker("-c", "2", AUTOMAGIK_DRAIN_SECONDS="0.5")
    task = desk.run("Slow", tweaks=SLOW, max_retries=0)
    demo_server.wait_for_runs(lambda runs: len(runs) == 1)
    kill(stopping, signal.SIGTERM)
    fleet.wait_until(lambda: stopping.poll() is not None, seconds=20, what="the worker stops")
    assert fleet.value("SELECT outcome FROM task_attempts") == "released"
    fleet.worker("-c", "2")
    query = "SELECT state = 'running' AND attempt = 2 FROM tasks WHERE id = :id"
    fleet.wait_for(query, id=task.id)
    assert violations(fleet.database) == []
