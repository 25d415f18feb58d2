"""What lost workers leave behind."""

from datetime import timedelta

import pytest
from sqlalchemy import func, update

from automagik.core.database.models import TaskRow, WorkerRow
from automagik.core.database.session import Database
from automagik.core.flows.values import Flow
from automagik.core.scheduler.reaper import mark_lost_workers, reap
from automagik.core.tasks.outcome import WORKER_LOST
from automagik.core.tasks.states import TaskState
from tests.core.records import (
    add_task,
    add_worker,
    attempts,
    claimed,
    put,
    row,
    rows,
    task,
)

AT_ONCE = timedelta()
SECOND = timedelta(seconds=1)
DAY = timedelta(days=1)


def reap_now(database: Database, *, lease: timedelta = AT_ONCE) -> int:
    with database.transaction() as connection:
        return reap(connection, lease=lease, actor="beat@here")


class TestReap:
    def test_the_run_of_a_lost_worker_is_tried_again_at_once(
        self, database: Database, flow: Flow
    ) -> None:
        task_id = add_task(database, flow)
        claimed(database, task_id, lease=-SECOND)

        assert reap_now(database) == 1

        reaped = task(database, task_id)
        assert (reaped["state"], reaped["state_actor"]) == ("waiting", "beat@here")
        assert (reaped["attempt"], reaped["max_attempts"]) == (1, 4)
        assert reaped["error_code"] == WORKER_LOST
        assert rows(database, "SELECT run_at <= now() FROM tasks") == [True]
        [attempt] = attempts(database, task_id)
        assert (attempt["outcome"], attempt["error_code"]) == ("worker_lost", WORKER_LOST)
        assert attempt["finished_at"] is not None

    def test_the_last_attempt_that_loses_its_worker_fails_the_task(
        self, database: Database, flow: Flow
    ) -> None:
        task_id = add_task(database, flow, attempt=3, max_attempts=4)
        claimed(database, task_id, lease=-SECOND)

        reap_now(database)

        reaped = task(database, task_id)
        assert (reaped["state"], reaped["attempt"]) == ("failed", 4)
        assert reaped["finished_at"] is not None
        assert reaped["error_code"] == WORKER_LOST

    def test_a_lost_run_of_a_flow_that_runs_at_most_once_has_failed(
        self, database: Database, flow: Flow
    ) -> None:
        task_id = add_task(database, flow, at_most_once=True)
        claimed(database, task_id, lease=-SECOND)

        reap_now(database)

        reaped = task(database, task_id)
        assert (reaped["state"], reaped["attempt"], reaped["max_attempts"]) == ("failed", 1, 4)
        assert reaped["error_code"] == WORKER_LOST
        [attempt] = attempts(database, task_id)
        assert attempt["outcome"] == "worker_lost"

    def test_live_leases_and_tasks_that_do_not_run_are_left_alone(
        self, database: Database, flow: Flow
    ) -> None:
        running = add_task(database, flow)
        claimed(database, running)
        for state in set(TaskState) - {TaskState.RUNNING}:
            add_task(database, flow, state=state)
        before = rows(database, "SELECT id, state FROM tasks ORDER BY id")

        assert reap_now(database) == 0

        assert rows(database, "SELECT id, state FROM tasks ORDER BY id") == before

    def test_only_the_lost_attempt_is_ended(self, database: Database, flow: Flow) -> None:
        task_id = add_task(database, flow)
        claimed(database, task_id, lease=-SECOND)
        reap_now(database)
        put(database, TaskRow, task_id, state="queued")
        claimed(database, task_id)

        assert reap_now(database) == 0

        assert [each["outcome"] for each in attempts(database, task_id)] == ["worker_lost", None]

    def test_after_a_start_of_postgresql_every_worker_has_a_lease_to_report(
        self, database: Database, flow: Flow
    ) -> None:
        task_id = add_task(database, flow)
        claimed(database, task_id, lease=-SECOND)

        assert reap_now(database, lease=100 * DAY) == 0

        assert task(database, task_id)["state"] == "running"

    def test_a_row_that_somebody_holds_is_left_for_the_next_time(
        self, database: Database, flow: Flow
    ) -> None:
        """A worker that just extends its lease is not taken for lost, and nobody waits."""
        task_id = add_task(database, flow)
        claimed(database, task_id, lease=-SECOND)
        with database.transaction() as connection:
            connection.execute(update(TaskRow).values(lease_expires_at=func.now() + DAY))
            assert reap_now(database) == 0

        assert reap_now(database) == 0
        assert task(database, task_id)["state"] == "running"


class TestWorkers:
    @pytest.mark.parametrize("status", ["online", "draining"])
    def test_a_silent_worker_is_marked_lost(self, database: Database, status: str) -> None:
        silent, alive = add_worker(database, "silent"), add_worker(database, "alive")
        put(database, WorkerRow, silent.id, heartbeat_at=func.now() - 61 * SECOND, status=status)

        with database.transaction() as connection:
            assert mark_lost_workers(connection, silence=60 * SECOND) == 1

        lost = row(database, WorkerRow, silent.id)
        assert (lost["status"], lost["stopped_at"] is not None) == ("lost", True)
        assert row(database, WorkerRow, alive.id)["status"] == "online"

    def test_a_worker_that_stopped_is_not_lost(self, database: Database) -> None:
        stopped = add_worker(database)
        put(
            database,
            WorkerRow,
            stopped.id,
            heartbeat_at=func.now() - DAY,
            status="stopped",
        )

        with database.transaction() as connection:
            assert mark_lost_workers(connection, silence=SECOND) == 0

        assert row(database, WorkerRow, stopped.id)["status"] == "stopped"
