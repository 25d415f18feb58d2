"""What a worker process writes of its attempts: claims and ends.

Those of many threads are written in one transaction, which takes the rows that are free. An attempt
whose row somebody holds is written by its own thread, and so is a large end; a few of each at a
time. So neither does a long wait stop the others, nor does each thread need a connection.
"""

import logging
import time
from collections.abc import Callable, Sequence
from copy import copy
from dataclasses import dataclass
from datetime import timedelta
from threading import BoundedSemaphore
from typing import Any, TypeVar
from uuid import UUID

from sqlalchemy import Connection

from automagik.core.config import Settings
from automagik.core.database.exceptions import DatabaseBusy, DatabaseUnreachable
from automagik.core.database.session import WAKE, Database, notify
from automagik.core.flows.breaker import found_down
from automagik.core.flows.flow_rows import definition_of
from automagik.core.tasks.claim import Claim, Claimant, claim, claim_free, was_claimed
from automagik.core.tasks.finish import Ending, Finish, finish, finish_free, was_finished
from automagik.core.tasks.full_sources import FullSources
from automagik.core.tasks.log import TaskLog, write_lines
from automagik.core.tasks.together import FailedTogether, Together

logger = logging.getLogger(__name__)
T = TypeVar("T")
Order = TypeVar("Order")

# How long a worker tries to reach PostgreSQL again before it gives up on a claim or on a result;
# the reaper finds what it gave up on.
DATABASE_PATIENCE = timedelta(minutes=2)
DATABASE_PAUSE = timedelta(seconds=0.5)
AT_ONCE = 100
"""Orders in one transaction."""
WAITING, LARGE = 2, 2
"""Connections for those whose row somebody holds, and for large ones."""
ALONE = WAITING + LARGE
# A beat commits within moments what it has just sent.
HELD_PAUSES = (0.002, 0.005, 0.01, 0.02, 0.05)
LARGE_ANSWER = 64 * 1024
MANY_LINES = 100


class Ledger:
    """One for all threads of a process. Each method tries again while PostgreSQL is away."""

    def __init__(
        self,
        database: Database,
        settings: Settings,
        worker: Claimant,
        *,
        full_sources: FullSources,
    ) -> None:
        self._database = database
        self._settings = settings
        self._worker = worker
        self._full_sources = full_sources
        self._lease = timedelta(seconds=settings.lease_seconds)
        self._claims = Together(self._claim_free, most=AT_ONCE)
        self._ends = Together(self._finish_free, most=AT_ONCE)
        self._waiting = BoundedSemaphore(WAITING)
        self._large = BoundedSemaphore(LARGE)

    def claim(self, task_id: UUID, *, traceparent: str | None = None) -> Claim | None:
        """None when there was nothing to claim. `traceparent` is for a task that has none."""
        delivery = _Delivery(task_id=task_id, traceparent=traceparent)
        return self._patiently(lambda: self._claim(delivery))

    def finish(self, claim: Claim, ending: Ending, log: TaskLog) -> bool:
        """False when the attempt is no longer this worker's."""
        end = Finish(claim, ending, log.seal())
        return self._patiently(lambda: self._finish(end))

    def keep(self, log: TaskLog) -> None:
        """The rest of the log of an attempt that somebody else has ended."""
        self._patiently(lambda: self._write(log))

    def definition_of(self, version_id: UUID) -> dict[str, Any]:
        """Of a flow version. Raises NotFound."""
        return self._patiently(lambda: self._read_definition(version_id))

    def _claim(self, delivery: "_Delivery") -> Claim | None:
        if delivery.claim is None and self._is_settled(delivery):
            return delivery.claim
        with self._waiting, self._database.transaction() as connection:
            if delivery.claim is None or not was_claimed(connection, delivery.claim):
                made = claim(
                    connection,
                    delivery.task_id,
                    worker=self._worker,
                    lease=self._lease,
                    traceparents=_traceparents([delivery]),
                )
                if made is None and delivery.claim is not None:
                    # The transaction in doubt may have been committed since.
                    made = delivery.claim if was_claimed(connection, delivery.claim) else None
                delivery.claim = made
            return delivery.claim

    def _is_settled(self, delivery: "_Delivery") -> bool:
        """Whether it was claimed with others, or there is nothing to claim."""
        for pause in HELD_PAUSES:
            answer = _asked(self._claims, delivery)
            if answer is not False:
                return answer is True
            time.sleep(pause)
        return False

    def _claim_free(self, deliveries: Sequence["_Delivery"]) -> list[bool]:
        """Which of them are settled; the others are held by somebody."""
        with self._database.transaction() as connection:
            found = claim_free(
                connection,
                {delivery.task_id for delivery in deliveries},
                worker=self._worker,
                lease=self._lease,
                traceparents=_traceparents(deliveries),
            )
            made = dict(found.made)
            for delivery in deliveries:
                # Of two deliveries of one task one gets it.
                delivery.claim = made.pop(delivery.task_id, None)
        return [delivery.task_id not in found.held for delivery in deliveries]

    def _finish(self, end: Finish) -> bool:
        if end.ending.source_is_up is not False and self._is_finished(end):
            return True
        with self._waiting, self._database.transaction() as connection:
            if not finish(connection, end, actor=self._worker.name):
                return was_finished(connection, end.claim, end.ending)
            if end.ending.source_is_up is False:
                self._count_against_source(connection, end)
            self._tell_of_places(connection, [end])
            return True

    def _is_finished(self, end: Finish) -> bool:
        """Unless somebody holds its row, or it is not this worker's any more."""
        if _goes_with_others(end):
            return _asked(self._ends, end) is True
        with self._large:
            return self._finish_free([end]) == [True]

    def _finish_free(self, ends: Sequence[Finish]) -> list[bool]:
        with self._database.transaction() as connection:
            finished = finish_free(connection, ends, actor=self._worker.name)
            self._tell_of_places(connection, ends)
            return finished

    def _tell_of_places(self, connection: Connection, ends: Sequence[Finish]) -> None:
        if any(end.claim.source_id in self._full_sources for end in ends):
            notify(connection, WAKE)

    def _count_against_source(self, connection: Connection, end: Finish) -> None:
        found_down(
            connection,
            end.claim.source_id,
            task_id=end.claim.task_id,
            reason=end.ending.columns["error_message"],
            failures=self._settings.breaker_failures,
            pause=timedelta(seconds=self._settings.breaker_pause_seconds),
        )

    def _write(self, log: TaskLog) -> None:
        with self._large, self._database.transaction() as connection:
            write_lines(connection, log)

    def _read_definition(self, version_id: UUID) -> dict[str, Any]:
        with self._large, self._database.transaction() as connection:
            return definition_of(connection, version_id)

    def _patiently(self, work: Callable[[], T]) -> T:
        give_up = time.monotonic() + DATABASE_PATIENCE.total_seconds()
        while True:
            try:
                return work()
            except DatabaseUnreachable as error:
                if time.monotonic() > give_up:
                    raise
                logger.warning("Trying again: %s", error.message)
                time.sleep(DATABASE_PAUSE.total_seconds())


@dataclass(kw_only=True, slots=True, eq=False)
class _Delivery:
    task_id: UUID
    traceparent: str | None = None
    claim: Claim | None = None
    """What was made of it, perhaps by a transaction that broke when it was to commit."""


def _traceparents(deliveries: Sequence[_Delivery]) -> dict[UUID, str]:
    return {each.task_id: each.traceparent for each in deliveries if each.traceparent is not None}


def _goes_with_others(end: Finish) -> bool:
    """A large one would hold up the rest."""
    return len(end.lines) <= MANY_LINES and len(end.row) <= LARGE_ANSWER


def _asked(together: Together[Order, bool], order: Order) -> bool | None:
    """None when all went wrong that was done together: which of them was wrong shows alone.

    Raises DatabaseUnreachable.
    """
    try:
        return together.ask(order)
    except FailedTogether as failed:
        error = failed.error
        if isinstance(error, DatabaseUnreachable) and not isinstance(error, DatabaseBusy):
            raise copy(error) from error
        return None
