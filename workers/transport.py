"""Kombu's Redis transport with a guard at the ready-queues.

By itself kombu ends the worker when an item of the list is no message. A message with a wrong field
is worse: on its way out the worker puts it back, and it ends the next one, too. So nothing is taken
from an item but the task id and what people see of it. Replies to Celery's remote control come by
the same way and are left alone.
"""

import logging
from typing import Any

import redis
from kombu.transport import redis as kombu_redis

from automagik.core.queues import is_of_celery
from workers.ready_queue import cleaned

logger = logging.getLogger(__name__)

SHOWN_BYTES = 80


class GuardedClient(redis.Redis):
    """What a worker takes deliveries with."""

    def parse_response(self, connection: Any, command_name: Any, **options: Any) -> Any:
        """None, as for an empty list, makes kombu ask again."""
        response = super().parse_response(connection, command_name, **options)  # type: ignore[no-untyped-call]
        if command_name != "BRPOP" or not response:
            return response
        key, item = response
        queue = _queue(key)
        if is_of_celery(queue):
            return response
        message = cleaned(item, queue=queue)
        if message is None:
            logger.error("Dropped from %s what is no delivery: %r", queue, item[:SHOWN_BYTES])
            return None
        return key, message


class Channel(kombu_redis.Channel):
    def _get_client(self) -> type[redis.Redis]:
        super()._get_client()  # type: ignore[no-untyped-call]  # checks the version
        return GuardedClient

    def _connparams(self, asynchronous: bool = False) -> dict[str, Any]:  # noqa: FBT001, FBT002
        """Raises redis.ConnectionError when the transport is closed.

        A worker that lost Redis in the middle of a read closes its channel twice; the second time
        kombu would give back unacknowledged messages by a transport that is gone. This error it
        expects, and connects anew. By itself it meets an AttributeError, which ends the worker.
        """
        if self.connection.client is None:
            raise redis.ConnectionError("The connection to Redis is closed.")
        parameters: dict[str, Any] = super()._connparams(asynchronous)  # type: ignore[no-untyped-call]
        return parameters


class Transport(kombu_redis.Transport):
    Channel = Channel


def _queue(key: bytes) -> str:
    """Each priority but the first has a list of its own, named after the queue."""
    return key.decode(errors="replace").partition(Channel.sep)[0]
