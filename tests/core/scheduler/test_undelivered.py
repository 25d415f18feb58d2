"""Queued rows and the ready-queues in a real Redis, side by side."""

from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
import redis
from pydantic import SecretStr
from sqlalchemy import func, text

from automagik.core.config import Settings
from automagik.core.database.models import TaskRow
from automagik.core.database.session import Database
from automagik.core.exceptions import RedisUnreachable
from automagik.core.flows.values import Flow
from automagik.core.scheduler.delivery import Delivery
from automagik.core.scheduler.undelivered import MARGIN, Comparison, compare
from automagik.core.tasks.states import TaskState
from tests.core.records import add_task, put
from workers.ready_queue import CeleryReadyQueues

SECOND = timedelta(seconds=1)


@pytest.fixture
def client(redis_url: str) -> Iterator[redis.Redis]:
    with closing(redis.Redis.from_url(redis_url)) as client:
        yield client


def publish(queue: CeleryReadyQueues, task_id: UUID, name: str = "automagik") -> None:
    queue.publish([Delivery(task_id=task_id, queue=name, flow="greeter", schedule=None)])


def add_queued(
    database: Database, settings: Settings, flow: Flow, *, early: timedelta = -SECOND, **more: Any
) -> UUID:
    """Its delivery should have been sent again some time ago, or will be so early."""
    overdue = settings.reconcile_seconds * SECOND + MARGIN - early
    queued_at = func.now() - overdue
    return add_task(database, flow, state=TaskState.QUEUED, queued_at=queued_at, **more)


def missing(comparison: Comparison) -> set[UUID]:
    return {each.task_id for each in comparison.undelivered}


def test_a_queued_task_without_a_delivery_is_found_after_a_while(
    database: Database, settings: Settings, flow: Flow
) -> None:
    lost = add_queued(database, settings, flow)
    add_queued(database, settings, flow, early=30 * SECOND)
    add_task(database, flow)

    [found] = compare(database, settings).undelivered

    assert (found.task_id, found.queue) == (lost, "automagik")


def test_a_delivery_that_waits_in_any_queue_is_enough(
    database: Database, settings: Settings, flow: Flow, queue: CeleryReadyQueues
) -> None:
    with database.transaction() as connection:
        connection.execute(text("INSERT INTO queues (name) VALUES ('gpu')"))
    for name in ("automagik", "gpu", "unknown"):
        publish(queue, add_queued(database, settings, flow, queue=name), name)

    assert compare(database, settings) == Comparison(undelivered=set(), idle=set())


def test_a_delivery_that_a_worker_took_and_never_claimed_is_missed(
    database: Database,
    settings: Settings,
    flow: Flow,
    queue: CeleryReadyQueues,
    client: redis.Redis,
) -> None:
    task_id = add_queued(database, settings, flow)
    publish(queue, task_id)

    client.rpop("automagik")

    assert missing(compare(database, settings)) == {task_id}


def test_a_delivery_of_a_task_that_is_not_queued_is_harmless_and_counted(
    database: Database, settings: Settings, flow: Flow, queue: CeleryReadyQueues
) -> None:
    ended = add_task(database, flow, state=TaskState.COMPLETED)
    waits = add_queued(database, settings, flow)
    for task_id in (ended, waits):
        publish(queue, task_id)

    assert compare(database, settings) == Comparison(undelivered=set(), idle={ended})


def test_what_is_claimed_while_it_looks_is_not_lost(
    database: Database, settings: Settings, flow: Flow, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between two looks the worker, to which the delivery was on its way, has begun."""
    task_id = add_queued(database, settings, flow)
    read = redis.Redis.lrange

    def claimed_meanwhile(client: redis.Redis, name: str, first: int, last: int) -> Any:
        running = {"state": "running", "lease_expires_at": func.now() + SECOND}
        put(database, TaskRow, task_id, **running)
        return read(client, name, first, last)

    monkeypatch.setattr(redis.Redis, "lrange", claimed_meanwhile)

    assert missing(compare(database, settings)) == set()


def test_without_redis_it_says_so(database: Database, settings: Settings, free_port: int) -> None:
    away = SecretStr(f"redis://127.0.0.1:{free_port}/0")

    with pytest.raises(RedisUnreachable):
        compare(database, settings.model_copy(update={"redis_url": away}))
