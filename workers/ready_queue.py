"""The ready-queues in Redis, as Celery's workers read them."""

import os
from base64 import b64encode
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any
from uuid import UUID, uuid4

import orjson
import redis
from celery import Celery
from celery.events.event import Event
from celery.utils.nodenames import anon_nodename
from celery.utils.time import utcoffset
from kombu.exceptions import OperationalError
from kombu.transport.redis import Channel

from automagik.core.exceptions import RedisUnreachable
from automagik.core.scheduler.delivery import Delivery, task_id_of

TASK_NAME = "automagik.run"
_SOCKET_TIMEOUT = 5
_EVENTS, _MANY = "celeryev", "task.multi"


class CeleryReadyQueues:
    """Deliveries are messages of Celery's own making.

    They go out many at a time: by itself Celery takes two round trips for each of them, one for the
    message and one for the event that tells of it.
    """

    def __init__(self, app: Celery, *, redis_url: str) -> None:
        self._app = app
        self._redis = redis.Redis.from_url(
            redis_url, socket_timeout=_SOCKET_TIMEOUT, socket_connect_timeout=_SOCKET_TIMEOUT
        )
        database = self._redis.get_connection_kwargs().get("db", 0)
        self._watchers = f"{Channel.keyprefix_fanout.format(db=database)}{_EVENTS}/{_MANY}"

    def publish(self, deliveries: Sequence[Delivery]) -> None:
        if not deliveries:
            return
        messages: defaultdict[str, list[bytes]] = defaultdict(list)
        events = []
        teller = {"hostname": anon_nodename(), "utcoffset": utcoffset(), "pid": os.getpid()}
        for delivery in deliveries:
            made = self._made(delivery, origin=teller["hostname"])
            to = {"exchange": "", "routing_key": delivery.queue}
            messages[delivery.queue].append(_message(made.body, made.headers, made.properties, to))
            clock = self._app.clock.forward()
            fields = made.sent_event | to | teller
            events.append(Event("task-sent", fields, queue=delivery.queue, clock=clock))
        to = {"exchange": _EVENTS, "routing_key": _MANY}
        with _translated(), self._redis.pipeline(transaction=False) as pipeline:
            for queue, waiting in messages.items():
                pipeline.lpush(queue, *waiting)
            pipeline.publish(self._watchers, _message(events, {}, {}, to))
            pipeline.execute()

    def _made(self, delivery: Delivery, *, origin: str) -> Any:
        task_id = str(delivery.task_id)
        return self._app.amqp.as_task_v2(
            task_id,
            TASK_NAME,
            args=(task_id,),
            # What Flower shows in place of the arguments.
            argsrepr=f"flow={delivery.flow}",
            kwargsrepr=f"schedule={delivery.schedule or '-'}",
            origin=origin,
            create_sent_event=True,
        )

    def lengths(self, names: Iterable[str]) -> Mapping[str, int]:
        names = list(names)
        with _translated(), self._redis.pipeline(transaction=False) as pipeline:
            for name in names:
                pipeline.llen(name)
            return dict(zip(names, pipeline.execute(), strict=True))

    def task_ids(self, names: Iterable[str]) -> set[UUID]:
        with _translated(), self._redis.pipeline(transaction=False) as pipeline:
            for name in names:
                pipeline.lrange(name, 0, -1)
            messages = [message for waiting in pipeline.execute() for message in waiting]
        return {task_id for message in messages if (task_id := task_id_of(message)) is not None}


def _message(
    body: Any, headers: Mapping[str, Any], properties: Mapping[str, Any], to: Mapping[str, str]
) -> bytes:
    """As Kombu's Redis transport writes it."""
    message = {
        "body": b64encode(orjson.dumps(body)).decode(),
        "content-type": "application/json",
        "content-encoding": "utf-8",
        "headers": headers,
        "properties": {
            **properties,
            "delivery_mode": 2,
            "priority": 0,
            "body_encoding": "base64",
            "delivery_tag": str(uuid4()),
            "delivery_info": to,
        },
    }
    return orjson.dumps(message)


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except (redis.RedisError, OperationalError, OSError) as error:
        raise RedisUnreachable(f"Redis does not answer: {error}") from error
