"""Ready-queues in the Redis of the tests."""

import json
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any
from uuid import UUID

import redis
from celery import Celery

from workers.ready_queue import CeleryReadyQueues

NAME = "automagik"


@contextmanager
def queue_in(redis_url: str) -> Iterator[CeleryReadyQueues]:
    """As a beat makes it."""
    app = Celery("tests", broker=redis_url, set_as_current=False)
    app.conf.task_publish_retry = False
    queue = CeleryReadyQueues(app, redis_url=redis_url)
    yield queue
    queue._redis.close()
    app.close()


def messages(redis_url: str) -> list[dict[str, Any]]:
    """In the order in which workers take them."""
    with closing(redis.Redis.from_url(redis_url)) as client:
        waiting: Any = client.lrange(NAME, 0, -1)
    return [json.loads(message) for message in reversed(waiting)]


def delivered(redis_url: str) -> list[UUID]:
    """The task ids in the order in which workers take them."""
    return [UUID(message["headers"]["id"]) for message in messages(redis_url)]
