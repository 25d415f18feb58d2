"""What is promised when Redis forgets what waits in it, is away, or has much to keep for long."""

import logging
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from datetime import timedelta
from pathlib import Path
from signal import SIGCONT, SIGSTOP
from typing import Any

import pytest
import redis
from sqlalchemy import text

from automagik.core.config import Settings
from automagik.core.database.models import TaskRow
from automagik.core.embedded.processes import ChildProcess
from automagik.core.embedded.redis_server import EmbeddedRedis
from automagik.core.tasks.values import Task
from tests.system.conftest import Desk
from tests.system.fleet import Fleet, kill
from tests.system.history import violations

logger = logging.getLogger(__name__)

pytestmark = [pytest.mark.system, pytest.mark.timeout(900)]

SENT_AGAIN_SECONDS = 60
# A beat looks once a second then; the machine may be busy.
ON_TIME, ON_TIME_AT_WORST = timedelta(seconds=2), timedelta(seconds=5)
SHORT = {"SleepComponent-slow": {"seconds": 0.05}}
MOST_DELIVERIES_PER_TASK = 1.1
ENOUGH = "enough"
# At most one line a second from a beat, and what Celery says about each try of a worker.
MOST_RECORDS_PER_SECOND = 1.5
RECORDS_ALLOWED = 60

EVERY_SECONDS = 2
COMMANDS_WHILE_AWAY: dict[tuple[str, ...], int] = {
    ("tasks", "list"): 0,
    ("tasks", "cancel", "{task}"): 0,
    ("schedules", "list"): 0,
    ("flows", "run", "Echo", "--input", "by hand"): 0,
    ("status",): 1,
    ("doctor",): 1,
}


@pytest.fixture
def own_redis(
    settings: Settings, embedded_home: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[EmbeddedRedis]:
    """Of this test alone, without any persistence, and in the place of the settings' own."""
    server = EmbeddedRedis(embedded_home)
    monkeypatch.setenv("REDIS_URL", server.start())
    with closing(redis.Redis.from_url(server.url)) as client:
        client.config_set("appendonly", "no")
    yield server
    server.stop()


@pytest.mark.parametrize("fault", ["killed", "flushed"])
def test_a_redis_that_forgets_loses_no_run(
    own_redis: EmbeddedRedis, fleet: Fleet, desk: Desk, fault: str, *, full_size: bool
) -> None:
    """All tasks wait in it, and one delivery is on its way to a worker that does nothing."""
    runs = 10_000 if full_size else 1_000
    processes = [fleet.beat(AUTOMAGIK_READY_QUEUE_TARGET=str(runs)), fleet.worker("-c", "10")]
    kill(processes[1], SIGSTOP)
    _copy(fleet, desk.run("Echo"), times=runs - 1)
    queued = "SELECT count(*) = :all FROM tasks WHERE state = 'queued'"
    fleet.wait_for(queued, all=runs, seconds=120)
    with closing(redis.Redis.from_url(own_redis.url)) as client:
        _wait_for_deliveries(fleet, client, runs)
        if fault == "flushed":
            client.flushall()
        else:
            _end(own_redis)
            own_redis.start()
        back = fleet.value("SELECT now()")
        _wait_for_deliveries(fleet, client, runs)
    logger.info("%s: %d sent again within %s", fault, runs, fleet.value("SELECT now()") - back)

    kill(processes[1], SIGCONT)
    _all_completed(fleet, runs, seconds=600 if full_size else 120)
    assert fleet.value("SELECT max(attempt) FROM tasks") == 1
    assert [process.poll() for process in processes] == [None, None]
    assert violations(fleet.database) == []


def test_a_healthy_backlog_is_never_multiplied(
    own_redis: EmbeddedRedis, fleet: Fleet, desk: Desk, *, full_size: bool
) -> None:
    """It waits in Redis for many times as long as a delivery may be missing there."""
    runs, reconcile_seconds = (10_000, 5) if full_size else (1_500, 1)
    fleet.beat(
        AUTOMAGIK_READY_QUEUE_TARGET=str(runs), AUTOMAGIK_RECONCILE_SECONDS=str(reconcile_seconds)
    )
    with _counted_deliveries(own_redis.url) as count:
        _copy(fleet, desk.run("Slow", tweaks=SHORT), times=runs - 1)
        queued = "SELECT count(*) = :all FROM tasks WHERE state = 'queued'"
        fleet.wait_for(queued, all=runs, seconds=120)
        for _ in range(2):
            fleet.worker("-c", "5")
        _all_completed(fleet, runs, seconds=600 if full_size else 120)

    waited = "SELECT max(started_at - queued_at) FROM tasks"
    assert fleet.value(waited) > timedelta(seconds=3 * reconcile_seconds)
    deliveries = count()
    logger.info("%s deliveries per task", deliveries / runs)
    assert runs <= deliveries <= MOST_DELIVERIES_PER_TASK * runs
    assert violations(fleet.database) == []


def test_schedules_keep_time_and_commands_work_while_redis_is_away(
    own_redis: EmbeddedRedis, fleet: Fleet, desk: Desk, *, full_size: bool
) -> None:
    """What is due is recorded on time, and done when Redis is back."""
    away = timedelta(seconds=120 if full_size else 8)
    processes = [fleet.beat(), fleet.worker("-c", "10")]
    desk.schedule("Echo", "interval", f"{EVERY_SECONDS}s")
    fleet.wait_for("SELECT count(*) >= 2 FROM tasks WHERE state = 'completed'")

    records = [_records(process) for process in processes]
    _end(own_redis)
    gone = fleet.value("SELECT now()")
    _use_the_command_line(str(desk.run("Echo", "unwanted").id))
    fleet.wait_for("SELECT now() > :back", back=gone + away, seconds=away.total_seconds() + 20)
    recorded = "SELECT count(*) FROM tasks WHERE scheduled_for BETWEEN :gone AND now()"
    assert fleet.value(recorded, gone=gone) >= away.total_seconds() // EVERY_SECONDS - 1
    own_redis.start()
    back = fleet.value("SELECT now()")
    done = """
        SELECT count(*) = 0 FROM tasks
        WHERE created_at <= :back AND state NOT IN ('completed', 'cancelled')
    """
    fleet.wait_for(done, back=back, seconds=SENT_AGAIN_SECONDS)

    logger.info("all done %s after its return", fleet.value("SELECT now()") - back)
    late = """
        SELECT percentile_disc(:share) WITHIN GROUP (ORDER BY created_at - scheduled_for) FROM tasks
    """
    usual, worst = (fleet.value(late, share=share) for share in (0.5, 1))
    logger.info("recorded %s late, at most %s", usual, worst)
    assert usual < ON_TIME
    assert worst < ON_TIME_AT_WORST
    said = [_records(process) - before for process, before in zip(processes, records, strict=True)]
    logger.info("%s log records of beat and worker in %s", said, away)
    assert max(said) <= RECORDS_ALLOWED + MOST_RECORDS_PER_SECOND * away.total_seconds()
    assert [process.poll() for process in processes] == [None, None]
    assert violations(fleet.database) == []


@contextmanager
def _counted_deliveries(url: str) -> Iterator[Callable[[], int]]:
    """Those that Redis is given in the block, where a beat pushes many by one command."""
    with (
        closing(redis.Redis.from_url(url)) as client,
        client.monitor() as monitor,  # type: ignore[no-untyped-call]
        ThreadPoolExecutor(1) as pool,
    ):
        counted = pool.submit(_count, monitor)
        try:
            yield counted.result
        finally:
            client.echo(ENOUGH)


def _count(monitor: Any) -> int:
    deliveries = 0
    for told in monitor.listen():
        command: str = told["command"]
        if command.startswith("LPUSH automagik "):
            deliveries += command.count('"delivery_tag"')
        if command == f"ECHO {ENOUGH}":
            break
    return deliveries


def _use_the_command_line(task: str) -> None:
    """All at once: an outage is short."""
    begun = {
        words: subprocess.Popen(
            [sys.executable, "-m", "automagik", *(word.format(task=task) for word in words)],
            env=os.environ,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for words in COMMANDS_WHILE_AWAY
    }
    said = {words: command.communicate(timeout=60) for words, command in begun.items()}
    codes = {words: command.returncode for words, command in begun.items()}
    assert codes == COMMANDS_WHILE_AWAY, said
    assert "Traceback" not in str(said)
    for words in (("status",), ("doctor",)):
        assert "Redis does not answer" in " ".join(said[words][0].split()), said[words]


def _copy(fleet: Fleet, task: Task, *, times: int) -> None:
    """Tasks like this one: the managers would take minutes for thousands of them."""
    own = {"id", "session_id", "idempotency_key"}
    same = [c.name for c in TaskRow.__table__.columns if c.name not in own and not c.computed]
    names = ", ".join(same)
    copies = f"""
        INSERT INTO tasks (id, session_id, {names})
        SELECT ids.id, ids.id::text, {", ".join(f"t.{name}" for name in same)}
        FROM tasks t, (SELECT gen_random_uuid() AS id FROM generate_series(1, :times)) ids
        WHERE t.id = :id
    """
    with fleet.database.transaction() as connection:
        connection.execute(text(copies), {"id": task.id, "times": times})


def _wait_for_deliveries(fleet: Fleet, client: redis.Redis, runs: int) -> None:
    """All are in Redis, but for what is on its way to the frozen worker."""
    least = runs - 10
    fleet.wait_until(
        lambda: int(client.llen("automagik")) >= least,
        seconds=SENT_AGAIN_SECONDS,
        what=f"{least} deliveries are in Redis",
    )


def _all_completed(fleet: Fleet, runs: int, *, seconds: float) -> None:
    completed = "SELECT count(*) = :all FROM tasks WHERE state = 'completed'"
    fleet.wait_for(completed, all=runs, seconds=seconds)


def _end(server: EmbeddedRedis) -> None:
    assert server.child is not None
    kill(server.child)
    server.child.wait()


def _records(process: ChildProcess) -> int:
    """Of its log. The traceback that Celery tells when it loses Redis is one with its line."""
    return len(process.log_path.read_bytes().splitlines())
