"""Whatever is put into the ready-queue, a worker goes on: it takes task ids from there, no more."""

import json
from collections.abc import Callable, Iterator
from contextlib import closing
from copy import deepcopy
from typing import Any

import pytest
import redis

from automagik.core.config import Settings
from automagik.core.scheduler.delivery import Delivery
from automagik.demo.server import DemoServer
from tests.system.conftest import Desk
from tests.system.fleet import Fleet
from tests.system.history import violations
from tests.workers.queues import messages, queue_in

pytestmark = pytest.mark.system

NO_DELIVERIES = (
    b"junk",
    b"",
    b"\xff\xfe\x00",
    b"[]",
    b"{}",
    b"null",
    b"7",
    b'"text"',
    b"[" * 100_000,
    b'{"__type__": "bytes", "__value__": 7}',
    b'{"headers": null}',
    b'{"headers": {"id": "mine"}}',
    b'{"headers": {"task": "automagik.run"}, "properties": {"delivery_tag": "1"}}',
)
STRANGE: tuple[Any, ...] = (None, True, 7, -1.5, "x", [], [[]], {}, {"a": 1})


@pytest.mark.parametrize("pool", ["threads", "prefork"])
def test_what_is_no_delivery_is_dropped_with_a_line_in_the_log(
    fleet: Fleet, desk: Desk, settings: Settings, pool: str
) -> None:
    fleet.beat()
    worker = fleet.worker("-P", pool)
    _put(fleet, settings, lambda client: client.lpush(settings.queue, *NO_DELIVERIES))
    _still_works(fleet, desk)
    dropped = "Dropped from automagik what is no delivery"
    assert worker.tail(1000).count(dropped) == len(NO_DELIVERIES)
    assert "Traceback" not in worker.tail(1000)
    assert worker.poll() is None


def test_a_delivery_with_something_strange_in_it_ends_no_worker(
    fleet: Fleet, desk: Desk, settings: Settings, demo_server: DemoServer
) -> None:
    """Each field left out, and each replaced; whatever has a task's id is a delivery of it."""
    done = desk.run("Echo", "genuine")
    genuine = _published(
        settings, Delivery(task_id=done.id, queue=settings.queue, flow="Echo", schedule=None)
    )
    strange = [json.dumps(message) for message in _changed(genuine)]
    assert len(strange) > 200
    fleet.beat()
    worker = fleet.worker()
    fleet.wait_for("SELECT state = 'completed' FROM tasks WHERE id = :id", id=done.id)

    _put(fleet, settings, lambda client: client.lpush(settings.queue, *strange))
    assert "Traceback" not in worker.tail(10_000)
    _still_works(fleet, desk)
    assert worker.poll() is None
    assert len(demo_server.runs) == 2


def _published(settings: Settings, delivery: Delivery) -> dict[str, Any]:
    """What is in the list then, which is empty again afterwards."""
    url = settings.require_redis_url()
    with queue_in(url) as queue, closing(redis.Redis.from_url(url)) as client:
        queue.publish([delivery])
        [message] = messages(url)
        client.delete(settings.queue)
    return message


def _changed(message: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for path in _paths(message):
        for value in (*STRANGE, ...):
            changed = deepcopy(message)
            place = changed
            for name in path[:-1]:
                place = place[name]
            del place[path[-1]]
            if value is not ...:
                place[path[-1]] = value
            yield changed


def _paths(message: dict[str, Any]) -> Iterator[tuple[str, ...]]:
    for name, value in message.items():
        yield (name,)
        if isinstance(value, dict):
            yield from ((name, *path) for path in _paths(value))


def _put(fleet: Fleet, settings: Settings, push: Callable[[redis.Redis], object]) -> None:
    """Returns when the worker has taken all of it."""
    with closing(redis.Redis.from_url(settings.require_redis_url())) as client:
        push(client)
        fleet.wait_until(
            lambda: client.llen(settings.queue) == 0,
            seconds=20,
            what="the worker has taken everything",
        )


def _still_works(fleet: Fleet, desk: Desk) -> None:
    later = desk.run("Echo", "later")
    fleet.wait_for("SELECT state = 'completed' FROM tasks WHERE id = :id", id=later.id)
    assert violations(fleet.database) == []
