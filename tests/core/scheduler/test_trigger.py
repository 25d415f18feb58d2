"""Runs by hand under an overlap policy."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from uuid import UUID

import pytest

from automagik.core.config import Settings
from automagik.core.database.models import TaskRow
from automagik.core.database.session import Database
from automagik.core.exceptions import Conflict
from automagik.core.flows.values import Flow
from automagik.core.scheduler.dispatch import dispatch
from automagik.core.scheduler.fire import fire
from automagik.core.scheduler.manager import SchedulerManager
from automagik.core.scheduler.overlap import REPLACED
from automagik.core.scheduler.policies import Overlap
from automagik.core.tasks.states import TaskState
from automagik.core.tasks.values import Task
from tests.core.embedded.patience import eventually
from tests.core.records import WAITS_FOR_A_ROW, add_schedules, add_task, opened, put, rows, task
from tests.core.scheduler.stored import add_flow
from tests.workers.queues import delivered
from workers.ready_queue import CeleryReadyQueues

SECOND = timedelta(seconds=1)
HOUR = timedelta(hours=1)


@pytest.fixture
def flow(database: Database) -> Flow:
    return add_flow(database)


@pytest.fixture
def schedule_id(database: Database, flow: Flow) -> UUID:
    return add_schedules(database, flow, late=-HOUR)[0]


def trigger(
    database: Database, settings: Settings, schedule_id: UUID, overlap: Overlap | None
) -> Task:
    return SchedulerManager(database, settings).trigger(schedule_id, actor="me", overlap=overlap)


@pytest.mark.parametrize("overlap", [None, *Overlap])
def test_it_begins_when_nothing_of_the_schedule_is_unfinished(
    database: Database, settings: Settings, flow: Flow, schedule_id: UUID, *, overlap: Overlap
) -> None:
    add_task(database, flow, schedule_id=schedule_id, state=TaskState.FAILED)
    add_task(database, flow, state=TaskState.RUNNING)

    made = trigger(database, settings, schedule_id, overlap)

    assert task(database, made.id)["in_turn"] == bool(overlap and overlap.waits)


@pytest.mark.parametrize("overlap", [None, Overlap.ALLOW_ALL])
def test_it_begins_beside_others_unless_a_policy_is_given(
    database: Database, settings: Settings, schedule_id: UUID, overlap: Overlap | None
) -> None:
    for _ in range(2):
        made = trigger(database, settings, schedule_id, overlap)

    assert task(database, made.id)["state"] == "pending"


def test_skip_refuses_while_another_is_unfinished(
    database: Database, settings: Settings, schedule_id: UUID
) -> None:
    trigger(database, settings, schedule_id, Overlap.SKIP)

    with pytest.raises(Conflict, match="another run of the schedule is unfinished"):
        trigger(database, settings, schedule_id, Overlap.SKIP)

    assert rows(database, "SELECT count(*) FROM tasks") == [1]


def test_buffer_one_lets_one_wait_and_buffer_all_many(
    database: Database,
    settings: Settings,
    schedule_id: UUID,
    queue: CeleryReadyQueues,
    redis_url: str,
) -> None:
    first, second = (trigger(database, settings, schedule_id, Overlap.BUFFER_ONE) for _ in range(2))
    with pytest.raises(Conflict, match="2 runs of the schedule are unfinished"):
        trigger(database, settings, schedule_id, Overlap.BUFFER_ONE)
    third = trigger(database, settings, schedule_id, Overlap.BUFFER_ALL)

    order = []
    for _ in range(3):
        with database.transaction() as connection:
            dispatch(connection, queue, least=10, silence=HOUR, actor="beat")
        order.append(delivered(redis_url)[-1])
        assert len(delivered(redis_url)) == len(order)
        rows(
            database,
            "UPDATE tasks SET state = 'cancelled', finished_at = now() WHERE id = :id RETURNING 1",
            id=order[-1],
        )
    assert order == [first.id, second.id, third.id]


@pytest.mark.parametrize("overlap", [Overlap.CANCEL_OTHER, Overlap.TERMINATE_OTHER])
def test_others_are_cancelled_however_they_were_started(
    database: Database, settings: Settings, flow: Flow, schedule_id: UUID, overlap: Overlap
) -> None:
    [occurrence] = add_schedules(database, flow, late=SECOND)
    put_it = "UPDATE tasks SET schedule_id = :id RETURNING id"
    with database.transaction() as connection:
        fire(connection, settings=settings, actor="beat")
    [by_clock] = rows(database, put_it, id=schedule_id)
    by_hand = trigger(database, settings, schedule_id, None)
    other = add_task(database, flow, schedule_id=occurrence)

    made = trigger(database, settings, schedule_id, overlap)

    for each in (by_clock, by_hand.id):
        ended = task(database, each)
        assert (ended["state"], ended["state_reason"]) == ("cancelled", REPLACED)
        assert ended["state_actor"] == "me"
    assert [task(database, each)["state"] for each in (made.id, other)] == ["pending"] * 2


def test_two_at_the_same_time_come_one_after_the_other(
    database: Database, settings: Settings, schedule_id: UUID
) -> None:
    with opened(settings.require_database_url()) as other, ThreadPoolExecutor() as pool:
        with other.transaction() as connection:
            connection.exec_driver_sql("SELECT FROM schedules FOR NO KEY UPDATE")
            waiting = [
                pool.submit(trigger, database, settings, schedule_id, Overlap.SKIP)
                for _ in range(2)
            ]
            assert eventually(lambda: rows(database, WAITS_FOR_A_ROW) == [True], seconds=10)
        refused = [each for each in waiting if each.exception() is not None]

    assert len(refused) == 1
    assert isinstance(refused[0].exception(), Conflict)
    assert rows(database, "SELECT count(*) FROM tasks") == [1]


def test_runs_of_backfills_do_not_count(
    database: Database, settings: Settings, flow: Flow, schedule_id: UUID
) -> None:
    [backfill_id] = rows(
        database,
        "INSERT INTO backfills (id, schedule_id, begin_at, end_at, max_concurrent, occurrences,"
        " told_until, actor) VALUES (gen_random_uuid(), :id, now() - interval '1 day', now(), 1,"
        " 1, now(), 'me') RETURNING id",
        id=schedule_id,
    )
    part = add_task(database, flow, schedule_id=schedule_id, backfill_id=backfill_id)
    put(database, TaskRow, part, state=TaskState.QUEUED)

    for overlap in (Overlap.SKIP, Overlap.CANCEL_OTHER):
        trigger(database, settings, schedule_id, overlap)

    assert task(database, part)["state"] == "queued"
