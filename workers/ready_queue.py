"""The ready-queue in Redis, as Celery's workers read it."""

import json
from base64 import b64encode
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from uuid import UUID, uuid4

import redis
from celery import Celery
from kombu.exceptions import OperationalError

from automagik.core.exceptions import RedisUnreachable
from automagik.core.scheduler.dispatch import Delivery

TASK_NAME = "automagik.run"
_SOCKET_TIMEOUT = 5


class CeleryReadyQueue:
    """Publishes through Celery, so that a delivery is a message like any other of Celery's."""

    def __init__(self, app: Celery, *, redis_url: str, name: str) -> None:
        self._app = app
        self._name = name
        self._redis = redis.Redis.from_url(
            redis_url, socket_timeout=_SOCKET_TIMEOUT, socket_connect_timeout=_SOCKET_TIMEOUT
        )

    def publish(self, deliveries: Sequence[Delivery]) -> None:
        with _translated(), self._app.producer_or_acquire() as producer:
            for delivery in deliveries:
                self._app.send_task(
                    TASK_NAME,
                    args=(str(delivery.task_id),),
                    task_id=str(delivery.task_id),
                    queue=self._name,
                    producer=producer,
                    # What Flower shows in place of the arguments.
                    argsrepr=f"flow={delivery.flow}",
                    kwargsrepr=f"schedule={delivery.schedule or '-'}",
                )

    def __len__(self) -> int:
        with _translated():
            return int(self._redis.llen(self._name))

    def task_ids(self) -> set[UUID]:
        """The ids of all deliveries that wait."""
        with _translated():
            messages = self._redis.lrange(self._name, 0, -1)
        return {task_id for message in messages if (task_id := _task_id(message)) is not None}


def cleaned(item: bytes, *, queue: str) -> bytes | None:
    """The delivery made anew from its task id; None for what others have put there."""
    task_id = _task_id(item)
    if task_id is None:
        return None
    headers = json.loads(item)["headers"]
    seen = {name: str(headers.get(name, "-")) for name in ("argsrepr", "kwargsrepr")}
    body = [[str(task_id)], {}, dict.fromkeys(("callbacks", "errbacks", "chain", "chord"))]
    message = {
        "body": b64encode(json.dumps(body).encode()).decode(),
        "content-type": "application/json",
        "content-encoding": "utf-8",
        "headers": {"task": TASK_NAME, "id": str(task_id), "root_id": str(task_id), **seen},
        "properties": {
            "body_encoding": "base64",
            "correlation_id": str(task_id),
            "delivery_tag": str(uuid4()),
            "delivery_info": {"exchange": "", "routing_key": queue},
        },
    }
    return json.dumps(message).encode()


def _task_id(message: bytes | str) -> UUID | None:
    try:
        return UUID(json.loads(message)["headers"]["id"])
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except (redis.RedisError, OperationalError, OSError) as error:
        raise RedisUnreachable(f"Redis does not answer: {error}") from error
