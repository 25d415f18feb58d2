"""What is promised while PostgreSQL or Redis is away, and when it comes back."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import pytest

from automagik.core.config import with_driver
from automagik.core.database.migrate import upgrade
from automagik.core.embedded.postgres import EmbeddedPostgres
from automagik.core.embedded.redis_server import EmbeddedRedis
from automagik.core.embedded.server import EmbeddedServer
from automagik.core.exceptions import Unreachable
from automagik.demo.server import DemoServer
from tests.conftest import settings_in
from tests.system.conftest import Desk, desk_at
from tests.system.fleet import Fleet, fleet_of
from tests.system.history import violations

pytestmark = pytest.mark.system

RUNS = 200
# With 10 slots the runs take about ten seconds, so that each outage meets some of them.
SLOW = {"SleepComponent-slow": {"seconds": 0.5}}
REDIS_AWAY_SECONDS = 8
ON_TIME = timedelta(seconds=1.5)


@pytest.fixture
def postgres(embedded_home: Path) -> Iterator[EmbeddedPostgres]:
    """With our schema. It writes what is committed before it says so: it is going to be killed."""
    server = EmbeddedPostgres(embedded_home, options={"fsync": "off"})
    upgrade(with_driver(server.start()))
    yield server
    server.stop()


@pytest.fixture
def own_redis(embedded_home: Path) -> Iterator[EmbeddedRedis]:
    server = EmbeddedRedis(embedded_home)
    server.start()
    yield server
    server.stop()


@contextmanager
def _working_on(
    postgres: EmbeddedPostgres, redis_url: str, folder: Path
) -> Iterator[tuple[Fleet, Desk]]:
    urls = {"DATABASE_URL": postgres.url, "REDIS_URL": redis_url}
    with (
        pytest.MonkeyPatch.context() as patch,
        settings_in(patch, AUTOMAGIK_HOME=str(folder / "home"), **urls) as settings,
        fleet_of(settings, folder / "logs") as fleet,
        DemoServer() as demo_server,
    ):
        yield fleet, desk_at(fleet, settings, demo_server)


def test_runs_survive_three_restarts_of_postgresql(
    postgres: EmbeddedPostgres, redis_url: str, tmp_path: Path
) -> None:
    """Killed, shut down and killed again under way; beat and worker come back by themselves."""
    with _working_on(postgres, redis_url, tmp_path) as (fleet, desk):
        processes = [fleet.beat(), fleet.worker("-c", "10")]
        for number in range(RUNS):
            desk.run("Slow", str(number), tweaks=SLOW)
        for quarter, how in enumerate((signal.SIGKILL, signal.SIGINT, signal.SIGKILL), start=1):
            completed = "SELECT count(*) >= :some FROM tasks WHERE state = 'completed'"
            fleet.wait_for(completed, some=quarter * RUNS // 4, seconds=40)
            assert fleet.value("SELECT count(*) > 0 FROM tasks WHERE state = 'running'")
            _end(postgres, how)
            postgres.start()
            fleet.database.dispose()

        all_completed = "SELECT count(*) = :all FROM tasks WHERE state = 'completed'"
        fleet.wait_for(all_completed, all=RUNS, seconds=40)
        assert [process.poll() for process in processes] == [None, None]
        assert violations(fleet.database) == []


def test_schedules_keep_time_while_redis_is_away(
    fleet: Fleet, desk: Desk, own_redis: EmbeddedRedis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is due is recorded on time, and done when Redis is back."""
    monkeypatch.setenv("REDIS_URL", own_redis.url)
    processes = [fleet.beat(), fleet.worker()]
    desk.schedule("Echo", "interval", "1s")
    fleet.wait_for("SELECT count(*) >= 2 FROM tasks WHERE state = 'completed'")

    _end(own_redis, signal.SIGKILL)
    gone = fleet.value("SELECT now()")
    away = timedelta(seconds=REDIS_AWAY_SECONDS)
    fleet.wait_for("SELECT now() > :back", back=gone + away)
    recorded = "SELECT count(*) FROM tasks WHERE scheduled_for BETWEEN :gone AND now()"
    assert fleet.value(recorded, gone=gone) >= REDIS_AWAY_SECONDS - 1
    own_redis.start()
    back = fleet.value("SELECT now()")
    late = "SELECT count(*) = 0 FROM tasks WHERE scheduled_for <= :back AND state <> 'completed'"
    fleet.wait_for(late, back=back, seconds=30)

    assert fleet.value("SELECT max(created_at - scheduled_for) FROM tasks") < ON_TIME
    assert [process.poll() for process in processes] == [None, None]
    assert violations(fleet.database) == []


@pytest.mark.parametrize("program", ["worker", "beat"])
def test_a_start_without_postgresql_ends_with_one_clear_line(
    fleet: Fleet, free_port: int, program: str
) -> None:
    url = f"postgresql://nobody:nothing@127.0.0.1:{free_port}/automagik"
    ended = subprocess.run(
        [sys.executable, "-m", "celery", "-A", "automagik", program],
        env=os.environ | {"DATABASE_URL": url},
        stderr=subprocess.PIPE,
        text=True,
        timeout=30,
        check=False,
    )
    assert ended.returncode == Unreachable.exit_code
    assert "Traceback" not in ended.stderr
    [line] = [line for line in ended.stderr.splitlines() if "PostgreSQL" in line]
    assert "Connection refused" in line
    assert "automagik up" in line
    assert violations(fleet.database) == []


def _end(server: EmbeddedServer, how: signal.Signals) -> None:
    """SIGINT is PostgreSQL's fast shutdown."""
    assert server.child is not None
    assert server.child.pid is not None
    os.kill(server.child.pid, how)
    server.child.wait()
