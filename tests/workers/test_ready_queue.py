"""The ready-queue in a real Redis."""

import base64
import json
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
import redis

from automagik.core.database.base import new_id
from automagik.core.embedded.redis_server import EmbeddedRedis
from automagik.core.exceptions import RedisUnreachable
from automagik.core.scheduler.delivery import Delivery
from tests.workers.queues import NAME, delivered, messages, queue_in
from workers.ready_queue import CeleryReadyQueues


@pytest.fixture
def queue(redis_url: str) -> Iterator[CeleryReadyQueues]:
    with queue_in(redis_url) as queue:
        yield queue


def a_delivery(schedule: str | None = "nightly") -> Delivery:
    return Delivery(task_id=new_id(), queue=NAME, flow="greeter", schedule=schedule)


def test_deliveries_wait_in_the_order_in_which_they_were_published(
    queue: CeleryReadyQueues, redis_url: str
) -> None:
    published = [a_delivery() for _ in range(5)]

    queue.publish(published[:3])
    queue.publish(published[3:])

    assert queue.lengths([NAME]) == {NAME: 5}
    assert delivered(redis_url) == [delivery.task_id for delivery in published]
    assert queue.task_ids([NAME]) == {delivery.task_id for delivery in published}


def test_an_empty_queue_holds_nothing(queue: CeleryReadyQueues) -> None:
    assert queue.lengths([NAME]) == {NAME: 0}
    assert queue.task_ids([NAME]) == set()


def test_a_message_carries_the_task_id_and_names_for_flower_and_nothing_else(
    queue: CeleryReadyQueues, redis_url: str
) -> None:
    with_schedule, by_hand = a_delivery(), a_delivery(schedule=None)

    queue.publish([with_schedule, by_hand])

    first, second = messages(redis_url)
    arguments, keywords, _ = json.loads(base64.b64decode(first["body"]))
    assert (arguments, keywords) == ([str(with_schedule.task_id)], {})
    assert first["headers"]["id"] == str(with_schedule.task_id)
    assert first["headers"]["argsrepr"] == "flow=greeter"
    assert first["headers"]["kwargsrepr"] == "schedule=nightly"
    assert second["headers"]["kwargsrepr"] == "schedule=-"


def test_a_flushed_redis_takes_the_next_delivery(queue: CeleryReadyQueues, redis_url: str) -> None:
    queue.publish([a_delivery()])
    with closing(redis.Redis.from_url(redis_url)) as client:
        client.flushall()
    after = a_delivery()

    queue.publish([after])

    assert delivered(redis_url) == [after.task_id]


def test_what_others_put_into_the_list_is_no_delivery(
    queue: CeleryReadyQueues, redis_url: str
) -> None:
    ours = a_delivery()
    queue.publish([ours])
    with closing(redis.Redis.from_url(redis_url)) as client:
        client.lpush(NAME, "junk", "[]", "{}", '{"headers": {"id": "mine"}}', '{"headers": null}')

    assert queue.task_ids([NAME]) == {ours.task_id}


def test_a_redis_that_is_away_is_unreachable_and_used_again_when_it_is_back(
    embedded_home: Path,
) -> None:
    server = EmbeddedRedis(embedded_home)
    url = server.start()
    try:
        with queue_in(url) as queue:
            queue.publish([a_delivery()])
            server.stop()
            with pytest.raises(RedisUnreachable):
                queue.lengths([NAME])
            with pytest.raises(RedisUnreachable):
                queue.task_ids([NAME])
            with pytest.raises(RedisUnreachable):
                queue.publish([a_delivery()])
            server.start()
            queue.publish([a_delivery()])
            assert queue.lengths([NAME]) == {NAME: 2}
    finally:
        server.stop()
