"""What each of Celery's pools can do, and which are refused."""

import os
import subprocess
import sys

import pytest

from automagik.core.exceptions import ConfigurationError
from automagik.core.tasks.manager import TaskManager
from automagik.demo.server import DemoServer
from tests.system.conftest import Desk
from tests.system.fleet import Fleet
from tests.system.history import violations
from workers import pools

pytestmark = pytest.mark.system

SLOW = {"SleepComponent-slow": {"seconds": 60.0}}


def test_a_solo_worker_keeps_and_breaks_off_its_one_run(
    fleet: Fleet, desk: Desk, demo_server: DemoServer
) -> None:
    """Its only thread for work is busy: the heartbeat keeps the lease and hears of the end."""
    fleet.beat()
    fleet.worker("-P", "solo")
    assert fleet.value("SELECT slots FROM workers WHERE pool = 'solo'") == 1
    task = desk.run("Slow", tweaks=SLOW)
    demo_server.wait_for_runs(lambda runs: len(runs) == 1, seconds=20)
    first = fleet.value("SELECT lease_expires_at FROM tasks")
    fleet.wait_for("SELECT lease_expires_at > :first FROM tasks", first=first)

    TaskManager(desk.database, desk.settings).cancel(task.id, actor="test")
    demo_server.wait_for_runs(lambda runs: runs[0].outcome == "aborted", seconds=5)
    after = desk.run("Echo")
    fleet.wait_for("SELECT state = 'completed' FROM tasks WHERE id = :id", id=after.id)
    assert violations(fleet.database) == []


def test_a_pool_that_could_not_break_off_runs_is_refused_in_one_line(fleet: Fleet) -> None:
    """Any other than those known is; gevent and eventlet themselves are not installed here."""
    ended = subprocess.run(
        [sys.executable, "-m", "celery", "-A", "automagik", "worker", "-P", "custom"],
        env=os.environ | {"CELERY_CUSTOM_WORKER_POOL": "celery.concurrency.base:BasePool"},
        stderr=subprocess.PIPE,
        text=True,
        timeout=60,
        check=False,
    )
    assert ended.returncode == ConfigurationError.exit_code
    assert "Traceback" not in ended.stderr
    [line] = [line for line in ended.stderr.splitlines() if "automagik:" in line]
    assert "cannot have the pool 'base'" in line
    assert "-P threads" in line
    assert fleet.value("SELECT count(*) FROM workers") == 0


@pytest.mark.parametrize("name", ["gevent", "eventlet"])
def test_green_threads_are_refused(name: str) -> None:
    with pytest.raises(ConfigurationError, match=name):
        pools.admitted(name)
