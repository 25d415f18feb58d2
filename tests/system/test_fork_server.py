"""Forked workers are as good as started ones for the tests that kill, freeze and count them."""

import os
import signal
from pathlib import Path

import psutil
import pytest

from automagik.core.config import Settings
from automagik.core.embedded.processes import ChildProcess
from tests.system.fleet import Fleet, fleet_of, kill

pytestmark = pytest.mark.system

TRAITS = ("SigBlk", "SigIgn", "SigCgt", "Threads", "Uid")


def _traits(child: ChildProcess) -> dict[str, object]:
    """As the kernel tells them."""
    assert child.pid is not None
    status = Path(f"/proc/{child.pid}/status").read_text()
    lines = (line.split(":", 1) for line in status.splitlines())
    process = psutil.Process(child.pid)
    return {name: value.strip() for name, value in lines if name in TRAITS} | {
        "leads its session": os.getsid(child.pid) == os.getpgid(child.pid) == child.pid,
        "folder": process.cwd(),
        "descriptors of the tests": [
            file.path for file in process.open_files() if not file.path.startswith("/dev/")
        ]
        == [str(child.log_path)] * 2,
        "children": len(process.children()),
    }


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="asks Linux")
def test_a_forked_worker_is_like_a_started_one(
    fleet: Fleet, settings: Settings, tmp_path: Path
) -> None:
    forked = fleet.worker("-c", "3")
    with fleet_of(settings, tmp_path / "afresh", afresh=True) as other:
        started = other.worker("-c", "3")
        assert _traits(forked) == _traits(started)
        assert fleet.value("SELECT count(DISTINCT (slots, pool, hostname)) FROM workers") == 1


def test_a_forked_worker_reads_its_own_environment(fleet: Fleet) -> None:
    fleet.worker(AUTOMAGIK_WORKER_CONCURRENCY="7")
    fleet.worker(AUTOMAGIK_WORKER_CONCURRENCY="9")
    assert [row.slots for row in fleet.rows("SELECT slots FROM workers ORDER BY 1")] == [7, 9]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_the_exit_of_a_forked_worker_is_told(fleet: Fleet, number: signal.Signals) -> None:
    worker = fleet.worker()
    assert worker.poll() is None
    kill(worker, number)
    fleet.wait_until(lambda: worker.poll() is not None, seconds=20, what="it ends")
    assert worker.wait() == (0 if number == signal.SIGTERM else -signal.SIGKILL)
    assert worker.pid is not None
    assert not psutil.pid_exists(worker.pid)
