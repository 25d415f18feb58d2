"""The thread that keeps runs alive and learns which are not this worker's any more."""

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from uuid import UUID

import pytest
from sqlalchemy import event, func

from automagik.core.config import Settings
from automagik.core.database.models import TaskRow, WorkerRow
from automagik.core.database.session import Database
from automagik.core.flows.run_handle import AbortReason, RunHandle
from automagik.core.flows.values import Flow
from automagik.core.scheduler.reaper import mark_lost_workers, reap
from automagik.core.tasks import heartbeat as heartbeat_module
from automagik.core.tasks.claim import Claimant
from automagik.core.tasks.heartbeat import Heartbeat, HeldRun
from automagik.core.tasks.log import TaskLog
from automagik.core.tasks.manager import TaskManager
from automagik.core.tasks.presence import worker_draining
from automagik.core.tasks.states import TaskState
from tests.core.embedded.patience import eventually
from tests.core.records import (
    add_task,
    add_worker,
    claimed,
    opened,
    put,
    row,
    rows,
    task,
    terminate_connections,
)
from tests.core.tasks.rows import add_flow

SHORT = timedelta(seconds=0.4)
LONG = timedelta(minutes=10)
SECOND = timedelta(seconds=1)


@pytest.fixture
def flow(database: Database) -> Flow:
    return add_flow(database)


@pytest.fixture
def worker(database: Database) -> Claimant:
    return add_worker(database)


@contextmanager
def beating(
    database: Database, worker: Claimant, *, lease: timedelta, announces: bool = True
) -> Iterator[Heartbeat]:
    heartbeat = Heartbeat(database, worker, lease=lease, announces=announces)
    heartbeat.start()
    yield heartbeat
    heartbeat.stop()
    assert not heartbeat._thread.is_alive()


def a_run(database: Database, flow: Flow, worker: Claimant, *, lease: timedelta = SHORT) -> HeldRun:
    return taken(database, add_task(database, flow), worker, lease=lease)


def taken(database: Database, task_id: UUID, worker: Claimant, *, lease: timedelta) -> HeldRun:
    claim = claimed(database, task_id, worker=worker, lease=lease)
    log = TaskLog(claim.task_id, claim.attempt)
    return HeldRun(claim=claim, log=log, handle=RunHandle())


def told(run: HeldRun, reason: AbortReason, *, seconds: float = 5) -> bool:
    return eventually(lambda: run.handle.reason is reason, seconds=seconds)


def extended(database: Database, run: HeldRun) -> bool:
    """The lease ends later than it did."""
    before = task(database, run.claim.task_id)["lease_expires_at"]
    return eventually(
        lambda: task(database, run.claim.task_id)["lease_expires_at"] > before, seconds=5
    )


class TestLeases:
    def test_all_leases_are_extended_in_one_statement(
        self, database: Database, flow: Flow, worker: Claimant
    ) -> None:
        runs = [a_run(database, flow, worker) for _ in range(5)]
        statements: list[str] = []
        event.listen(
            database.engine,
            "before_cursor_execute",
            lambda _c, _cursor, statement, *_: statements.append(statement),
        )
        with ExitStack() as held, beating(database, worker, lease=SHORT) as heartbeat:
            for run in runs:
                held.enter_context(heartbeat.holding(run))
            statements.clear()
            assert all(extended(database, run) for run in runs)

        updates = [each for each in statements if "UPDATE tasks" in each]
        leases = set(rows(database, "SELECT lease_expires_at FROM tasks"))
        assert len(leases) == 1, "one statement gives all the same end"
        assert updates
        assert all("unnest" in each for each in updates)

    def test_a_run_outlives_its_first_lease_by_far(
        self, database: Database, flow: Flow, worker: Claimant
    ) -> None:
        run = a_run(database, flow, worker)
        first_end = task(database, run.claim.task_id)["lease_expires_at"]
        with beating(database, worker, lease=SHORT) as heartbeat, heartbeat.holding(run):
            assert eventually(
                lambda: rows(database, "SELECT now() > :end", end=first_end + SHORT) == [True],
                seconds=5,
            )
            with database.transaction() as connection:
                assert reap(connection, lease=timedelta(), actor="beat") == 0

        assert run.handle.reason is None

    def test_a_run_that_is_let_go_is_not_extended_any_more(
        self, database: Database, flow: Flow, worker: Claimant
    ) -> None:
        gone, kept = a_run(database, flow, worker), a_run(database, flow, worker)
        with beating(database, worker, lease=SHORT) as heartbeat, heartbeat.holding(kept):
            with heartbeat.holding(gone):
                assert extended(database, gone)
            assert extended(database, kept)
            last = task(database, gone.claim.task_id)["lease_expires_at"]
            assert extended(database, kept)

            assert task(database, gone.claim.task_id)["lease_expires_at"] == last

    def test_leases_do_not_wait_for_logs(
        self, database: Database, flow: Flow, worker: Claimant, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """PostgreSQL may be so slow that the logs of many runs take longer than a lease."""
        slow, run = a_run(database, flow, worker), a_run(database, flow, worker)
        monkeypatch.setattr(heartbeat_module, "FLUSH_EVERY", SHORT / 40)
        slow.log.say("test", "hello")
        monkeypatch.setattr(slow.log, "borrow", lambda *_: time.sleep(SHORT.total_seconds() / 5))
        with (
            beating(database, worker, lease=SHORT) as heartbeat,
            heartbeat.holding(slow),
            heartbeat.holding(run),
        ):
            assert not eventually(
                lambda: rows(database, "SELECT 1 FROM tasks WHERE lease_expires_at < now()") != [],
                seconds=2 * SHORT.total_seconds(),
            )
            assert extended(database, run)


class TestDisowned:
    def test_a_cancelled_run_is_broken_off_within_a_second(
        self, database: Database, flow: Flow, worker: Claimant, tasks: TaskManager
    ) -> None:
        """By notification: the next beat is minutes away."""
        run = a_run(database, flow, worker, lease=LONG)
        other = a_run(database, flow, worker, lease=LONG)
        with (
            beating(database, worker, lease=LONG) as heartbeat,
            heartbeat.holding(run),
            heartbeat.holding(other),
        ):
            assert eventually(lambda: listens(database), seconds=5)
            tasks.cancel(run.claim.task_id, actor="me")
            assert told(run, AbortReason.CANCELLED, seconds=1)

        assert other.handle.reason is None

    def test_a_run_whose_lease_was_reaped_is_told_so(
        self, database: Database, flow: Flow, worker: Claimant
    ) -> None:
        run = a_run(database, flow, worker)
        put(database, TaskRow, run.claim.task_id, lease_expires_at=func.now() - SECOND)
        with database.transaction() as connection:
            reap(connection, lease=timedelta(), actor="beat")

        with beating(database, worker, lease=SHORT) as heartbeat, heartbeat.holding(run):
            assert told(run, AbortReason.LEASE_LOST)

    def test_a_run_that_another_attempt_followed_is_told_so(
        self, database: Database, flow: Flow, worker: Claimant
    ) -> None:
        """Also when this very worker, which had only frozen, has got the next attempt."""
        first = a_run(database, flow, worker)
        task_id = first.claim.task_id
        with beating(database, worker, lease=SHORT) as heartbeat:
            with heartbeat.holding(first):
                put(database, TaskRow, task_id, state=TaskState.WAITING, lease_expires_at=None)
                put(database, TaskRow, task_id, state=TaskState.QUEUED)
                second = taken(database, task_id, worker, lease=SHORT)
                held = ExitStack()
                held.enter_context(heartbeat.holding(second))
                assert told(first, AbortReason.LEASE_LOST)
            with held:
                assert extended(database, second)
                assert extended(database, second)

        assert second.handle.reason is None

    def test_the_run_of_a_deleted_task_is_broken_off(
        self, database: Database, flow: Flow, worker: Claimant
    ) -> None:
        run = a_run(database, flow, worker)
        with beating(database, worker, lease=SHORT) as heartbeat, heartbeat.holding(run):
            rows(database, "DELETE FROM tasks RETURNING id")
            assert told(run, AbortReason.CANCELLED)

    def test_a_stopping_worker_gives_its_runs_back_after_the_grace(
        self, database: Database, flow: Flow, worker: Claimant
    ) -> None:
        run = a_run(database, flow, worker)
        with beating(database, worker, lease=SHORT) as heartbeat, heartbeat.holding(run):
            with database.transaction() as connection:
                worker_draining(connection, worker.id, grace=LONG)
            assert extended(database, run)
            assert run.handle.reason is None
            with database.transaction() as connection:
                worker_draining(connection, worker.id, grace=timedelta())
            assert told(run, AbortReason.SHUTDOWN)

        assert row(database, WorkerRow, worker.id)["status"] == "draining"


class TestTheThread:
    def test_it_survives_that_its_connections_are_terminated(
        self,
        settings: Settings,
        database: Database,
        flow: Flow,
        worker: Claimant,
        tasks: TaskManager,
    ) -> None:
        run = a_run(database, flow, worker, lease=LONG)
        with (
            opened(settings.require_database_url()) as its_own,
            beating(its_own, worker, lease=LONG) as heartbeat,
            heartbeat.holding(run),
        ):
            assert eventually(lambda: listens(database), seconds=5)
            database.dispose()
            terminate_connections(database)
            assert eventually(lambda: listens(database), seconds=5)
            tasks.cancel(run.claim.task_id, actor="me")
            assert told(run, AbortReason.CANCELLED, seconds=2)

    def test_what_runs_say_is_written_while_they_go_on(
        self, database: Database, flow: Flow, worker: Claimant
    ) -> None:
        run = a_run(database, flow, worker, lease=LONG)
        with beating(database, worker, lease=LONG) as heartbeat, heartbeat.holding(run):
            run.log.say("test", "hello")
            written = "SELECT message FROM task_logs"
            assert eventually(lambda: rows(database, written) == ["hello"], seconds=5)

    def test_a_log_that_cannot_be_written_does_not_end_the_leases(
        self, database: Database, flow: Flow, worker: Claimant, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        broken, run = a_run(database, flow, worker), a_run(database, flow, worker)
        tried: list[object] = []
        broken.log.say("test", "hello")
        monkeypatch.setattr(broken.log, "borrow", lambda *_: tried.append(1 // len(tried)))
        with (
            beating(database, worker, lease=LONG) as heartbeat,
            heartbeat.holding(broken),
            heartbeat.holding(run),
        ):
            assert extended(database, run)

    def test_it_speaks_for_the_worker_and_takes_back_that_it_was_lost(
        self, database: Database, worker: Claimant
    ) -> None:
        put(database, WorkerRow, worker.id, heartbeat_at=func.now() - LONG)
        with database.transaction() as connection:
            mark_lost_workers(connection, silence=SECOND)

        with beating(database, worker, lease=SHORT):
            assert eventually(
                lambda: row(database, WorkerRow, worker.id)["status"] == "online", seconds=5
            )
        assert row(database, WorkerRow, worker.id)["stopped_at"] is None

    def test_a_child_process_keeps_leases_and_leaves_the_row_to_its_parent(
        self, database: Database, flow: Flow, worker: Claimant
    ) -> None:
        run = a_run(database, flow, worker)
        before = row(database, WorkerRow, worker.id)
        with (
            beating(database, worker, lease=SHORT, announces=False) as heartbeat,
            heartbeat.holding(run),
        ):
            assert extended(database, run)

        assert row(database, WorkerRow, worker.id) == before


def listens(database: Database) -> bool:
    query = (
        "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND query LIKE 'LISTEN%'"
    )
    return bool(rows(database, query))
