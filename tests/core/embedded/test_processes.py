"""Child processes stop in steps, keep a log and are started again a limited number of times."""

import os
import signal
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from automagik.core.embedded import processes
from automagik.core.embedded.exceptions import ChildDied, EmbeddedError
from automagik.core.embedded.facts import Died, Fact, Ready, Restarted, Stopped
from automagik.core.embedded.processes import ChildProcess
from automagik.core.embedded.supervise import ProcessGroup, RestartPolicy
from tests.core.embedded.patience import survivors

STUBBORN = """
import signal, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("ready", flush=True)
time.sleep(60)
"""
INTERRUPTING = """
import os, signal, time
signal.signal(signal.SIGTERM, lambda *_: os.kill(os.getppid(), signal.SIGINT))
print("ready", flush=True)
while True:
    time.sleep(60)
"""
FAMILY = """
import subprocess, time
print(subprocess.Popen(["sleep", "60"]).pid, flush=True)
time.sleep(60)
"""


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "logs" / "child.log"


def test_a_child_that_ignores_sigterm_gets_the_next_signal(log: Path) -> None:
    child = python(STUBBORN, log, stop_signals=[(signal.SIGTERM, 0.1), (signal.SIGQUIT, 5)])
    child.start()
    child.wait_until(lambda: "ready" in child.tail(), seconds=10)
    assert child.stop() == -signal.SIGQUIT


def test_what_ignores_all_signals_is_killed(log: Path) -> None:
    child = python(STUBBORN, log, stop_signals=[(signal.SIGTERM, 0.1)])
    child.start()
    child.wait_until(lambda: "ready" in child.tail(), seconds=10)
    assert child.stop() == -signal.SIGKILL


def test_stopping_takes_the_children_of_the_child_along(log: Path) -> None:
    child = python(FAMILY, log)
    child.start()
    child.wait_until(lambda: child.tail().isdigit(), seconds=10)
    grandchild = psutil.Process(int(child.tail()))
    child.stop()
    assert survivors([grandchild], seconds=5) == []


def test_what_a_child_leaves_behind_ends_with_it(log: Path) -> None:
    child = python(FAMILY.replace("time.sleep(60)", ""), log)
    child.start()
    assert child.wait() == 0
    assert survivors([psutil.Process(int(child.tail()))], seconds=5) == []


def test_ctrl_c_while_stopping_moves_on_to_the_next_signal(log: Path) -> None:
    """The child presses the keys, when it is asked to stop."""
    child = python(INTERRUPTING, log, stop_signals=[(signal.SIGTERM, 60)])
    child.start()
    child.wait_until(lambda: "ready" in child.tail(), seconds=10)
    assert child.stop() == -signal.SIGKILL


def test_a_child_has_a_session_of_its_own_and_a_private_log(log: Path) -> None:
    child = ChildProcess("child", ["sleep", "60"], log_path=log)
    child.start()
    try:
        assert child.pid is not None
        assert os.getsid(child.pid) == child.pid
        assert log.stat().st_mode & 0o777 == 0o600
    finally:
        child.stop()


def test_the_tail_is_of_this_run_only(log: Path) -> None:
    for words in ("first", "second\nthird"):
        child = python(f"print({words!r})", log)
        child.start()
        child.wait()
    assert child.tail() == "second\nthird"
    assert child.tail(1) == "third"
    assert log.read_text() == "first\nsecond\nthird\n"


def test_a_long_log_is_put_aside_at_the_start(log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "LOG_LIMIT_BYTES", 10)
    log.parent.mkdir()
    log.write_text("more than ten bytes")
    child = python("print('new')", log)
    child.start()
    child.wait()
    assert log.read_text() == "new\n"
    assert log.with_name("child.old.log").read_text() == "more than ten bytes"


def test_a_child_that_ends_before_it_is_ready_shows_its_log(log: Path) -> None:
    child = python("raise SystemExit('no space left')", log)
    child.start()
    with pytest.raises(ChildDied, match=r"child stopped with exit code 1:\nno space left") as error:
        child.wait_until(lambda: False, seconds=10)
    assert error.value.hint == f"The whole log: {log}"


def test_a_child_that_is_not_ready_in_time_is_an_error(log: Path) -> None:
    child = ChildProcess("child", ["sleep", "60"], log_path=log)
    child.start()
    try:
        with pytest.raises(EmbeddedError, match=r"not ready within 0\.1 s"):
            child.wait_until(lambda: False, seconds=0.1)
    finally:
        child.stop()


def test_a_program_that_does_not_exist_is_an_error(log: Path) -> None:
    with pytest.raises(EmbeddedError, match=r"child cannot be started: .*/no/such/program"):
        ChildProcess("child", ["/no/such/program"], log_path=log).start()


def test_only_the_main_thread_starts_children(log: Path) -> None:
    """The kernel would kill the child at the end of any other thread."""
    refused: list[str] = []
    thread = threading.Thread(target=start_and_note, args=(log, refused))
    thread.start()
    thread.join()
    assert refused == ["children are started from the main thread only"]


class TestProcessGroup:
    """It restarts what dies, with growing pauses, and gives up at last."""

    @pytest.fixture
    def facts(self) -> list[Fact]:
        return []

    @pytest.fixture
    def clock(self) -> "Clock":
        return Clock()

    @pytest.fixture
    def group(self, facts: list[Fact], clock: "Clock") -> Iterator[ProcessGroup]:
        group = ProcessGroup(tell=facts.append, policy=RestartPolicy(most=2), clock=clock)
        yield group
        group.stop()

    def test_stops_in_reverse_order(
        self, group: ProcessGroup, facts: list[Fact], tmp_path: Path
    ) -> None:
        for name in ("a", "b", "c"):
            group.start(ChildProcess(name, ["sleep", "60"], log_path=tmp_path / name))
        group.stop()
        assert [f.name for f in facts if isinstance(f, Ready)] == ["a", "b", "c"]
        assert [f.name for f in facts if isinstance(f, Stopped)] == ["c", "b", "a"]

    def test_a_healthy_child_is_no_fact(
        self, group: ProcessGroup, facts: list[Fact], log: Path
    ) -> None:
        group.start(ChildProcess("child", ["sleep", "60"], log_path=log))
        group.check()
        assert [type(fact) for fact in facts] == [Ready]

    def test_restarts_after_growing_pauses_and_gives_up(
        self, group: ProcessGroup, facts: list[Fact], clock: "Clock", log: Path
    ) -> None:
        child = python("raise SystemExit('broken')", log)
        group.start(child)
        for pause in (1.0, 2.0):
            child.wait()
            group.check()
            assert facts[-1] == died(log, restart_in=pause)
            clock.now += pause - 0.1
            group.check()
            assert facts[-1] == died(log, restart_in=pause)
            clock.now += 0.1
            group.check()
        assert [type(fact) for fact in facts] == [Ready, Died, Restarted, Died, Restarted]
        child.wait()
        group.check()
        group.check()
        assert facts[-1] == group.given_up == died(log, restart_in=None)

    def test_a_child_that_lived_long_begins_anew(
        self, group: ProcessGroup, facts: list[Fact], clock: "Clock", log: Path
    ) -> None:
        child = python("raise SystemExit('broken')", log)
        group.start(child)
        for _ in range(5):
            child.wait()
            clock.now += 100
            group.check()
            clock.now += 1
            group.check()
        again: list[Fact] = [died(log, restart_in=1.0), Restarted(name="child", times=1)]
        assert facts[1:] == again * 5


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def died(log: Path, *, restart_in: float | None) -> Died:
    how = "stopped with exit code 1"
    return Died(name="child", how=how, log_tail="broken", log_path=log, restart_in=restart_in)


def python(code: str, log: Path, *, stop_signals: processes.StopSignals = ()) -> ChildProcess:
    argv = [sys.executable, "-c", code]
    return ChildProcess("child", argv, log_path=log, stop_signals=stop_signals)


def start_and_note(log: Path, refused: list[str]) -> None:
    try:
        ChildProcess("child", ["true"], log_path=log).start()
    except RuntimeError as error:
        refused.append(str(error))


def test_backoff_doubles_up_to_its_limit() -> None:
    policy = RestartPolicy(most=7, first_seconds=1, longest_seconds=30)
    waits = [policy.wait_before(n) for n in range(1, 9)]
    assert waits == [1, 2, 4, 8, 16, 30, 30, None]
