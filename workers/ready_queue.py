"""The ready-queues in Redis, as Celery's workers read them."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from uuid import UUID

import redis
from celery import Celery
from kombu.exceptions import OperationalError

from automagik.core.exceptions import RedisUnreachable
from automagik.core.scheduler.delivery import Delivery, task_id_of

TASK_NAME = "automagik.run"
_SOCKET_TIMEOUT = 5


class CeleryReadyQueues:
    """Publishes through Celery, so that a delivery is a message like any other of Celery's."""

    def __init__(self, app: Celery, *, redis_url: str) -> None:
        self._app = app
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
                    queue=delivery.queue,
                    producer=producer,
                    # What Flower shows in place of the arguments.
                    argsrepr=f"flow={delivery.flow}",
                    kwargsrepr=f"schedule={delivery.schedule or '-'}",
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


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except (redis.RedisError, OperationalError, OSError) as error:
        raise RedisUnreachable(f"Redis does not answer: {error}") from error
