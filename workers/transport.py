"""Kombu's Redis transport with a guard at the ready-queues.

By itself kombu ends the worker when an item of the list is no message. A message with a wrong field
is worse: on its way out the worker puts it back, and it ends the next one, too. So nothing is taken
from an item but the task id and what people see of it. Replies to Celery's remote control come by
the same way and are left alone.
"""

import json
import logging
from typing import Any
from uuid import uuid4

import redis
from kombu.transport import redis as kombu_redis

from automagik.core.queues import is_of_celery
from automagik.core.scheduler.delivery import task_id_of
from workers.ready_queue import TASK_NAME

logger = logging.getLogger(__name__)

SHOWN_BYTES = 80

# Arguments, keywords, and what Celery would do besides: nothing.
_BODY = '[["{}"], {{}}, {{}}]'


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
        message = _message(item, queue=queue)
        return None if message is None else (key, json.dumps(message).encode())


class Channel(kombu_redis.Channel):
    # Kombu keeps in Redis what a worker has taken, and puts it back when the worker stops. Here
    # PostgreSQL knows it: a run has a lease, and what was taken and never claimed goes out again.
    ack_emulation = False
    do_restore = False

    _shared_client: redis.Redis | None = None

    def _brpop_read(self, **options: Any) -> Any:
        """Takes as many more as there is room for: a wait for each costs more than its run."""
        is_read = super()._brpop_read(**options)  # type: ignore[no-untyped-call]
        if not self._closing:
            self._take_more()
        return is_read

    def basic_ack(self, delivery_tag: Any, multiple: bool = False) -> None:  # noqa: FBT001, FBT002
        """A worker that was full takes the next delivery at once: its loop may sleep for long."""
        super().basic_ack(delivery_tag, multiple)  # type: ignore[no-untyped-call]
        transport = self.connection
        if transport is None or transport.loop is None:  # closed meanwhile, or nobody waits
            return
        if not self._in_poll or transport.cycle._paused_brpop:  # noqa: SLF001
            transport.loop.call_soon(_look_again)

    def _take_more(self) -> None:
        room = self.qos.can_consume_max_estimate() or 0
        for queue in self._queue_cycle.consume(len(self.active_queues)):
            if room > 0 and not is_of_celery(queue):
                room -= self._take(queue, room)

    def _take(self, queue: str, most: int) -> int:
        with self.conn_or_acquire() as client:
            items: Any = client.rpop(queue, most) or ()
        for item in items:
            if (message := _message(item, queue=queue)) is not None:
                self.connection._deliver(message, queue)  # noqa: SLF001
        return len(items)

    def _create_client(self, asynchronous: bool = False) -> Any:  # noqa: FBT001, FBT002
        """One for all, as its connections are pooled: kombu makes one for each command."""
        if asynchronous:
            return super()._create_client(asynchronous)  # type: ignore[no-untyped-call]
        client = self._shared_client
        if client is None or client.connection_pool is not self.pool:
            client = self._shared_client = super()._create_client()  # type: ignore[no-untyped-call]
        return client

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
    loop: Any = None

    def register_with_event_loop(self, connection: Any, loop: Any) -> None:
        self.loop = loop
        super().register_with_event_loop(connection, loop)  # type: ignore[no-untyped-call]


def _look_again() -> None:
    """What the loop does before it sleeps again is all that is wanted."""


def _message(item: bytes, *, queue: str) -> dict[str, Any] | None:
    """The delivery made anew from its task id; None for what others have put there."""
    task_id = task_id_of(item)
    if task_id is None:
        logger.error("Dropped from %s what is no delivery: %r", queue, item[:SHOWN_BYTES])
        return None
    known = str(task_id)
    headers = json.loads(item)["headers"]
    seen = {name: str(headers.get(name, "-")) for name in ("argsrepr", "kwargsrepr")}
    return {
        "body": _BODY.format(known),
        "content-type": "application/json",
        "content-encoding": "utf-8",
        "headers": {"task": TASK_NAME, "id": known, "root_id": known, **seen},
        "properties": {
            "correlation_id": known,
            "delivery_tag": str(uuid4()),
            "delivery_info": {"exchange": "", "routing_key": queue},
        },
    }


def _queue(key: bytes) -> str:
    """Each priority but the first has a list of its own, named after the queue."""
    return key.decode(errors="replace").partition(Channel.sep)[0]
