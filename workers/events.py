"""Celery's events without patience: what Flower shows is worth no wait.

By itself a worker repeats the event of its sign of life, every two seconds, for as long as Redis is
away. That is in its only loop: it would take no delivery, hear no signal to stop and see no dead
connection meanwhile.
"""

import logging
from typing import Any

from celery.app.events import Events as CeleryEvents
from celery.events.dispatcher import EventDispatcher
from kombu.exceptions import OperationalError
from redis import RedisError

logger = logging.getLogger(__name__)


class Dispatcher(EventDispatcher):  # type: ignore[misc]
    def send(self, type: str, *args: Any, **options: Any) -> Any:  # noqa: A002  (Celery's name)
        """Tries once. An event that cannot be sent is kept for later, or else left out."""
        try:
            return super().send(type, *args, **options | {"retry": False})
        except (RedisError, OperationalError, OSError) as error:
            logger.info("Event %s was not sent: %s", type, error)


class Events(CeleryEvents):  # type: ignore[misc]
    dispatcher_cls = "workers.events:Dispatcher"
