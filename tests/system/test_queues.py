"""Workers bound to queues, and queues that somebody pauses."""

import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass

import pytest
import redis
from sqlalchemy import text

from automagik.core.config import Settings
from automagik.core.flows.flow_input import FlowInput
from automagik.core.health.status import examine
from automagik.core.queues import QueueManager, ensure_queue
from automagik.core.tasks.manager import TaskManager
from automagik.core.tasks.values import Task
from tests.system.conftest import Desk
from tests.system.fleet import Fleet
from tests.system.history import violations

pytestmark = pytest.mark.system


@dataclass(frozen=True, kw_only=True, slots=True)
class Counter:
    """Where runs are put into queues."""

    fleet: Fleet
    desk: Desk
    queues: QueueManager
    redis: redis.Redis

    def run(self, queue: str) -> Task:
        tasks = TaskManager(self.desk.database, self.desk.settings)
        return tasks.create(self.desk.flow("Echo"), FlowInput(), actor="test", queue=queue)

    def state(self, task: Task) -> str:
        return str(self.fleet.value("SELECT state FROM tasks WHERE id = :id", id=task.id))

    def wait(self, task: Task, state: str = "completed") -> None:
        query = "SELECT state = :state FROM tasks WHERE id = :id"
        self.fleet.wait_for(query, id=task.id, state=state)


@pytest.fixture
def counter(fleet: Fleet, desk: Desk, settings: Settings) -> Iterator[Counter]:
    with fleet.database.transaction() as connection:
        ensure_queue(connection, "gpu")
    queues = QueueManager(fleet.database, settings)
    with closing(redis.Redis.from_url(settings.require_redis_url())) as client:
        yield Counter(fleet=fleet, desk=desk, queues=queues, redis=client)


def test_a_worker_takes_from_its_queues_and_from_no_other(
    counter: Counter, settings: Settings
) -> None:
    fleet = counter.fleet
    fleet.beat()
    worker = fleet.worker("-Q", "gpu")
    usual, special = counter.run("automagik"), counter.run("gpu")
    counter.wait(special)
    counter.wait(usual, "pending")
    assert counter.redis.llen("automagik") == 0, "it would hold a place of its source"
    assert [problem.what for problem in examine(settings).problems] == [
        "No worker takes from the queue automagik: 1 task waits."
    ]

    counter.redis.lpush("gpu", "junk", "{}")
    counter.wait(counter.run("gpu"))
    assert worker.tail(1000).count("Dropped from gpu what is no delivery") == 2

    fleet.worker("-Q", "automagik,other")
    counter.wait(usual)
    assert fleet.rows("SELECT queues FROM workers ORDER BY started_at") == [
        (["gpu"],),
        (["automagik", "other"],),
    ]
    assert {queue.name: queue.workers for queue in counter.queues.list()} == {
        "automagik": 1,
        "gpu": 1,
        "other": 1,
    }
    assert violations(fleet.database) == []


def test_celerys_remote_control_still_gets_its_replies(counter: Counter) -> None:
    """They come through lists in Redis, too, and are no deliveries."""
    counter.fleet.worker("-Q", "gpu")
    name = counter.fleet.value("SELECT name FROM workers")
    told = _celery("inspect", "active_queues", "--destination", name, "--timeout", "30")

    assert told.returncode == 0, told.stderr
    assert "'name': 'gpu'" in told.stdout


def test_nothing_of_a_paused_queue_starts_until_it_is_resumed(counter: Counter) -> None:
    """Not what was sent before, either; no attempt is used, and other queues go on."""
    fleet = counter.fleet
    fleet.beat(AUTOMAGIK_BEAT_MAX_WAIT_SECONDS="30")
    sent = counter.run("gpu")
    counter.wait(sent, "queued")
    counter.queues.pause("gpu", reason="new driver")
    late = counter.run("gpu")
    fleet.worker("-Q", "gpu,automagik")
    counter.wait(sent, "waiting")
    counter.wait(counter.run("automagik"))
    assert counter.state(late) == "pending"
    assert fleet.value("SELECT max(attempt) FROM tasks WHERE queue = 'gpu'") == 0

    counter.queues.resume("gpu")
    for task in (sent, late):
        counter.wait(task)
    assert fleet.value("SELECT max(attempt) FROM tasks") == 1
    assert violations(fleet.database) == []


@pytest.mark.parametrize(
    "words, environment",
    [
        (("worker", "-Q", "automagik,not valid"), {}),
        (("worker",), {"AUTOMAGIK_QUEUE": "not valid"}),
        (("beat",), {"AUTOMAGIK_QUEUE": "not valid"}),
    ],
)
def test_a_wrong_name_ends_the_start_with_one_line(
    counter: Counter,
    words: tuple[str, ...],
    environment: Mapping[str, str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    ended = _celery(*words)

    assert ended.returncode == 2
    [line] = [line for line in ended.stderr.splitlines() if "no name for a queue" in line]
    assert "'not valid'" in line
    assert "begins with a letter" in line
    assert "Traceback" not in ended.stderr
    with counter.fleet.database.transaction() as connection:
        assert connection.scalar(text("SELECT count(*) FROM workers")) == 0


def _celery(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "celery", "-A", "automagik", *words],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
