"""Limits, queues and turns hold at dispatch, over all beats."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import timedelta
from uuid import UUID

import redis
from sqlalchemy import func

from automagik.core.database.models import FlowRow, SourceRow, WorkerRow
from automagik.core.database.session import Database
from automagik.core.flows.values import Flow
from automagik.core.queues import ensure_queue
from automagik.core.scheduler.attendance import recall
from automagik.core.scheduler.dispatch import dispatch
from automagik.core.scheduler.reconcile import Reconciler
from automagik.core.tasks.states import TaskState
from tests.core.records import MINUTE, add_task, add_worker, limit_source, put, rows, task
from tests.core.tasks.rows import add_flow
from tests.workers.queues import delivered
from workers.ready_queue import CeleryReadyQueues

HOUR = timedelta(hours=1)
QUEUED = "SELECT count(*) FROM tasks WHERE state = 'queued'"


def send(database: Database, queues: CeleryReadyQueues, least: int = 300) -> int:
    with database.transaction() as connection:
        return dispatch(connection, queues, least=least, silence=MINUTE, actor="beat@here")


def add_queue(database: Database, name: str) -> None:
    with database.transaction() as connection:
        ensure_queue(connection, name)


def pause_queue(database: Database, name: str) -> None:
    rows(database, "UPDATE queues SET paused_at = now() WHERE name = :name RETURNING 1", name=name)


class TestTurns:
    def test_a_point_of_priority_is_worth_a_minute_of_waiting(
        self, database: Database, flow: Flow, queue: CeleryReadyQueues, redis_url: str
    ) -> None:
        ten_minutes_old = add_task(database, flow, run_at=func.now() - 10 * MINUTE)
        ahead = add_task(database, flow, priority=11)
        behind = add_task(database, flow, priority=9)

        send(database, queue)

        assert delivered(redis_url) == [ahead, ten_minutes_old, behind]

    def test_a_stream_of_urgent_tasks_does_not_starve_an_old_one(
        self, database: Database, flow: Flow, queue: CeleryReadyQueues
    ) -> None:
        limit_source(database, flow, 1)
        humble = add_task(database, flow, priority=-5)
        sent: list[UUID] = []
        while humble not in sent:
            add_task(database, flow, priority=5)
            put_all_back(database, by=MINUTE)
            send(database, queue)
            sent += rows(
                database, "UPDATE tasks SET state = 'paused' WHERE state = 'queued' RETURNING id"
            )

        assert 10 <= len(sent) <= 12


def put_all_back(database: Database, *, by: timedelta) -> None:
    """As if so much time had passed."""
    rows(database, "UPDATE tasks SET run_at = run_at - :by RETURNING 1", by=by)


class TestFlows:
    def test_a_flow_has_no_more_runs_under_way_than_it_may(
        self, database: Database, flow: Flow, queue: CeleryReadyQueues
    ) -> None:
        put(database, FlowRow, flow.id, max_parallel_runs=3)
        add_task(database, flow, state=TaskState.RUNNING)
        for _ in range(5):
            add_task(database, flow)

        assert send(database, queue) == 2
        assert send(database, queue) == 0

    def test_the_backlog_of_a_full_flow_does_not_keep_others_from_running(
        self, database: Database, flow: Flow, queue: CeleryReadyQueues
    ) -> None:
        """They share the source, whose places the backlog could take."""
        limit_source(database, flow, 4)
        put(database, FlowRow, flow.id, max_parallel_runs=1)
        for _ in range(20):
            add_task(database, flow, run_at=func.now() - HOUR)
        other = add_flow(database, "other")
        put(database, FlowRow, other.id, source_id=flow.source_id)
        others = [add_task(database, other, source_id=flow.source_id) for _ in range(3)]

        sent = [send(database, queue) for _ in range(2)]

        assert sent == [1, 3]
        assert {task(database, each)["state"] for each in others} == {"queued"}

    def test_the_limit_holds_while_four_beats_send_at_once(
        self, database: Database, flow: Flow, queue: CeleryReadyQueues, redis_url: str
    ) -> None:
        limit_source(database, flow, 50)
        put(database, FlowRow, flow.id, max_parallel_runs=3)
        task_ids = {add_task(database, flow) for _ in range(60)}

        def beat(_: int) -> int:
            most = 0
            while rows(database, "SELECT 1 FROM tasks WHERE state = 'pending' LIMIT 1"):
                send(database, queue)
                most = max(most, *rows(database, QUEUED))
                rows(
                    database,
                    "UPDATE tasks SET state = 'paused' WHERE id IN (SELECT id FROM tasks"
                    " WHERE state = 'queued' FOR UPDATE SKIP LOCKED) RETURNING id",
                )
            return most

        with ThreadPoolExecutor(4) as beats:
            assert max(beats.map(beat, range(4))) == 3

        assert sorted(delivered(redis_url)) == sorted(task_ids)


class TestRate:
    def test_a_source_gets_so_many_runs_a_minute_by_the_clock_of_the_database(
        self, database: Database, flow: Flow, queue: CeleryReadyQueues
    ) -> None:
        limit_source(database, flow, 1000)
        put(database, SourceRow, flow.source_id, max_runs_per_minute=1)
        for _ in range(10):
            add_task(database, flow)

        assert send(database, queue) == 1
        assert send(database, queue) == 0
        rows(
            database,
            "UPDATE sources SET rate_used_until = rate_used_until - interval '1 min' RETURNING 1",
        )
        assert send(database, queue) == 1

    def test_another_source_is_not_held_up(
        self, database: Database, flow: Flow, queue: CeleryReadyQueues
    ) -> None:
        put(database, SourceRow, flow.source_id, max_runs_per_minute=1)
        for _ in range(3):
            add_task(database, flow, run_at=func.now() - HOUR)
        free = add_task(database, add_flow(database, "other"))

        send(database, queue)

        assert task(database, free)["state"] == "queued"


class TestQueues:
    def test_each_delivery_goes_to_its_queue_and_each_queue_has_a_target(
        self, database: Database, flow: Flow, queue: CeleryReadyQueues, redis_url: str
    ) -> None:
        limit_source(database, flow, 1000)
        add_queue(database, "gpu")
        usual = [add_task(database, flow) for _ in range(4)]
        special = [add_task(database, flow, queue="gpu") for _ in range(4)]

        assert send(database, queue, least=3) == 6

        assert delivered(redis_url) == usual[:3]
        assert queue.task_ids(["gpu"]) == set(special[:3])

    def test_the_slots_of_a_worker_count_for_the_queues_that_it_takes_from(
        self, database: Database, flow: Flow, queue: CeleryReadyQueues
    ) -> None:
        limit_source(database, flow, 1000)
        add_queue(database, "gpu")
        add_worker(database, "one", slots=3)
        add_worker(database, "two", slots=1, queues=["gpu"])
        for _ in range(10):
            add_task(database, flow)
            add_task(database, flow, queue="gpu")

        send(database, queue, least=1)

        assert queue.lengths(["automagik", "gpu"]) == {"automagik": 6, "gpu": 2}

    def test_a_queue_that_nobody_takes_from_holds_no_places_of_its_source(
        self, database: Database, flow: Flow, queue: CeleryReadyQueues
    ) -> None:
        limit_source(database, flow, 3)
        add_queue(database, "gpu")
        special = [add_task(database, flow, queue="gpu", priority=9) for _ in range(5)]
        assert send(database, queue) == 3, "there is no worker at all yet"
        usual = add_task(database, flow)
        add_worker(database)

        with database.transaction() as connection:
            assert recall(connection, silence=MINUTE, actor="beat@here") == 3
            assert recall(connection, silence=MINUTE, actor="beat@here") == 0
        assert send(database, queue) == 1

        assert task(database, usual)["state"] == "queued"
        assert {task(database, each)["attempt"] for each in special} == {0}
        assert task(database, special[0])["state_reason"] == "no worker takes from its queue"
        add_worker(database, "two", queues=["gpu"])
        assert send(database, queue) == 2

    def test_a_worker_that_starts_anew_finds_its_deliveries(
        self, database: Database, flow: Flow, queue: CeleryReadyQueues
    ) -> None:
        add_queue(database, "gpu")
        add_worker(database)
        worker = add_worker(database, "two", queues=["gpu"])
        sent = add_task(database, flow, queue="gpu")
        assert send(database, queue) == 1
        put(database, WorkerRow, worker.id, status="stopped")

        with database.transaction() as connection:
            assert recall(connection, silence=MINUTE, actor="beat@here") == 0

        assert task(database, sent)["state"] == "queued"

    def test_nothing_goes_to_a_paused_queue_and_the_others_go_on(
        self, database: Database, flow: Flow, queue: CeleryReadyQueues
    ) -> None:
        add_queue(database, "gpu")
        pause_queue(database, "automagik")
        held = add_task(database, flow, run_at=func.now() - HOUR)
        free = add_task(database, flow, queue="gpu")

        assert send(database, queue) == 1

        assert (task(database, held)["state"], task(database, free)["state"]) == (
            "pending",
            "queued",
        )

    def test_a_source_serves_the_queues_in_the_order_of_turns(
        self, database: Database, flow: Flow, queue: CeleryReadyQueues
    ) -> None:
        limit_source(database, flow, 2)
        add_queue(database, "gpu")
        young = add_task(database, flow)
        first = add_task(database, flow, queue="gpu", run_at=func.now() - HOUR)
        second = add_task(database, flow, run_at=func.now() - MINUTE)

        assert send(database, queue) == 2

        states = [task(database, each)["state"] for each in (first, second, young)]
        assert states == ["queued", "queued", "pending"]

    def test_a_flushed_redis_gets_the_deliveries_of_each_queue_back(
        self, database: Database, flow: Flow, queue: CeleryReadyQueues, redis_url: str
    ) -> None:
        add_queue(database, "gpu")
        usual, special = add_task(database, flow), add_task(database, flow, queue="gpu")
        send(database, queue)
        with closing(redis.Redis.from_url(redis_url)) as client:
            client.flushall()

        with database.transaction() as connection:
            reconciler = Reconciler(queue, overdue=timedelta())
            assert [reconciler.reconcile(connection) for _ in range(2)] == [0, 2]

        assert queue.task_ids(["automagik"]) == {usual}
        assert queue.task_ids(["gpu"]) == {special}
