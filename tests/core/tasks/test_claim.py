"""Whoever gets the row owns the attempt."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from threading import Barrier
from uuid import UUID

import pytest
from sqlalchemy import func, insert

from automagik.core.database.base import new_id
from automagik.core.database.models import FlowRow, FlowVersionRow, TaskRow
from automagik.core.database.session import Database
from automagik.core.flows.values import Flow
from automagik.core.tasks.claim import Claim, Claimant, claim
from automagik.core.tasks.states import TaskState
from tests.core.records import LEASE, add_task, add_worker, attempts, claimed, put, rows, task
from tests.core.tasks.rows import add_flow, add_schedule

HOUR = timedelta(hours=1)


@pytest.fixture
def flow(database: Database) -> Flow:
    return add_flow(database)


def take(database: Database, task_id: UUID, worker: Claimant) -> Claim | None:
    with database.transaction() as connection:
        return claim(connection, task_id, worker=worker, lease=LEASE)


def test_of_eight_workers_exactly_one_gets_the_task(database: Database, flow: Flow) -> None:
    task_ids = [add_task(database, flow, state=TaskState.QUEUED) for _ in range(10)]
    start = Barrier(8)

    def work(number: int) -> list[bool]:
        worker, won = Claimant(id=new_id(), name=f"worker{number}"), []
        for task_id in task_ids:
            start.wait()
            won.append(take(database, task_id, worker) is not None)
        return won

    with ThreadPoolExecutor(8) as workers:
        winners = [sum(won) for won in zip(*workers.map(work, range(8)), strict=True)]

    assert winners == [1] * 10
    assert rows(database, "SELECT DISTINCT attempt FROM tasks") == [1]
    assert rows(database, "SELECT count(*) FROM task_attempts") == [10]


def test_a_claimed_task_runs_under_a_lease(database: Database, flow: Flow) -> None:
    worker = add_worker(database)
    for state in (TaskState.PENDING, TaskState.QUEUED):
        task_id = add_task(database, flow, state=state)

        assert take(database, task_id, worker) is not None, state

        running = task(database, task_id)
        assert (running["state"], running["attempt"]) == ("running", 1)
        assert (running["worker_id"], running["state_actor"]) == (worker.id, worker.name)
        assert running["lease_expires_at"] == running["started_at"] + LEASE


def test_a_task_in_any_other_state_is_not_claimed(database: Database, flow: Flow) -> None:
    worker = add_worker(database)
    for state in set(TaskState) - {TaskState.PENDING, TaskState.QUEUED}:
        task_id = add_task(database, flow, state=state)
        before = task(database, task_id)

        assert take(database, task_id, worker) is None, state

        assert task(database, task_id) == before
        assert attempts(database, task_id) == []


def test_a_task_that_is_not_due_is_not_claimed(database: Database, flow: Flow) -> None:
    task_id = add_task(database, flow, run_at=func.now() + HOUR)

    assert take(database, task_id, add_worker(database)) is None


def test_a_task_that_is_not_there_is_not_claimed(database: Database) -> None:
    assert take(database, new_id(), add_worker(database)) is None


def test_each_claim_is_an_attempt_with_a_number_of_its_own(database: Database, flow: Flow) -> None:
    first, second = add_worker(database, "first"), add_worker(database, "second")
    task_id = add_task(database, flow)
    claimed(database, task_id, worker=first)
    put(database, TaskRow, task_id, state="waiting", lease_expires_at=None)
    put(database, TaskRow, task_id, state="queued")

    again = take(database, task_id, second)

    assert again is not None
    assert again.attempt == 2
    tries = [(a["attempt"], a["worker_name"], a["outcome"]) for a in attempts(database, task_id)]
    assert tries == [(1, "first", None), (2, "second", None)]


def test_the_claim_says_all_that_the_run_needs(database: Database, flow: Flow) -> None:
    put(database, FlowRow, flow.id, input_component="in", output_component="out")
    task_id = add_task(
        database,
        flow,
        schedule_id=add_schedule(database, flow, "nightly"),
        input_value="hi",
        tweaks={"a": {"b": 1}},
        session_id="mine",
        timeout_seconds=2.5,
        max_retries=8,
        max_attempts=9,
    )

    taken = claimed(database, task_id)

    assert taken == Claim(
        task_id=task_id,
        attempt=1,
        started_at=taken.started_at,
        max_attempts=9,
        max_retries=8,
        timeout=timedelta(seconds=2.5),
        flow_name=flow.name,
        remote_flow_id=flow.remote_id,
        schedule_name="nightly",
        at_most_once=False,
        source_id=flow.source_id,
        source_name=flow.source_name,
        source_url="http://127.0.0.1:9",
        run_at=taken.run_at,
        traceparent=None,
        api_key_encrypted=None,
        input_value="hi",
        tweaks={"a": {"b": 1}},
        session_id="mine",
        flow_version_id=flow.version_id,
        input_component="in",
        output_component="out",
    )


def test_a_task_without_a_session_gets_one_of_its_own(database: Database, flow: Flow) -> None:
    task_id = add_task(database, flow)

    assert claimed(database, task_id).session_id == str(task_id)


def test_a_run_names_the_version_that_the_flow_has_now(database: Database, flow: Flow) -> None:
    task_id = add_task(database, flow)
    newer = new_id()
    with database.transaction() as connection:
        connection.execute(
            insert(FlowVersionRow).values(
                id=newer, flow_id=flow.id, number=2, content_hash="newer", definition={}
            )
        )
    put(database, FlowRow, flow.id, version_id=newer)

    assert claimed(database, task_id).flow_version_id == newer
    assert task(database, task_id)["flow_version_id"] == newer
