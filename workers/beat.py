"""Celery beat on rows: `celery -A automagik beat`."""

import logging
import os
import socket
import sys
from typing import Any

from celery.beat import Scheduler

from automagik.core.config import get_settings
from automagik.core.database.migrate import require_current
from automagik.core.database.prepared import plan_once
from automagik.core.database.session import Database
from automagik.core.exceptions import AutomagikError
from automagik.core.queues import ensure_queue
from automagik.core.scheduler.ticker import Ticker
from automagik.core.tracing import switch
from workers.ready_queue import CeleryReadyQueues
from workers.service_manager import ServiceManager

logger = logging.getLogger(__name__)


class DatabaseScheduler(Scheduler):  # type: ignore[misc]
    """Overrides the tick and nothing else: there is no heap and no copy of the schedules."""

    def setup_schedule(self) -> None:
        """Raises SystemExit with one line: no database, another schema, a wrong queue name."""
        settings = get_settings()
        try:
            database = Database(settings.require_database_url(), pool_size=2)
            plan_once(database.engine)
            with database.transaction() as connection:
                require_current(connection)
                ensure_queue(connection, settings.queue)
        except AutomagikError as error:
            logger.critical("%s %s", error.message, error.hint or "")
            sys.exit(error.exit_code)
        queues = CeleryReadyQueues(self.app, redis_url=settings.require_redis_url())
        self._ticker = Ticker(
            database=database,
            settings=settings,
            queues=queues,
            host=socket.gethostname(),
            pid=os.getpid(),
        )
        switch.begin("automagik-beat", instance=f"beat@{socket.gethostname()}")
        self._manager = ServiceManager()
        self._manager.tell("READY=1")

    def tick(self, *_: Any, **__: Any) -> float:
        """The ticker waits by itself, so Celery need not sleep."""
        self._ticker.tick()
        self._manager.tell("WATCHDOG=1")
        return 0.0

    def close(self) -> None:
        self._manager.tell("STOPPING=1")
        self._ticker.close()
        switch.end()
