"""What becomes of runs when LangFlow misbehaves, on both kinds of pool."""

import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import timedelta
from threading import Event
from typing import Any

import psutil
import pytest
import redis

from automagik.core.tasks.manager import TaskManager
from automagik.core.tasks.values import Task
from automagik.demo.connection import Connection
from automagik.demo.faults import (
    Fault,
    after,
    answer,
    broken_json,
    chatter,
    cut_stream,
    drip,
    hang,
    html_page,
    huge,
    reset,
)
from automagik.demo.server import DemoServer
from tests.conftest import new_database, settings_in
from tests.system.conftest import Desk, desk_at
from tests.system.fleet import Fleet, fleet_of
from tests.system.history import violations

pytestmark = pytest.mark.system

DEADLINE = timedelta(seconds=2)
LATENESS = timedelta(seconds=1.5)
RETRY_AFTER = timedelta(seconds=2)
MEGABYTE = 1024 * 1024
MAX_ANSWER_BYTES = 16 * MEGABYTE
OFFERED_BYTES = 1024 * MEGABYTE
HTML = {"content-type": "text/html"}


@dataclass(frozen=True, kw_only=True, slots=True)
class Site:
    """One beat, one worker, and a server whose flow Echo misbehaves as a test says."""

    fleet: Fleet
    desk: Desk
    server: DemoServer
    faults: dict[str, Fault]
    worker: psutil.Process

    def run(self, *, within: float = 20, **options: Any) -> Any:
        """Runs Echo to its end; the row of its task."""
        task = self.desk.run("Echo", "hello", **options)
        self.fleet.wait_until(lambda: self.has_ended(task), seconds=within, what="the run ends")
        return self.row(task)

    def has_ended(self, task: Task) -> bool:
        query = "SELECT finished_at IS NOT NULL FROM tasks WHERE id = :id"
        return bool(self.fleet.value(query, id=task.id))

    def row(self, task: Task) -> Any:
        [row] = self.fleet.rows("SELECT * FROM tasks WHERE id = :id", id=task.id)
        return row

    def attempts(self, task: Any) -> list[Any]:
        query = "SELECT * FROM task_attempts WHERE task_id = :id ORDER BY attempt"
        return self.fleet.rows(query, id=task.id)

    def memory(self) -> int:
        """Bytes, with the children of a prefork worker."""
        processes = [self.worker, *self.worker.children(recursive=True)]
        return sum(process.memory_info().rss for process in processes)


@pytest.fixture(scope="module", params=["threads", "prefork"])
def running(
    request: pytest.FixtureRequest,
    postgres_server_url: str,
    redis_server_url: str,
    migrated_template: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Site]:
    """Started once for all tests of a pool."""
    folder = tmp_path_factory.mktemp("bad-sources")
    faults: dict[str, Fault] = {}
    with (
        pytest.MonkeyPatch.context() as patch,
        new_database(postgres_server_url, template=migrated_template) as url,
        settings_in(
            patch,
            AUTOMAGIK_HOME=str(folder / "home"),
            AUTOMAGIK_MAX_ANSWER_BYTES=str(MAX_ANSWER_BYTES),
            DATABASE_URL=url,
            REDIS_URL=redis_server_url,
        ) as settings,
        fleet_of(settings, folder / "logs") as fleet,
        DemoServer(faults=faults) as server,
    ):
        with closing(redis.Redis.from_url(redis_server_url)) as client:
            client.flushdb()
        desk = desk_at(fleet, settings, server)
        fleet.beat()
        worker = psutil.Process(fleet.worker("-P", request.param, "-c", "2").pid)
        yield Site(fleet=fleet, desk=desk, server=server, faults=faults, worker=worker)


@pytest.fixture
def site(running: Site) -> Iterator[Site]:
    """As a test finds it: without faults, and everything before it has ended."""
    yield running
    running.faults.clear()
    assert violations(running.fleet.database) == []


@pytest.mark.parametrize("fault", [hang(), drip(seconds=1)], ids=["hangs", "drips"])
def test_a_deadline_is_kept_whatever_the_server_does(site: Site, fault: Fault) -> None:
    site.faults["echo"] = fault
    task = site.run(timeout=DEADLINE, max_retries=0)
    assert (task.state, task.error_code) == ("failed", "AM-SRC-DEADLINE")
    [attempt] = site.attempts(task)
    took = attempt.finished_at - attempt.started_at
    assert DEADLINE <= took < DEADLINE + LATENESS


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        (reset(), "AM-SRC-UNREACHABLE"),
        (answer(500, '{"detail": "sorry"}'), "AM-SRC-RUN"),
        (answer(502, "bad gateway", headers=HTML), "AM-SRC-SERVER"),
    ],
    ids=["reset", "500", "502"],
)
def test_a_passing_failure_is_tried_again(site: Site, fault: Fault, code: str) -> None:
    site.faults["echo"] = _once(fault, site.faults)
    task = site.run(max_retries=1)
    assert (task.state, task.output_text) == ("completed", "hello")
    first, second = site.attempts(task)
    assert (first.outcome, first.error_code) == ("failed", code)
    assert second.outcome == "completed"


def test_a_second_attempt_comes_no_sooner_than_the_server_asks(site: Site) -> None:
    seconds = str(int(RETRY_AFTER.total_seconds()))
    busy = answer(429, '{"detail": "busy"}', headers={"retry-after": seconds})
    site.faults["echo"] = _once(busy, site.faults)
    task = site.run(max_retries=1)
    assert task.state == "completed"
    first, second = site.attempts(task)
    assert first.error_code == "AM-SRC-RATE"
    assert second.started_at - first.finished_at >= RETRY_AFTER


@pytest.mark.parametrize("fault", [broken_json(), html_page()], ids=["json", "html"])
def test_what_is_no_answer_of_langflow_fails_at_once(site: Site, fault: Fault) -> None:
    site.faults["echo"] = fault
    task = site.run(max_retries=3)
    assert (task.state, task.error_code) == ("failed", "AM-SRC-ANSWER")
    assert len(site.attempts(task)) == 1


@pytest.mark.timeout(240)
@pytest.mark.parametrize(
    ("cut_after", "code"),
    [
        (lambda seconds: after(seconds, reset()), "AM-SRC-UNREACHABLE"),
        (lambda seconds: after(seconds, answer(504, "too late", headers=HTML)), "AM-SRC-SERVER"),
        (cut_stream, "AM-SRC-UNREACHABLE"),
    ],
    ids=["dropped", "504", "mid-stream"],
)
def test_a_run_that_a_proxy_cuts_off_is_tried_again(
    site: Site, cut_after: Callable[[float], Fault], code: str, *, full_size: bool
) -> None:
    """At its time, which most proxies set to a minute, and not at the deadline of the run."""
    patience = timedelta(seconds=60 if full_size else 2)
    site.faults["echo"] = _once(cut_after(patience.total_seconds()), site.faults)
    limit = 1.5 * patience
    task = site.run(max_retries=1, timeout=limit, within=20 + limit.total_seconds())
    assert (task.state, task.output_text) == ("completed", "hello")
    first, second = site.attempts(task)
    assert (first.outcome, first.error_code) == ("failed", code)
    assert patience <= first.finished_at - first.started_at < limit
    assert second.outcome == "completed"


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        (huge(OFFERED_BYTES), "AM-SRC-SIZE"),
        (huge(OFFERED_BYTES, status=400), "AM-SRC-REQUEST"),
        (chatter(OFFERED_BYTES, text=10 * "and so on "), "AM-SRC-SIZE"),
    ],
    ids=["answer", "refusal", "stream"],
)
def test_a_gigabyte_fails_at_once_and_does_not_fill_the_memory(
    site: Site, fault: Fault, code: str
) -> None:
    """Hardly more than the limit is ever held."""
    site.run()
    before = most = site.memory()
    site.faults["echo"] = fault
    running = site.desk.run("Echo", max_retries=3)

    def ended() -> bool:
        nonlocal most
        most = max(most, site.memory())
        return site.has_ended(running)

    site.fleet.wait_until(ended, seconds=60, what="the run ends")
    task = site.row(running)
    assert (task.state, task.error_code, task.attempt) == ("failed", code, 1)
    assert most - before < 3 * MAX_ANSWER_BYTES


def test_cancelling_closes_the_connection_to_the_server(site: Site) -> None:
    seconds = {"SleepComponent-slow": {"seconds": 60.0}}
    task = site.desk.run("Slow", "cancelled", tweaks=seconds)
    site.server.wait_for_runs(lambda runs: runs[-1:] != [] and runs[-1].input_value == "cancelled")
    begun = time.monotonic()
    TaskManager(site.desk.database, site.desk.settings).cancel(task.id, actor="test")
    [row] = site.fleet.rows("SELECT * FROM tasks WHERE id = :id", id=task.id)
    assert row.state == "cancelled"
    assert time.monotonic() - begun < 1
    site.server.wait_for_runs(lambda runs: runs[-1].outcome == "aborted", seconds=5)


def _once(fault: Fault, faults: dict[str, Fault]) -> Fault:
    """For one request; the next is answered properly."""

    def first(connection: Connection, stopping: Event) -> None:
        faults.clear()
        fault(connection, stopping)

    return first
