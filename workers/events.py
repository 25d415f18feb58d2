"""Celery's events without patience: what Flower shows is worth no wait.

By itself a worker repeats the event of its sign of life, every two seconds, for as long as Redis is
away. That is in its only loop: it would take no delivery, hear no signal to stop and see no dead
connection meanwhile. And it sends the events of each task by themselves, as fast as they come.
"""

import logging
from threading import Timer
from typing import Any

from celery.app.events import Events as CeleryEvents
from celery.events.dispatcher import EventDispatcher
from kombu.exceptions import OperationalError
from redis import RedisError

FLUSH_SECONDS = 0.1
"""So late people may see in Flower what happens; each message of its own would cost half a run."""
MOST_TOGETHER = 500

_AWAY = (RedisError, OperationalError, OSError)

logger = logging.getLogger(__name__)


class Dispatcher(EventDispatcher):  # type: ignore[misc]
    def __init__(self, *args: Any, **options: Any) -> None:
        """Where Celery collects events of tasks for its loop to send, they go out together."""
        self._is_flush_planned = False
        if options.get("on_send_buffered") is not None:
            options |= {"on_send_buffered": self._plan_flush, "buffer_limit": MOST_TOGETHER}
        super().__init__(*args, **options)

    def _plan_flush(self) -> None:
        """Called by any thread. It is not for the loop, which would wait for a silent Redis."""
        if not self._is_flush_planned:
            timer = Timer(FLUSH_SECONDS, self._flush)
            timer.daemon = True
            self._is_flush_planned = True
            try:
                timer.start()
            except RuntimeError as error:  # a host that takes no more threads
                self._is_flush_planned = False
                logger.info("Events were not sent: %s", error)

    def _flush(self) -> None:
        self._is_flush_planned = False
        try:
            self.flush()
        except _AWAY as error:
            logger.info("Events were not sent: %s", error)

    def send(self, type: str, *args: Any, **options: Any) -> Any:  # noqa: A002  (Celery's name)
        """Tries once. An event that cannot be sent is kept for later, or else left out."""
        try:
            return super().send(type, *args, **options | {"retry": False})
        except _AWAY as error:
            logger.info("Event %s was not sent: %s", type, error)


class Events(CeleryEvents):  # type: ignore[misc]
    dispatcher_cls = "workers.events:Dispatcher"
