"""One thread per worker process: keeps its runs alive, learns which are not its own any more."""

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from threading import Event, Lock, Thread
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, Row, text

from automagik.core.database.session import TO_WORKERS, Database, Listener
from automagik.core.exceptions import AutomagikError
from automagik.core.flows.run_handle import AbortReason, RunHandle
from automagik.core.tasks.claim import Claim, Claimant
from automagik.core.tasks.full_sources import FullSources
from automagik.core.tasks.host_clock import HostClock
from automagik.core.tasks.log import TaskLog, flush
from automagik.core.tasks.presence import worker_alive
from automagik.core.tasks.states import TaskState

logger = logging.getLogger(__name__)

FLUSH_EVERY = timedelta(seconds=0.5)
LOGS_AT_ONCE = 50
# Four signs of life per lease: three may get lost.
BEATS_PER_LEASE = 4

# A row that somebody holds is skipped: it must not keep the other leases from being extended.
_EXTEND = text("""
WITH held AS (
    SELECT tasks.id FROM tasks
    JOIN unnest(CAST(:ids AS uuid[]), CAST(:attempts AS int[])) AS mine (id, attempt)
        ON tasks.id = mine.id AND tasks.attempt = mine.attempt
    WHERE tasks.state = 'running'
    FOR UPDATE OF tasks SKIP LOCKED
)
UPDATE tasks SET lease_expires_at = statement_timestamp() + :lease
FROM held WHERE tasks.id = held.id
RETURNING tasks.id, tasks.attempt
""")

_STATES = text("SELECT id, state, attempt FROM tasks WHERE id = ANY(:ids)")

_UNTIL_RELEASE = text("SELECT release_at - now() FROM workers WHERE id = :id")


@dataclass(frozen=True, kw_only=True, slots=True)
class HeldRun:
    """A run of this process, and the handle by which it is broken off."""

    claim: Claim
    log: TaskLog
    handle: RunHandle
    traceparent: str | None = None
    """The span of its call, where this process makes spans."""


class Heartbeat:
    """Start, hold runs, stop. `announces`: this process also speaks for the worker's own row."""

    def __init__(
        self, database: Database, worker: Claimant, *, lease: timedelta, announces: bool
    ) -> None:
        self._database = database
        self._worker = worker
        self._lease = lease
        self._announces = announces
        self.full_sources = FullSources()
        """As heard on the same channel."""
        self._clock = HostClock()
        # By attempt too: a worker that froze may be given its own lost task again.
        self._runs: dict[tuple[UUID, int], HeldRun] = {}
        self._lock = Lock()
        self._stopping = Event()
        self._thread = Thread(target=self._loop, name="heartbeat", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stopping.set()
        self._thread.join(timeout=5)

    @contextmanager
    def holding(self, run: HeldRun) -> Iterator[None]:
        with self._lock:
            self._runs[_key(run)] = run
        try:
            yield
        finally:
            with self._lock:
                self._runs.pop(_key(run), None)

    def _loop(self) -> None:
        while not self._stopping.is_set():
            try:
                with self._database.listen(TO_WORKERS) as listener:
                    self._beat_while_connected(listener)
            except AutomagikError as error:
                logger.warning("Heartbeat: %s", error.message)
            except Exception:
                # Without this thread every run of the process is lost: it goes on regardless.
                logger.exception("Heartbeat: unexpected error")
            self._stopping.wait(1)

    def _beat_while_connected(self, listener: Listener) -> None:
        every = (self._lease / BEATS_PER_LEASE).total_seconds()
        next_beat = time.monotonic()
        while not self._stopping.is_set():
            # By the clock: a slow PostgreSQL makes writing logs long, too.
            if time.monotonic() >= next_beat:
                next_beat = time.monotonic() + every
                until_release = self._beat()
                if until_release is not None:
                    next_beat = min(next_beat, time.monotonic() + until_release.total_seconds())
            left = timedelta(seconds=next_beat - time.monotonic())
            named = listener.wait(min(FLUSH_EVERY, left))
            self.full_sources.hear(named)
            if named and self._is_concerned(named):
                next_beat = time.monotonic()
            logs = [run.log for run in self._held() if run.log.unwritten]
            for first in range(0, len(logs), LOGS_AT_ONCE):
                flush(self._database, logs[first : first + LOGS_AT_ONCE])

    def _beat(self) -> timedelta | None:
        """How long until the runs must be given back; None while nothing is to be."""
        runs = self._held()
        with self._database.transaction() as connection:
            if self._announces:
                self._announce(connection)
            if not runs:
                return None
            disowned = self._extend_leases(connection, runs)
            until: timedelta | None = connection.scalar(_UNTIL_RELEASE, {"id": self._worker.id})
        for run, reason in disowned:
            run.handle.abort(reason)
        if until is None or until > timedelta():
            return until
        for run in runs:
            run.handle.abort(AbortReason.SHUTDOWN)
        return None

    def _announce(self, connection: Connection) -> None:
        worker_alive(connection, self._worker.id, clock_offset=self._clock.offset(connection))

    def _extend_leases(
        self, connection: Connection, runs: list[HeldRun]
    ) -> list[tuple[HeldRun, AbortReason]]:
        """The runs that are not ours any more, with the reason."""
        ids = [run.claim.task_id for run in runs]
        attempts = [run.claim.attempt for run in runs]
        arguments = {"ids": ids, "attempts": attempts, "lease": self._lease}
        kept = {(row.id, row.attempt) for row in connection.execute(_EXTEND, arguments)}
        others = [run for run in runs if _key(run) not in kept]
        if not others:
            return []
        rows = connection.execute(_STATES, {"ids": [run.claim.task_id for run in others]})
        found = {row.id: row for row in rows}
        fates = [(run, _fate(found.get(run.claim.task_id), run.claim)) for run in others]
        return [(run, fate) for run, fate in fates if fate is not None]

    def _held(self) -> list[HeldRun]:
        with self._lock:
            return list(self._runs.values())

    def _is_concerned(self, named: list[str]) -> bool:
        """Whether one of the named is a run of ours, or this worker, which drains."""
        with self._lock:
            ours = {str(task_id) for task_id, _ in self._runs} | {str(self._worker.id)}
        return not ours.isdisjoint(named)


def _key(run: HeldRun) -> tuple[UUID, int]:
    return run.claim.task_id, run.claim.attempt


def _fate(row: Row[Any] | None, claim: Claim) -> AbortReason | None:
    """None: it is ours still, only somebody held its row. Deletion ends a run like cancelling."""
    if row is None or row.state == TaskState.CANCELLED:
        return AbortReason.CANCELLED
    is_ours = row.state == TaskState.RUNNING and row.attempt == claim.attempt
    return None if is_ours else AbortReason.LEASE_LOST
