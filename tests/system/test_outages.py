"""What is promised while PostgreSQL is away, and when it comes back."""

import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path

import pytest

from automagik.core.config import with_driver
from automagik.core.database.migrate import upgrade
from automagik.core.embedded.postgres import EmbeddedPostgres
from automagik.core.exceptions import Unreachable
from automagik.demo.server import DemoServer
from tests.conftest import settings_in
from tests.system.conftest import Desk, desk_at
from tests.system.fleet import Fleet, fleet_of
from tests.system.history import violations
from tests.system.load import add_slow_runs

pytestmark = pytest.mark.system

SEED = 5
# Ten slots do twenty runs a second, so that each outage meets some of them.
SLOTS, RUN_SECONDS = 10, 0.5
# A crash; a fast shutdown, which ends the sessions; an immediate one, which just drops them.
WAYS = (signal.SIGKILL, signal.SIGINT, signal.SIGQUIT)


@dataclass(frozen=True, kw_only=True, slots=True)
class Size:
    """`pauses`: at least and at most so many seconds between two restarts."""

    runs: int
    pauses: tuple[float, float]
    restarts: int


SMALL = Size(runs=200, pauses=(1.5, 4), restarts=2)
FULL = Size(runs=2000, pauses=(5, 20), restarts=5)


@pytest.fixture
def postgres(embedded_home: Path) -> Iterator[EmbeddedPostgres]:
    """With our schema. It writes what is committed before it says so: it is going to be killed."""
    server = EmbeddedPostgres(embedded_home, options={"fsync": "off"})
    upgrade(with_driver(server.start()))
    yield server
    server.stop()


@contextmanager
def _working_on(
    postgres: EmbeddedPostgres, redis_url: str, folder: Path
) -> Iterator[tuple[Fleet, Desk, DemoServer]]:
    environment = {
        "AUTOMAGIK_HOME": str(folder / "home"),
        "DATABASE_URL": postgres.url,
        "REDIS_URL": redis_url,
        # Longer than any outage: a run that starts again would have no excuse.
        "AUTOMAGIK_LEASE_SECONDS": "20",
    }
    with (
        pytest.MonkeyPatch.context() as patch,
        settings_in(patch, **environment) as settings,
        fleet_of(settings, folder / "logs") as fleet,
        DemoServer() as demo_server,
    ):
        yield fleet, desk_at(fleet, settings, demo_server), demo_server


@pytest.mark.timeout(900)
def test_runs_survive_restarts_of_postgresql(
    postgres: EmbeddedPostgres, redis_url: str, tmp_path: Path, *, full_size: bool
) -> None:
    """Again and again, in each way: beat and worker come back by themselves, each run runs once."""
    size = FULL if full_size else SMALL
    with _working_on(postgres, redis_url, tmp_path) as (fleet, _, demo_server):
        processes = [fleet.beat(), fleet.worker("-c", str(SLOTS))]
        add_slow_runs(fleet, size.runs, seconds=RUN_SECONDS)
        assert _restart_until_all_is_done(fleet, postgres, size) >= size.restarts

        assert [process.poll() for process in processes] == [None, None]
        assert violations(fleet.database) == []
        attempts = {str(task.id): task.attempt for task in fleet.rows("SELECT * FROM tasks")}
        assert Counter(attempts.values()) == {1: size.runs}
        assert Counter(run.session_id for run in demo_server.runs) == attempts
        for process in processes:
            assert "Traceback" not in process.tail(100_000)


def _restart_until_all_is_done(fleet: Fleet, postgres: EmbeddedPostgres, size: Size) -> int:
    """How often that was."""
    chance, ways, restarts = random.Random(SEED), cycle(WAYS), 0
    give_up = time.monotonic() + 60 + size.runs * RUN_SECONDS
    while not _waits(fleet, seconds=chance.uniform(*size.pauses)):
        assert time.monotonic() < give_up, fleet.logs()
        _end(postgres, next(ways))
        postgres.start()
        fleet.database.dispose()
        restarts += 1
    return restarts


def _waits(fleet: Fleet, *, seconds: float) -> bool:
    """Whether all runs were completed before so many seconds were over."""
    over = time.monotonic() + seconds
    is_done = False

    def holds() -> bool:
        nonlocal is_done
        is_done = fleet.value("SELECT count(*) = 0 FROM tasks WHERE state <> 'completed'")
        return is_done or time.monotonic() > over

    fleet.wait_until(holds, seconds=2 * seconds + 10, what="the next restart is due")
    return is_done


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


def _end(server: EmbeddedPostgres, how: signal.Signals) -> None:
    """SIGINT is PostgreSQL's fast shutdown."""
    assert server.child is not None
    assert server.child.pid is not None
    os.kill(server.child.pid, how)
    server.child.wait()
