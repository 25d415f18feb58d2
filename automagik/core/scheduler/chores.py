"""What a beat does every few seconds: a sign of life, and what may come late."""

import logging
import time
from collections.abc import Callable
from datetime import timedelta
from uuid import UUID

from sqlalchemy import Connection

from automagik.core.config import Settings
from automagik.core.database.session import Database
from automagik.core.exceptions import AutomagikError
from automagik.core.scheduler.attendance import recall
from automagik.core.scheduler.failing import pause_failing
from automagik.core.scheduler.outlook import Outlook
from automagik.core.scheduler.reaper import mark_lost_workers
from automagik.core.scheduler.retention import Retention
from automagik.core.tasks.heartbeat import BEATS_PER_LEASE
from automagik.core.tasks.host_clock import HostClock
from automagik.core.tasks.presence import beat_stopped, beat_ticked, register_beat

logger = logging.getLogger(__name__)

EVERY = timedelta(seconds=5)

InTransactions = Callable[[Callable[[Connection], int]], int]


class Chores:
    """Those of one beat.

    Args:
        in_transactions: runs one of them batch by batch.
    """

    def __init__(
        self,
        database: Database,
        settings: Settings,
        *,
        host: str,
        pid: int,
        silence: timedelta,
        actor: str,
        in_transactions: InTransactions,
    ) -> None:
        self._database = database
        self._host = host
        self._pid = pid
        self._silence = silence
        self._actor = actor
        self._in_transactions = in_transactions
        self._every = min(EVERY, timedelta(seconds=settings.lease_seconds) / BEATS_PER_LEASE)
        self._retention = Retention(settings)
        self._clock = HostClock()
        self._beat_id: UUID | None = None
        self._due = 0.0

    def do(self, outlook: Outlook) -> bool:
        """Whether it was time for them."""
        if time.monotonic() < self._due:
            return False
        self._due = time.monotonic() + self._every.total_seconds()
        with self._database.transaction() as connection:
            self._sign_of_life(connection)
        with self._database.transaction() as connection:
            pause_failing(connection)
        if outlook.longest_silence is not None and outlook.longest_silence > self._silence:
            with self._database.transaction() as connection:
                mark_lost_workers(connection, silence=self._silence)
        self._in_transactions(lambda c: recall(c, silence=self._silence, actor=self._actor))
        self._retention.prune(self._database)
        return True

    def say_goodbye(self) -> None:
        """If PostgreSQL is there to hear it."""
        if self._beat_id is None:
            return
        try:
            with self._database.transaction() as connection:
                beat_stopped(connection, self._beat_id)
        except AutomagikError as error:
            logger.warning("%s", error.message)

    def _sign_of_life(self, connection: Connection) -> None:
        offset = self._clock.offset(connection)
        if self._beat_id is None:
            self._beat_id = register_beat(
                connection, hostname=self._host, pid=self._pid, clock_offset=offset
            )
        else:
            beat_ticked(connection, self._beat_id, clock_offset=offset)
