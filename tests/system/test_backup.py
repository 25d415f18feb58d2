"""What is promised when PostgreSQL is lost and comes back as it was dumped, with runs under way."""

import subprocess
import sys
from collections import Counter
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit
from uuid import UUID

import psycopg2
import pytest
import redis

from automagik.core.config import Settings
from automagik.core.database import migrate
from automagik.core.embedded.binaries import find_postgres
from automagik.core.embedded.processes import ChildProcess
from automagik.core.exceptions import NotFound
from automagik.core.flows.flow_input import FlowInput
from automagik.core.tasks.manager import TaskManager
from automagik.core.verification import verify
from automagik.demo.server import DemoServer
from tests.system.conftest import Desk
from tests.system.fleet import Fleet, kill
from tests.system.previous import ITS_SCHEMA

pytestmark = pytest.mark.system

SLOW = {"SleepComponent-slow": {"seconds": 2.0}}
SLOTS = 2
SECONDS = 60
SECOND = timedelta(seconds=1)
ALL_ENDED = "SELECT count(*) = 0 FROM tasks WHERE run_at <= :now AND finished_at IS NULL"
RUNNING = "SELECT count(*) = :count FROM tasks WHERE state = 'running' AND flow_id = :flow"
TICKED = "SELECT count(*) >= 2 FROM tasks WHERE scheduled_for > :since AND state = 'completed'"


@dataclass(frozen=True, kw_only=True, slots=True)
class Backup:
    """A dump of PostgreSQL, by PostgreSQL's own programs."""

    url: str
    file: Path

    def make(self) -> None:
        _postgres("pg_dump", "--format=custom", f"--file={self.file}", self.url)

    def restore(self) -> None:
        """Into a new database in the place of the lost one."""
        self._administrate("CREATE DATABASE {} TEMPLATE template0")
        options = ("--exit-on-error", "--no-owner", "--dbname", self.url)
        _postgres("pg_restore", *options, str(self.file))

    def lose(self) -> None:
        """The database itself."""
        self._administrate("DROP DATABASE {} WITH (FORCE)")

    def _administrate(self, statement: str) -> None:
        parts = urlsplit(self.url)
        other = urlunsplit(parts._replace(path="/postgres"))
        with closing(psycopg2.connect(other)) as connection:
            connection.autocommit = True
            with connection.cursor() as cursor:
                cursor.execute(statement.format(parts.path.strip("/")))


@pytest.fixture
def backup(settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Backup:
    """What was missed for more than a second is late."""
    monkeypatch.setenv("AUTOMAGIK_MISFIRE_GRACE_SECONDS", "1")
    url = settings.require_database_url().replace("+psycopg2", "")
    return Backup(url=url, file=tmp_path / "automagik.dump")


def test_what_was_under_way_in_a_dump_ends_after_its_restore(
    backup: Backup, fleet: Fleet, desk: Desk, demo_server: DemoServer, settings: Settings
) -> None:
    """Though it has ended before: it is called again, or fails where that is forbidden."""
    processes = _start(fleet)
    schedule = desk.schedule("Echo", "interval", "1s")
    again, once = _run(desk, "Slow"), _run(desk, "Slow", at_most_once=True)
    fleet.wait_for(RUNNING, count=2, flow=desk.flow("Slow").id)
    waiting = [_run(desk, "Echo", at_most_once=once_only) for once_only in (False, False, True)]
    fleet.wait_for("SELECT count(*) > 1 FROM tasks WHERE state = 'queued'")

    backup.make()
    dumped_at = fleet.value("SELECT now()")
    later = desk.run("Echo", "after the dump").id
    fleet.wait_for(TICKED, since=dumped_at, seconds=SECONDS)
    fleet.wait_for(ALL_ENDED, now=fleet.value("SELECT now()"), seconds=SECONDS)
    calls = Counter(run.session_id for run in demo_server.runs)
    ticks = _completed_since(fleet, schedule.id, dumped_at)
    assert {calls[str(task)] for task in (again, once, later, *waiting)} == {1}
    assert ticks

    _lose_everything(backup, fleet, settings, processes)
    backup.restore()
    assert "already" in _automagik("db", "upgrade")
    assert fleet.value("SELECT count(*) FROM tasks WHERE state = 'running'") >= 2
    _start(fleet)
    fleet.wait_for(TICKED, since=fleet.value("SELECT now()"), seconds=SECONDS)
    fleet.wait_for(ALL_ENDED, now=fleet.value("SELECT now()"), seconds=SECONDS)

    calls = Counter(run.session_id for run in demo_server.runs)
    tasks = TaskManager(fleet.database, settings)
    found = {task: tasks.get(task) for task in (again, once, *waiting)}
    assert (found[again].state, found[again].attempt, calls[str(again)]) == ("completed", 2, 2)
    assert (found[once].state, found[once].attempt, calls[str(once)]) == ("failed", 1, 1)
    assert found[once].error_code == "AM-WORKER-LOST"
    assert {found[task].state for task in waiting} == {"completed"}
    assert {calls[str(task)] for task in waiting} == {2}, "their first calls are forgotten"
    with pytest.raises(NotFound):
        tasks.get(later)
    _made_up_by_one_run(fleet, schedule.id, ticks)
    assert verify(fleet.database, settings).violations == []


def test_a_dump_of_an_older_schema_is_upgraded_and_its_runs_end(
    backup: Backup, fleet: Fleet, desk: Desk, settings: Settings
) -> None:
    processes = _start(fleet)
    ids = [_run(desk, "Slow") for _ in range(2)]
    fleet.wait_for(RUNNING, count=2, flow=desk.flow("Slow").id)
    for process in processes:
        kill(process)
    migrate.downgrade(settings.require_database_url(), ITS_SCHEMA)
    backup.make()

    _lose_everything(backup, fleet, settings, processes)
    backup.restore()
    _automagik("db", "upgrade")
    _automagik("db", "check")
    _start(fleet)
    fleet.wait_for(ALL_ENDED, now=fleet.value("SELECT now()"), seconds=SECONDS)
    ended = fleet.rows("SELECT state, attempt FROM tasks WHERE id = ANY(:ids)", ids=ids)
    assert Counter(map(tuple, ended)) == {("completed", 2): 2}
    assert verify(fleet.database, settings).violations == []


def _start(fleet: Fleet) -> list[ChildProcess]:
    return [fleet.beat(), fleet.worker("-c", str(SLOTS))]


def _run(desk: Desk, flow: str, *, at_most_once: bool = False) -> UUID:
    tasks = TaskManager(desk.database, desk.settings)
    run_input = FlowInput(tweaks=SLOW if flow == "Slow" else {})
    return tasks.create(desk.flow(flow), run_input, actor="test", at_most_once=at_most_once).id


def _completed_since(fleet: Fleet, schedule: UUID, since: datetime) -> set[datetime]:
    query = """
    SELECT scheduled_for FROM tasks
    WHERE schedule_id = :id AND scheduled_for > :since AND state = 'completed'
    """
    return {row.scheduled_for for row in fleet.rows(query, id=schedule, since=since)}


def _made_up_by_one_run(fleet: Fleet, schedule: UUID, ticks: set[datetime]) -> None:
    """Though each of them had run: nobody knows that any more."""
    query = """
    SELECT tick FROM unnest(CAST(:ticks AS timestamptz[])) tick
    JOIN skipped_occurrences ON tick BETWEEN first_at AND last_at WHERE schedule_id = :id
    """
    skipped = {row.tick for row in fleet.rows(query, ticks=list(ticks), id=schedule)}
    ran_again = _completed_since(fleet, schedule, min(ticks) - SECOND) & ticks
    assert len(ran_again) <= 1
    assert skipped | ran_again == ticks
    assert not skipped & ran_again


def _lose_everything(
    backup: Backup, fleet: Fleet, settings: Settings, processes: list[ChildProcess]
) -> None:
    for process in processes:
        if process.poll() is None:
            kill(process)
            process.wait()
    fleet.database.dispose()
    backup.lose()
    with closing(redis.Redis.from_url(settings.require_redis_url())) as client:
        client.flushall()


def _automagik(*words: str) -> str:
    command = [sys.executable, "-m", "automagik", *words]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


def _postgres(program: str, *arguments: str) -> None:
    path = find_postgres().path.with_name(program)
    if not path.exists():
        pytest.skip(f"{program} is not beside the PostgreSQL of these tests")
    done = subprocess.run([path, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
