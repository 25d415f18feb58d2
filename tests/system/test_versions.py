"""Code and schema of different versions: what does not fit refuses, what fits loses nothing."""

import re
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import text

from automagik.core.config import Settings
from automagik.core.database import migrate
from automagik.core.database.exceptions import SchemaOutdated
from automagik.demo.server import DemoServer
from tests.conftest import new_database, settings_in
from tests.system.conftest import Desk
from tests.system.fleet import Fleet, fleet_of, kill
from tests.system.history import violations
from tests.system.load import add_slow_runs
from tests.system.previous import ITS_SCHEMA, Previous, unpack

pytestmark = pytest.mark.system

CELERY = (sys.executable, "-m", "celery", "-A", "automagik")
PROGRAMS = {
    "beat": (*CELERY, "beat"),
    "worker": (*CELERY, "worker"),
    "command line": (sys.executable, "-m", "automagik", "tasks", "list"),
}
RUNS = 24


def test_an_older_schema_is_refused(settings: Settings) -> None:
    migrate.downgrade(settings.require_database_url(), ITS_SCHEMA)

    _all_refuse(f"revision {ITS_SCHEMA}", "Run: automagik db upgrade")


def test_a_newer_schema_is_refused(fleet: Fleet) -> None:
    with fleet.database.transaction() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))

    _all_refuse("revision 9999, newer than", "Upgrade AutoMagik on this host.")


@pytest.fixture
def settings_of_both(
    postgres_server_url: str,
    redis_url: str,
    demo_server: DemoServer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Settings]:
    """With an empty database: the previous version makes its own schema."""
    with (
        new_database(postgres_server_url, template="template1") as url,
        settings_in(
            monkeypatch,
            AUTOMAGIK_HOME=str(tmp_path / "home"),
            DATABASE_URL=url,
            REDIS_URL=redis_url,
            # While the tables are rebuilt nobody can extend a lease.
            AUTOMAGIK_LEASE_SECONDS="30",
        ) as settings,
    ):
        monkeypatch.setenv("LANGFLOW_API_URL", demo_server.url)
        monkeypatch.setenv("LANGFLOW_API_KEY", demo_server.api_key)
        yield settings


@pytest.fixture
def previous(settings_of_both: Settings, tmp_path: Path) -> Iterator[Previous]:
    """Its database and the flows of the demo server, as its own commands made them."""
    version = Previous(unpack(tmp_path / "previous"), tmp_path / "logs")
    try:
        version.automagik("db", "init")
        version.automagik("flows", "sync")
        yield version
    finally:
        version.stop()


def test_an_upgrade_under_way_loses_nothing(
    previous: Previous, settings_of_both: Settings, demo_server: DemoServer, tmp_path: Path
) -> None:
    """A worker of the previous version works on while the schema is migrated, then beside a new."""
    worker = previous.start("worker", "-c", "4", "--hostname", "previous@%h")
    beat = previous.start("beat")
    previous.automagik("schedules", "create", "Echo", "--every", "1s", "--name", "tick")
    with fleet_of(settings_of_both, tmp_path / "logs") as fleet:
        add_slow_runs(fleet, RUNS, seconds=0.5)
        at_work = "SELECT count(*) FILTER (WHERE state = :state) >= :least FROM tasks"
        fleet.wait_for(at_work, state="completed", least=4, seconds=40)
        fleet.wait_for(at_work, state="running", least=1)
        migrate.upgrade(settings_of_both.require_database_url())
        migrated = fleet.value("SELECT now()")

        fleet.beat()
        kill(beat, signal.SIGTERM)
        new = fleet.worker("-c", "4")
        add_slow_runs(fleet, RUNS, seconds=0.5)
        Desk(database=fleet.database, settings=settings_of_both).schedule(
            "Echo", "interval", "1s", name="tock"
        )
        fleet.wait_for(
            "SELECT count(*) >= 3 FROM tasks t JOIN schedules s"
            " ON s.id = t.schedule_id WHERE s.name = 'tock' AND t.state = 'completed'",
            seconds=40,
        )
        kill(worker, signal.SIGTERM)
        fleet.wait_until(lambda: worker.poll() == 0, seconds=30, what="the worker has drained")
        end = fleet.value("SELECT now()")
        late = "SELECT count(*) = 0 FROM tasks WHERE run_at <= :end AND state <> 'completed'"
        fleet.wait_for(late, end=end, seconds=40)

        _both_worked(fleet, migrated)
        assert fleet.value("SELECT max(attempt) FROM tasks") == 1
        calls = Counter(run.session_id for run in demo_server.runs)
        assert max(calls.values()) == 1
        assert new.poll() is None
        said = worker.tail(10_000)
        assert not re.search(r'Traceback| ERROR/|"level": "error"', said), said
        assert violations(fleet.database) == []


def _both_worked(fleet: Fleet, migrated: object) -> None:
    names = fleet.rows(
        "SELECT split_part(worker_name, '@', 1) AS name, count(*) FROM task_attempts"
        " WHERE started_at > :migrated GROUP BY 1 ORDER BY 1",
        migrated=migrated,
    )
    assert [row.name for row in names] == ["previous", "worker1"]


def _all_refuse(words: str, hint: str) -> None:
    """Each ends by itself with one line that says why, and what to run."""
    started = {
        name: subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        for name, argv in PROGRAMS.items()
    }
    for name, process in started.items():
        said, _ = process.communicate(timeout=60)
        assert process.returncode == SchemaOutdated.exit_code, (name, said)
        assert "Traceback" not in said, said
        [line] = [line for line in said.splitlines() if words in line]
        assert hint in " ".join(said.split()), (name, line)
