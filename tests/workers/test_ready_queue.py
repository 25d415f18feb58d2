"""The ready-queue in a real Redis."""

import base64
import json
from collections.abc import Iterator
from contextlib import closing, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
import redis

from automagik.core.database.base import new_id
from automagik.core.embedded.redis_server import EmbeddedRedis
from automagik.core.exceptions import RedisUnreachable
from automagik.core.scheduler.delivery import Delivery
from tests.workers.queues import NAME, delivered, messages, queue_in
from workers.ready_queue import TASK_NAME, CeleryReadyQueues


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


def test_a_message_is_the_one_that_celery_sends(queue: CeleryReadyQueues, redis_url: str) -> None:
    delivery = a_delivery()
    task_id = str(delivery.task_id)
    queue._app.send_task(
        TASK_NAME,
        args=(task_id,),
        task_id=task_id,
        queue=NAME,
        argsrepr="flow=greeter",
        kwargsrepr="schedule=nightly",
    )
    queue.publish([delivery])

    celerys, ours = messages(redis_url)
    celerys["headers"]["ignore_result"] = False
    for message in (celerys, ours):
        assert UUID(message["properties"].pop("delivery_tag"))
        for name in ("reply_to", "argsrepr", "kwargsrepr"):  # Nobody reads them there.
            message["properties"].pop(name, None)
        message["body"] = json.loads(base64.b64decode(message["body"]))
    assert ours == celerys


def test_each_queue_gets_its_own(queue: CeleryReadyQueues) -> None:
    queue.publish([a_delivery(), replace(a_delivery(), queue="other"), a_delivery()])

    assert queue.lengths([NAME, "other"]) == {NAME: 2, "other": 1}


def test_whoever_listens_to_celerys_events_hears_of_each_delivery(
    queue: CeleryReadyQueues,
) -> None:
    heard: list[dict[str, Any]] = []
    deliveries = [a_delivery() for _ in range(3)]
    with queue._app.connection_for_read() as connection:
        receiver = queue._app.events.Receiver(connection, handlers={"task-sent": heard.append})
        with receiver.consumer_context(wakeup=False) as (listening, _, _):
            with suppress(TimeoutError):  # It subscribes when it is asked for the first time.
                listening.drain_events(timeout=0.1)
            queue.publish(deliveries)
            while len(heard) < len(deliveries):
                listening.drain_events(timeout=5)

    assert [event["uuid"] for event in heard] == [str(each.task_id) for each in deliveries]
    assert {(event["name"], event["args"], event["queue"]) for event in heard} == {
        (TASK_NAME, "flow=greeter", NAME)
    }


def test_no_deliveries_are_no_news(queue: CeleryReadyQueues, redis_url: str) -> None:
    with closing(redis.Redis.from_url(redis_url)) as client:
        news: Any = client.pubsub()  # type: ignore[no-untyped-call]
        news.psubscribe("*")
        news.get_message(timeout=5)
        queue.publish([])
        client.publish("end", "")
        message = news.get_message(timeout=5)
        news.close()

    assert message is not None
    assert message["channel"] == b"end"


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
