"""Due tasks go to a real ready-queue: in order, within limits, and never lost."""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import timedelta
from uuid import UUID

import pytest
import redis
from sqlalchemy import Connection, func, text

from automagik.core.config import Settings
from automagik.core.database.models import TaskRow, WorkerRow
from automagik.core.database.prepared import plan_once
from automagik.core.database.session import Database
from automagik.core.exceptions import RedisUnreachable
from automagik.core.flows.values import Flow
from automagik.core.scheduler.delivery import Delivery, ReadyQueues
from automagik.core.scheduler.dispatch import dispatch
from automagik.core.scheduler.reconcile import Reconciler
from automagik.core.tasks.claim import claim
from automagik.core.tasks.states import DISPATCHABLE, TaskState
from tests.core.embedded.patience import eventually
from tests.core.records import (
    LEASE,
    MINUTE,
    WAITS_FOR_A_ROW,
    add_task,
    add_worker,
    claimed,
    dying,
    limit_source,
    opened,
    put,
    rows,
    task,
)
from tests.core.tasks.rows import add_flow, add_schedule
from tests.workers.queues import NAME, delivered, messages
from workers.ready_queue import CeleryReadyQueues

HOUR = timedelta(hours=1)

UNDER_WAY = "SELECT count(*) FROM tasks WHERE state = 'queued'"
MANY = """
INSERT INTO tasks (id, flow_id, flow_version_id, source_id, max_retries, max_attempts,
    timeout_seconds)
SELECT gen_random_uuid(), id, version_id, source_id, 3, 4, 60
FROM flows, generate_series(1, :count) WHERE id = :flow
"""
LOCK = "EXPLAIN EXECUTE lock_sources ('1 second', 300, '1 minute')"
MARK = "EXPLAIN EXECUTE mark_queued ('{}', '{}', '{}', '{}', 500, '{}', 'me')"
TAKE_ALL = """
UPDATE tasks SET state = 'paused'
WHERE id IN (SELECT id FROM tasks WHERE state = 'queued' FOR UPDATE SKIP LOCKED) RETURNING id
"""


def sending(connection: Connection, queue: ReadyQueues, least: int = 300) -> int:
    return dispatch(connection, queue, least=least, silence=MINUTE, actor="beat@here")


def send(database: Database, queue: ReadyQueues, least: int = 300) -> int:
    with database.transaction() as connection:
        return sending(connection, queue, least)


def send_lost(database: Database, queue: ReadyQueues, overdue: timedelta = MINUTE) -> int:
    with database.transaction() as connection:
        reconciler = Reconciler(queue, overdue=overdue)
        reconciler.reconcile(connection)
        return reconciler.reconcile(connection)


def tasks_by(plan: Sequence[str]) -> Sequence[str]:
    """The indexes by which tasks are read."""
    scans = re.compile(
        r"Scan using (\w+) on tasks|Bitmap Index Scan on (ix_tasks\w+)|Seq Scan on tasks"
    )
    return [found[1] or found[2] for line in plan if (found := scans.search(line))]


class Unreliable:
    """A Redis that goes away between the count and the publish."""

    def publish(self, deliveries: Sequence[Delivery]) -> None:  # noqa: ARG002
        raise RedisUnreachable

    def lengths(self, names: Iterable[str]) -> Mapping[str, int]:
        return dict.fromkeys(names, 0)

    def task_ids(self, names: Iterable[str]) -> set[UUID]:  # noqa: ARG002
        return set()


class TestPlans:
    """Of statements that are planned once, as those of a beat are."""

    @pytest.fixture
    def database(self, settings: Settings) -> Iterator[Database]:
        with opened(settings.require_database_url()) as database:
            plan_once(database.engine)
            yield database

    @pytest.mark.parametrize("count", [0, 20_000])
    def test_tasks_are_found_by_their_turns_and_ids_however_many_there_are(
        self, database: Database, flow: Flow, queue: CeleryReadyQueues, count: int
    ) -> None:
        add_task(database, flow)
        with database.transaction() as connection:
            connection.execute(text(MANY), {"flow": flow.id, "count": count})
            connection.execute(text("ANALYZE tasks"))
            sending(connection, queue)
            lock, mark = (connection.scalars(text(explain)).all() for explain in (LOCK, MARK))

        of_lock, of_mark = Counter(tasks_by(lock)), Counter(tasks_by(mark))
        assert of_lock["ix_tasks_dispatchable"] == of_mark["ix_tasks_dispatchable"] == 1
        assert of_mark["pk_tasks"] >= 2, "to lock them and to mark them"
        assert "ix_tasks_run_at" not in of_lock | of_mark


class TestOrder:
    def test_older_tasks_of_higher_priority_come_first_over_all_sources(
        self, database: Database, flow: Flow, queue: CeleryReadyQueues, redis_url: str
    ) -> None:
        other = add_flow(database, "other")
        young = add_task(database, flow, run_at=func.now() - MINUTE)
        old = add_task(database, other, run_at=func.now() - HOUR)
        urgent = add_task(database, flow, priority=200)
        idle = add_task(database, other, priority=-200, run_at=func.now() - 2 * HOUR)

        assert send(database, queue) == 4

        assert delivered(redis_url) == [urgent, old, young, idle]

    def test_a_sent_task_is_queued_and_its_delivery_names_flow_and_schedule(
        self, database: Database, flow: Flow, queue: CeleryReadyQueues, redis_url: str
    ) -> None:
        task_id = add_task(database, flow, schedule_id=add_schedule(database, flow, "nightly"))

        send(database, queue)

        sent = task(database, task_id)
        assert (sent["state"], sent["state_actor"]) == ("queued", "beat@here")
        assert sent["queued_at"] is not None
        [message] = messages(redis_url)
        assert message["headers"]["argsrepr"] == f"flow={flow.name}"
        assert message["headers"]["kwargsrepr"] == "schedule=nightly"

    def test_a_retry_goes_out_when_it_is_due_and_nothing_goes_out_before(
        self, database: Database, flow: Flow, queue: CeleryReadyQueues, redis_url: str
    ) -> None:
        due = add_task(database, flow, state=TaskState.WAITING, attempt=1)
        add_task(database, flow, state=TaskState.WAITING, run_at=func.now() + HOUR)
        add_task(database, flow, run_at=func.now() + HOUR)

        assert (send(database, queue), delivered(redis_url)) == (1, [due])

    def test_only_pending_and_waiting_tasks_go_out(
        self, database: Database, flow: Flow, queue: CeleryReadyQueues
    ) -> None:
        for state in set(TaskState) - DISPATCHABLE:
            add_task(database, flow, state=state)

        assert send(database, queue) == 0


class TestLimits:
    def test_the_ready_queue_is_filled_up_to_its_target(
        self, database: Database, flow: Flow, queue: CeleryReadyQueues, redis_url: str
    ) -> None:
        limit_source(database, flow, 100)
        for _ in range(8):
            add_task(database, flow)

        assert send(database, queue, least=5) == 5
        assert send(database, queue, least=5) == 0
        with closing(redis.Redis.from_url(redis_url)) as client:
            client.rpop(NAME)
        assert send(database, queue, least=5) == 1

    def test_queued_and_running_tasks_count_for_the_limit_of_their_source(
        self, database: Database, flow: Flow, queue: CeleryReadyQueues
    ) -> None:
        limit_source(database, flow, 3)
        add_task(database, flow, state=TaskState.QUEUED)
        add_task(database, flow, state=TaskState.RUNNING)
        waiting = [add_task(database, flow) for _ in range(4)]
        free = add_task(database, add_flow(database, "other"))

        assert send(database, queue) == 2
        assert send(database, queue) == 0

        assert task(database, free)["state"] == "queued"
        assert [task(database, each)["state"] for each in waiting].count("queued") == 1

    def test_a_source_over_its_limit_sends_nothing(
        self, database: Database, flow: Flow, queue: CeleryReadyQueues
    ) -> None:
        limit_source(database, flow, 1)
        for _ in range(3):
            add_task(database, flow, state=TaskState.QUEUED)
        add_task(database, flow)

        assert send(database, queue) == 0

    def test_the_limit_holds_while_four_beats_send_at_once(
        self, database: Database, flow: Flow, queue: CeleryReadyQueues, redis_url: str
    ) -> None:
        limit_source(database, flow, 5)
        task_ids = {add_task(database, flow) for _ in range(200)}

        def beat(_: int) -> int:
            """Sends and lets workers take all; the most that was under way at once."""
            most = 0
            while rows(database, "SELECT 1 FROM tasks WHERE state = 'pending' LIMIT 1"):
                send(database, queue)
                most = max(most, *rows(database, UNDER_WAY))
                rows(database, TAKE_ALL)
            return most

        with ThreadPoolExecutor(4) as beats:
            most = max(beats.map(beat, range(4)))

        assert most == 5
        assert sorted(delivered(redis_url)) == sorted(task_ids)

    def test_tasks_are_created_while_a_beat_sends(
        self, database: Database, flow: Flow, queue: CeleryReadyQueues
    ) -> None:
        """The lock that keeps the limit does not keep anybody from inserting."""
        add_task(database, flow)
        with database.transaction() as connection:
            sending(connection, queue)
            with database.transaction() as other:
                other.execute(text("SET LOCAL lock_timeout = '2s'"))
                other.execute(
                    text(
                        "INSERT INTO tasks (id, flow_id, flow_version_id, source_id, max_retries,"
                        " max_attempts, timeout_seconds) SELECT gen_random_uuid(), flow_id,"
                        " flow_version_id, source_id, 0, 1, 1 FROM tasks"
                    )
                )

        assert rows(database, "SELECT state FROM tasks ORDER BY state") == ["pending", "queued"]

    def test_two_deliveries_per_slot_of_the_live_workers_wait_and_never_too_few(
        self, database: Database, flow: Flow, queue: CeleryReadyQueues
    ) -> None:
        limit_source(database, flow, 100)
        for _ in range(10):
            add_task(database, flow)
        assert send(database, queue, least=3) == 3
        add_worker(database, "one", slots=2)
        add_worker(database, "two", slots=1)
        silent = add_worker(database, "silent", slots=1000)
        put(database, WorkerRow, silent.id, heartbeat_at=func.now() - HOUR)
        draining = add_worker(database, "draining", slots=1000)
        put(database, WorkerRow, draining.id, status="draining")

        assert send(database, queue, least=3) == 3
        assert send(database, queue, least=8) == 2


class TestTrouble:
    def test_a_publish_that_fails_leaves_the_task_pending(
        self, database: Database, flow: Flow
    ) -> None:
        task_id = add_task(database, flow)

        with pytest.raises(RedisUnreachable):
            send(database, Unreliable())

        assert task(database, task_id)["state"] == "pending"
        assert task(database, task_id)["queued_at"] is None

    def test_a_crash_after_the_publish_sends_again_and_one_delivery_wins(
        self, database: Database, flow: Flow, queue: CeleryReadyQueues, redis_url: str
    ) -> None:
        task_id = add_task(database, flow)
        with dying(database) as connection:
            sending(connection, queue)
        assert task(database, task_id)["state"] == "pending"

        assert send(database, queue) == 1

        assert delivered(redis_url) == [task_id, task_id]
        worker = add_worker(database)
        takes = []
        for each in delivered(redis_url):
            with database.transaction() as connection:
                takes.append(claim(connection, each, worker=worker, lease=LEASE))
        assert [each is not None for each in takes] == [True, False]

    def test_a_worker_that_is_faster_than_the_commit_waits_for_it(
        self, database: Database, flow: Flow, queue: CeleryReadyQueues
    ) -> None:
        task_id = add_task(database, flow)
        with ThreadPoolExecutor(1) as worker:
            with database.transaction() as connection:
                sending(connection, queue)
                taking = worker.submit(claimed, database, task_id)
            taken = taking.result(timeout=10)

        assert (taken.task_id, taken.attempt) == (task_id, 1)
        ways = rows(database, "SELECT to_state FROM task_events ORDER BY id")
        assert ways == ["pending", "queued", "running"]

    def test_a_worker_that_is_faster_than_the_commit_of_a_retry_waits_as_well(
        self, database: Database, flow: Flow, queue: CeleryReadyQueues
    ) -> None:
        """What it waits for is still `waiting` in the eyes of its statement."""
        task_id = add_task(database, flow)
        claimed(database, task_id)
        put(database, TaskRow, task_id, state="waiting", lease_expires_at=None)
        with ThreadPoolExecutor(1) as worker:
            with database.transaction() as connection:
                sending(connection, queue)
                taking = worker.submit(claimed, database, task_id)
                assert eventually(lambda: rows(database, WAITS_FOR_A_ROW) == [True], seconds=5)
            taken = taking.result(timeout=10)

        assert (taken.task_id, taken.attempt) == (task_id, 2)


class TestReconcile:
    def test_only_what_is_overdue_and_not_in_redis_goes_out_again(
        self, database: Database, flow: Flow, queue: CeleryReadyQueues, redis_url: str
    ) -> None:
        waits = add_task(database, flow)
        send(database, queue)
        put(database, TaskRow, waits, queued_at=func.now() - HOUR)
        lost = add_task(database, flow, state=TaskState.QUEUED, queued_at=func.now() - HOUR)
        add_task(database, flow, state=TaskState.QUEUED)
        add_task(database, flow, state=TaskState.RUNNING, queued_at=func.now() - HOUR)

        assert send_lost(database, queue) == 1
        assert send_lost(database, queue) == 0

        assert delivered(redis_url) == [waits, lost]

    def test_a_delivery_that_waits_in_redis_keeps_nobody_waiting(
        self, database: Database, flow: Flow, queue: CeleryReadyQueues
    ) -> None:
        """Its row is not locked: a worker may claim it meanwhile."""
        waits = add_task(database, flow)
        send(database, queue)
        put(database, TaskRow, waits, queued_at=func.now() - HOUR)

        with database.transaction() as connection:
            reconciler = Reconciler(queue, overdue=MINUTE)
            assert [reconciler.reconcile(connection) for _ in range(2)] == [0, 0]
            with ThreadPoolExecutor(1) as worker:
                assert worker.submit(claimed, database, waits).result(timeout=10).task_id == waits

    def test_a_flushed_redis_gets_everything_back(
        self, database: Database, flow: Flow, queue: CeleryReadyQueues, redis_url: str
    ) -> None:
        task_ids = {add_task(database, flow) for _ in range(8)}
        send(database, queue)
        with closing(redis.Redis.from_url(redis_url)) as client:
            client.flushall()

        assert send_lost(database, queue, overdue=timedelta()) == 8

        assert set(delivered(redis_url)) == task_ids
        assert rows(database, "SELECT DISTINCT state FROM tasks") == ["queued"]

    def test_a_publish_that_fails_is_tried_again(
        self, database: Database, flow: Flow, queue: CeleryReadyQueues
    ) -> None:
        add_task(database, flow, state=TaskState.QUEUED, queued_at=func.now() - HOUR)

        with pytest.raises(RedisUnreachable):
            send_lost(database, Unreliable())

        assert send_lost(database, queue) == 1
