"""Real beats and workers as processes, and a database that waits for what they do.

Beats and workers come from the fork server, which saves the second that their imports take. Workers
with the prefork pool, and all of a fleet that starts `afresh`, are started as a user starts them.
"""

import os
import signal
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import text

from automagik.core.config import Settings
from automagik.core.database.session import Database
from automagik.core.embedded.processes import ChildProcess
from tests.system.fork_server import ForkedCelery
from tests.system.hosts import Host

POLL_SECONDS = 0.05


class Fleet:
    """Starts processes with this test's environment and sees that none is left."""

    def __init__(
        self, database: Database, logs: Path, *, afresh: bool = False, app: str = "automagik"
    ) -> None:
        self.database = database
        self._logs = logs
        self._afresh = afresh
        self._app = app
        self._children: list[ChildProcess] = []

    def beat(self, **environment: str) -> ChildProcess:
        """Ready when it has registered itself."""
        child = self._start("beat", "beat", "--loglevel", "INFO", **environment)
        query = "SELECT 1 FROM beats WHERE pid = :pid"
        self.wait_for(query, pid=child.pid, seconds=30)
        return child

    def worker(self, *arguments: str, **environment: str) -> ChildProcess:
        """Ready when it takes deliveries."""
        name = f"worker{len(self._children)}"
        options = ("--loglevel", "INFO", "--hostname", f"{name}@%h", *arguments)
        child = self._start(name, "worker", *options, **environment)
        query = "SELECT 1 FROM workers WHERE pid = :pid AND heartbeat_at > started_at"
        self.wait_for(query, pid=child.pid, seconds=30)
        return child

    def program(self, name: str, *arguments: str, on: Host | None = None) -> ChildProcess:
        """Another program in the same environment; on a host of its own if one is given."""
        command = (sys.executable, *arguments)
        return self._run(name, on.on(*command) if on else command, os.environ)

    def wait_for(self, query: str, *, seconds: float = 20, **arguments: Any) -> Any:
        """The first value that the query gives and that is true. Fails with the logs."""
        value: Any = None

        def given() -> bool:
            nonlocal value
            value = self.value(query, **arguments)
            return bool(value)

        self.wait_until(given, seconds=seconds, what=query)
        return value

    def wait_until(self, holds: Callable[[], bool], *, seconds: float, what: str) -> None:
        end = time.monotonic() + seconds
        while not holds():
            if time.monotonic() > end:
                raise AssertionError(f"not within {seconds} s: {what}\n{self.logs()}")
            time.sleep(POLL_SECONDS)

    def value(self, query: str, **arguments: Any) -> Any:
        with self.database.transaction() as connection:
            return connection.scalar(text(query), arguments)

    def rows(self, query: str, **arguments: Any) -> list[Any]:
        with self.database.transaction() as connection:
            return list(connection.execute(text(query), arguments))

    def logs(self) -> str:
        return "\n".join(f"== {child.name}\n{child.tail(40)}" for child in self._children)

    def stop(self) -> None:
        for child in reversed(self._children):
            child.stop()

    def _start(self, name: str, *arguments: str, **environment: str) -> ChildProcess:
        celery, environ = ("-A", self._app, *arguments), os.environ | environment
        # A library is preloaded into a new process only.
        if self._afresh or "prefork" in arguments or "LD_PRELOAD" in environ:
            return self._run(name, (sys.executable, "-m", "celery", *celery), environ)
        label, log_path = self._label(name)
        return self._started(ForkedCelery(label, celery, log_path=log_path, env=environ))

    def _run(
        self, name: str, command: Sequence[str], environment: Mapping[str, str]
    ) -> ChildProcess:
        label, log_path = self._label(name)
        # Nothing is drained at the end of a test.
        kill = ((signal.SIGKILL, 5.0),)
        return self._started(
            ChildProcess(label, command, log_path=log_path, env=environment, stop_signals=kill)
        )

    def _label(self, name: str) -> tuple[str, Path]:
        """A name that no other child has, and the place of its log."""
        label = f"{name}-{len(self._children)}"
        return label, self._logs / f"{label}.log"

    def _started(self, child: ChildProcess) -> ChildProcess:
        self._children.append(child)
        child.start()
        return child


@contextmanager
def fleet_of(
    settings: Settings, logs: Path, *, afresh: bool = False, app: str = "automagik"
) -> Iterator[Fleet]:
    database = Database(settings.require_database_url())
    fleet = Fleet(database, logs, afresh=afresh, app=app)
    try:
        yield fleet
    finally:
        fleet.stop()
        database.dispose()


def kill(child: ChildProcess, number: signal.Signals = signal.SIGKILL) -> None:
    """To the whole session of the process: a prefork worker's children go with it."""
    assert child.pid is not None
    os.killpg(child.pid, number)
