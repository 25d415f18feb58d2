"""`automagik up` as a person runs it: a home, a terminal, a second shell, and accidents."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

pytestmark = [pytest.mark.system, pytest.mark.timeout(180)]

Automagik = Callable[..., "subprocess.CompletedProcess[str]"]


class Up:
    """One `automagik up` in a home of its own."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.environment = {
            name: value
            for name, value in os.environ.items()
            if name not in ("DATABASE_URL", "REDIS_URL", "LANGFLOW_API_URL", "LANGFLOW_API_KEY")
        } | {"AUTOMAGIK_HOME": str(home), "AUTOMAGIK_LEASE_SECONDS": "2"}
        self.log = home / "up.log"
        self.process: subprocess.Popen[bytes] | None = None

    def start(self, *arguments: str) -> None:
        self.log.write_text("")
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "automagik", "up", *arguments],
                env=self.environment,
                stdout=log,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
            )

    def wait_for(self, pattern: str, *, seconds: float = 45) -> None:
        self.wait_until(lambda: bool(re.search(pattern, self.said)), pattern, seconds=seconds)

    def wait_until(self, holds: Callable[[], bool], what: str, *, seconds: float = 45) -> None:
        end = time.monotonic() + seconds
        while not holds():
            assert time.monotonic() < end, f"not within {seconds} s: {what}\n{self.said}"
            time.sleep(0.05)

    @property
    def said(self) -> str:
        return self.log.read_text()

    def ask(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        """Another command in the same home, without any variable for the servers."""
        return subprocess.run(
            [sys.executable, "-m", "automagik", *arguments],
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )

    def end(self, number: signal.Signals) -> int:
        assert self.process is not None
        self.process.send_signal(number)
        return self.process.wait(60)

    def processes(self) -> list[psutil.Process]:
        """Everything that runs for this home, zombies aside."""
        return [p for p in psutil.process_iter() if p.pid != os.getpid() and self._owns(p)]

    def _owns(self, process: psutil.Process) -> bool:
        try:
            alive = process.status() != psutil.STATUS_ZOMBIE
            words = " ".join(process.cmdline())
            home = process.environ().get("AUTOMAGIK_HOME", "")
        except psutil.Error:
            return False
        return alive and (str(self.home) in words or home == str(self.home))


@pytest.fixture
def up(embedded_home: Path) -> Iterator[Up]:
    run = Up(embedded_home)
    yield run
    for process in run.processes():
        process.kill()
    if run.process is not None:
        run.process.wait(10)
    psutil.wait_procs(run.processes(), timeout=10)


def test_the_demo_runs_flows_for_everybody_in_the_home(up: Up) -> None:
    """Ready, running, found by other commands, refused twice, and stopped in order by Ctrl-C."""
    up.start("--demo")
    up.wait_for(r"✓ completed Echo · demo-echo")

    run = up.ask("flows", "run", "Echo", "--input", "from another shell", "--wait")
    assert (run.returncode, run.stdout) == (0, "from another shell")
    assert up.ask("status").returncode == 0
    second = up.ask("up")
    assert second.returncode == 6
    assert "Another `automagik up` runs in" in second.stderr

    assert up.end(signal.SIGINT) == 0
    stopped = re.findall(r"○ (\w+) +stopped", up.said)
    assert stopped == ["beat", "worker", "demo", "Redis", "PostgreSQL"]
    assert up.processes() == []
    after = up.ask("tasks", "list")
    assert after.returncode == 2
    assert "automagik up" in after.stderr


def test_a_killed_up_leaves_nothing_running_and_loses_nothing(up: Up) -> None:
    """Also when it is killed in the middle of a run, which the next start brings to its end."""
    up.start("--demo")
    up.wait_for(r"✓ completed Echo · demo-echo")
    tweak = "SleepComponent-slow.seconds=3"
    task_id = up.ask("flows", "run", "Slow", "--input", "later", "--tweak", tweak).stdout.strip()
    up.wait_for(r"● started +Slow")
    assert up.end(signal.SIGKILL) == -signal.SIGKILL
    up.wait_until(lambda: up.processes() == [], "nothing is left running", seconds=15)

    up.start("--demo")
    up.wait_for(r"✓ completed Slow")
    shown = up.ask("tasks", "output", task_id)
    assert "later" in shown.stdout
    assert up.end(signal.SIGTERM) == 0


def test_given_servers_are_used_and_not_started(
    up: Up, empty_database_url: str, redis_url: str
) -> None:
    up.environment |= {"DATABASE_URL": empty_database_url, "REDIS_URL": redis_url}
    up.start("--demo")
    up.wait_for(r"✓ completed Echo · demo-echo")
    assert not (up.home / "postgres").exists()
    assert up.end(signal.SIGINT) == 0
