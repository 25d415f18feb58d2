"""One tick of a beat: fire, dispatch, reap, then wait for what comes first."""

import logging
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import timedelta
from typing import TypeVar

from sqlalchemy import Connection

from automagik.core.config import Settings
from automagik.core.database.session import WAKE, Database, Listener
from automagik.core.database.trouble import translated
from automagik.core.exceptions import AutomagikError, RedisUnreachable
from automagik.core.scheduler.backfills import advance
from automagik.core.scheduler.backlog import SHORTEST_WAIT, Backlog
from automagik.core.scheduler.batch import BATCH
from automagik.core.scheduler.chores import Chores
from automagik.core.scheduler.delivery import ReadyQueues
from automagik.core.scheduler.dispatch import dispatch
from automagik.core.scheduler.fire import fire
from automagik.core.scheduler.follow_ups import AT_A_TIME, follow_up
from automagik.core.scheduler.outlook import Outlook, look
from automagik.core.scheduler.pauses import end_pauses
from automagik.core.scheduler.reaper import reap
from automagik.core.scheduler.reconcile import Reconciler
from automagik.core.tasks.liveness import LIVE_LEASES

logger = logging.getLogger(__name__)
T = TypeVar("T")

ERROR_WAIT = timedelta(seconds=1)
# While a backfill runs: what it waits for may end without a notification.
LONGEST_BACKFILL_WAIT = timedelta(seconds=1)
FOLLOW_UP_BATCHES = 10
# It reads the whole ready-queue, which may be long and healthy.
RECONCILE_EVERY = timedelta(seconds=1)


class Ticker:
    """The work of a beat. Any number of them may run on one database."""

    def __init__(
        self, *, database: Database, settings: Settings, queues: ReadyQueues, host: str, pid: int
    ) -> None:
        self._database = database
        self._settings = settings
        self._queues = queues
        self._actor = f"beat@{host}"
        self._lease = timedelta(seconds=settings.lease_seconds)
        self._silence = LIVE_LEASES * self._lease
        self._chores = Chores(
            database,
            settings,
            host=host,
            pid=pid,
            silence=self._silence,
            actor=self._actor,
            in_transactions=self._in_transactions,
        )
        self._sender = ThreadPoolExecutor(1, thread_name_prefix="sender")
        self._sent: Future[int] | None = None
        self._listener: Listener | None = None
        self._outlook: Outlook | None = None
        self._reconcile_due = 0.0
        self._overdue = timedelta(seconds=settings.reconcile_seconds)
        self._reconciler = Reconciler(queues, overdue=self._overdue)
        self._trouble: str | None = None
        self._set_aside: Exception | None = None
        self._is_held_up = False
        self._backlog = Backlog()

    def tick(self) -> None:
        """Does what is due and waits for the next instant, a notification, or a few seconds."""
        try:
            wait = self._work()
            self._raise_what_was_set_aside()
            self._wait(wait)
            self._tell_trouble(None)
        except RedisUnreachable as error:
            self._set_aside = None
            self._tell_trouble(error.message)
            self._wait_without_redis()
        except AutomagikError as error:
            self._recover(error.message)
        except Exception:
            # A beat goes on, whatever one tick ran into: schedules of others depend on it.
            logger.exception("Tick failed")
            self._recover("unexpected error")

    def close(self) -> None:
        self._sender.shutdown()
        self._stop_listening()
        self._chores.say_goodbye()

    def _work(self) -> timedelta:
        """Redis comes last: all the rest goes on without it."""
        outlook = self._expected() or self._look()
        if outlook.has_ended_pause:
            self._apart(lambda: self._in_transactions(end_pauses))
            outlook = self._look()
        # By another beat that fires them, or by who changes or deletes them, which may take long.
        is_stuck = outlook.has_due_schedule and not (self._fire_all() or outlook.is_foreseen)
        self._is_held_up = is_stuck or outlook.has_ended_pause
        if outlook.has_follow_up and not self._apart(self._follow_up):
            self._is_held_up = True
        if outlook.has_ended_lease:
            self._reap()
        # One step of each, then the live ones have their turn again.
        goes_on = outlook.has_backfill and bool(self._apart(self._advance))
        try:
            if outlook.has_work and self._send():
                self._backlog.moved()
        finally:
            did_chores = self._chores.do(outlook)
        if outlook.has_work or did_chores:
            outlook = self._look()
        if not outlook.has_due_task:
            self._backlog.moved()
        self._reconcile(outlook)
        if goes_on:
            return timedelta()
        longest = timedelta(seconds=self._settings.beat_max_wait_seconds)
        if outlook.has_backfill:
            longest = min(longest, LONGEST_BACKFILL_WAIT)
        return self._until_next(outlook, longest=longest, backlog=self._backlog_wait(outlook))

    def _until_next(self, outlook: Outlook, *, longest: timedelta, backlog: timedelta) -> timedelta:
        wait = outlook.wait(longest=longest, backlog=backlog)
        return max(wait, SHORTEST_WAIT) if self._is_held_up else wait

    def _backlog_wait(self, outlook: Outlook) -> timedelta:
        if not outlook.has_due_task:
            return SHORTEST_WAIT
        with translated():
            return self._backlog.wait(
                self._listening().connection, until_next_task=outlook.until_next_task
            )

    def _expected(self) -> Outlook | None:
        """What the last look has foreseen, if it says that something is due by now."""
        seen = self._outlook
        return seen if seen and (seen.has_due_schedule or seen.has_due_task) else None

    def _look(self) -> Outlook:
        with translated():
            self._outlook = look(self._listening().connection)
        return self._outlook

    def _listening(self) -> Listener:
        if self._listener is None:
            self._listener = self._database.listen(WAKE)
        return self._listener

    def _fire_all(self) -> int:
        """Batch by batch; what one has made goes out while the next is made.

        A Redis that is silent, or refuses, keeps none of it from being made.
        """
        total = 0
        while (fired := self._in_transaction(self._fire)) >= BATCH:
            total += fired
            if self._sent is None or self._sent.done():
                self._sent = self._sender.submit(self._in_transaction, self._dispatch)
        return total + fired

    def _send(self) -> int:
        """What is left, when what goes out meanwhile has gone."""
        sent, self._sent = self._sent, None
        gone = 0 if sent is None else sent.result()
        return gone + self._in_transactions(self._dispatch)

    def _fire(self, connection: Connection) -> int:
        return fire(connection, settings=self._settings, actor=self._actor)

    def _advance(self) -> int:
        return self._in_transaction(
            lambda c: advance(c, settings=self._settings, actor=self._actor)
        )

    def _follow_up(self) -> int:
        """A few batches: others are due, too, and the next tick comes at once."""
        total = 0
        for _ in range(FOLLOW_UP_BATCHES):
            done = self._in_transaction(
                lambda c: follow_up(c, settings=self._settings, actor=self._actor)
            )
            total += done
            if done < AT_A_TIME:
                break
        return total

    def _apart(self, work: Callable[[], int]) -> int:
        """What goes wrong in it, which counts as nothing done, waits for the end of the tick.

        So none of the rest is kept from happening, tick after tick.
        """
        try:
            return work()
        except Exception as error:  # noqa: BLE001 - raised when the rest is done
            self._set_aside = self._set_aside or error
            return 0

    def _raise_what_was_set_aside(self) -> None:
        if self._set_aside is not None:
            raise self._set_aside

    def _dispatch(self, connection: Connection) -> int:
        return dispatch(
            connection,
            self._queues,
            least=self._settings.ready_queue_target,
            silence=self._silence,
            actor=self._actor,
        )

    def _reap(self) -> None:
        reaped = self._in_transactions(lambda c: reap(c, lease=self._lease, actor=self._actor))
        if reaped:
            logger.warning("%d runs of lost workers taken back", reaped)

    def _reconcile(self, outlook: Outlook) -> None:
        if outlook.oldest_delivery is None or outlook.oldest_delivery < self._overdue:
            return
        if time.monotonic() < self._reconcile_due:
            return
        self._reconcile_due = time.monotonic() + RECONCILE_EVERY.total_seconds()
        sent = self._in_transactions(self._reconciler.reconcile)
        if sent:
            logger.warning("%d deliveries were lost and went out again", sent)

    def _wait(self, duration: timedelta) -> None:
        if self._listening().wait(duration):
            self._outlook = None
        elif self._outlook is not None and duration:
            self._outlook = self._outlook.after(duration)

    def _wait_without_redis(self) -> None:
        """Schedules keep their time meanwhile."""
        try:
            self._wait(self._until_next(self._look(), longest=ERROR_WAIT, backlog=ERROR_WAIT))
        except AutomagikError as error:
            self._recover(error.message)

    def _recover(self, reason: str) -> None:
        self._set_aside = None
        self._tell_trouble(reason)
        self._stop_listening()
        time.sleep(ERROR_WAIT.total_seconds())

    def _tell_trouble(self, reason: str | None) -> None:
        """Once for each reason, however often it is tried again."""
        if reason == self._trouble:
            return
        self._trouble = reason
        if reason is None:
            logger.info("All is well again")
        else:
            logger.warning("Trying again until it passes: %s", reason)

    def _stop_listening(self) -> None:
        if self._listener is not None:
            self._listener.close()
            self._listener = None
            self._outlook = None

    def _in_transactions(self, work: Callable[[Connection], int]) -> int:
        """Batch by batch; how much was done in all."""
        total = 0
        while True:
            done = self._in_transaction(work)
            total += done
            if done < BATCH:
                return total

    def _in_transaction(self, work: Callable[[Connection], T]) -> T:
        with self._database.transaction() as connection:
            return work(connection)
