"""The beats and workers under a supervisor, which starts again whoever has ended."""

import os
import signal
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress

import psutil

from automagik.core.embedded.processes import ChildProcess, in_words
from automagik.core.exceptions import Unreachable
from tests.system.chaos.roster import Job, Member
from tests.system.fleet import Fleet, kill

RESTART_PAUSE_SECONDS = 1.0
START_SECONDS = 90.0
STOP_SECONDS = 60.0
EXPECTED_ENDS = (0, -signal.SIGKILL, -signal.SIGTERM, Unreachable.exit_code)
"""What is done to them, and what they do when PostgreSQL is away at their start."""


class Crew:
    def __init__(self, fleet: Fleet, members: Sequence[Member]) -> None:
        self.members = {member.name: member for member in members}
        self.ends: Counter[str] = Counter()
        """How those ended that were started again."""
        self.crashes: list[str] = []
        """Of these, who ended by itself and should not have."""
        self._fleet = fleet
        self._children: dict[str, ChildProcess] = {}
        self._ended_at: dict[str, float] = {}

    def start(self) -> None:
        """Returns when all have registered themselves."""
        for member in self.members.values():
            self._children[member.name] = self._fleet.program(member.name, *_command(member))
        for table, alive in (("beats", "true"), ("workers", "heartbeat_at > started_at")):
            job = Job(table.removesuffix("s"))
            count = sum(member.job is job for member in self.members.values())
            query = f"SELECT count(*) >= :count FROM {table} WHERE {alive}"
            self._fleet.wait_for(query, count=count, seconds=START_SECONDS)

    def supervise(self) -> None:
        """To be called often: who ended a while ago starts again."""
        for name, child in self._children.items():
            code = child.poll()
            if code is None:
                continue
            ended_at = self._ended_at.setdefault(name, time.monotonic())
            if time.monotonic() - ended_at > RESTART_PAUSE_SECONDS:
                del self._ended_at[name]
                self._note_end(name, code)
                child.start()

    def stop(self) -> list[str]:
        """Asks all to stop; returns the names of those that did not."""
        for child in self._children.values():
            if child.poll() is None:
                os.kill(_pid(child), signal.SIGTERM)
        end = time.monotonic() + STOP_SECONDS
        while time.monotonic() < end and self._living():
            time.sleep(0.1)
        return self._living()

    def is_alive(self, name: str) -> bool:
        return self._children[name].poll() is None

    def pid(self, name: str) -> int:
        return _pid(self._children[name])

    def signal(self, name: str, number: signal.Signals) -> None:
        """To the whole session, if there is one."""
        if self.is_alive(name):
            with suppress(ProcessLookupError):
                kill(self._children[name], number)

    def is_ready(self, name: str) -> bool:
        """Whether a worker takes deliveries. Raises DatabaseUnreachable."""
        query = "SELECT count(*) > 0 FROM workers WHERE pid = :pid AND heartbeat_at > started_at"
        return self.is_alive(name) and bool(self._fleet.value(query, pid=self.pid(name)))

    def is_at_work(self, name: str) -> bool:
        """Whether a worker has a run that is not about to end. Raises DatabaseUnreachable."""
        query = """
        SELECT count(*) > 0 FROM tasks t
        JOIN workers w ON w.id = t.worker_id JOIN flows f ON f.id = t.flow_id
        WHERE w.pid = :pid AND t.state = 'running' AND f.name = 'Slow'
            AND t.started_at > now() - interval '1 second'
        """
        return self.is_alive(name) and bool(self._fleet.value(query, pid=self.pid(name)))

    def processes(self, name: str) -> list[psutil.Process]:
        """The living one and its children."""
        if not self.is_alive(name):
            return []
        with suppress(psutil.Error):
            process = psutil.Process(self.pid(name))
            return [process, *process.children(recursive=True)]
        return []

    def kill_client(self, port: int, *, of: int) -> bool:
        """Kills the process that talks from this port to that one; false when there is none.

        Only the process itself: of a prefork worker that is one child.
        """
        for name in self.members:
            for process in self.processes(name):
                if (port, of) in _connections(process):
                    process.kill()
                    return True
        return False

    def _note_end(self, name: str, code: int) -> None:
        self.ends[f"{self.members[name].job} {in_words(code)}"] += 1
        if code not in EXPECTED_ENDS:
            lines = self._children[name].tail(1000).splitlines()
            critical = [line for line in lines if "CRITICAL" in line]
            self.crashes.append(f"{name} {in_words(code)}: {(critical or lines)[-1:]}")

    def _living(self) -> list[str]:
        return [name for name in self._children if self.is_alive(name)]


def _command(member: Member) -> tuple[str, ...]:
    celery = ("-m", "celery", "-A", "automagik", member.job.value, "--loglevel", "INFO")
    if member.job is Job.BEAT:
        return celery
    slots = "4" if member.pool == "prefork" else "10"
    queues = ",".join(member.queues)
    name = f"{member.name}@%h"
    return (*celery, "--hostname", name, "-P", member.pool, "-c", slots, "-Q", queues)


def _pid(child: ChildProcess) -> int:
    assert child.pid is not None
    return child.pid


def _connections(process: psutil.Process) -> Iterator[tuple[int, int]]:
    with suppress(psutil.Error):
        for connection in process.net_connections("tcp"):
            if connection.raddr:
                yield connection.laddr.port, connection.raddr.port
