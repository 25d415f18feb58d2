"""The way of tasks through PostgreSQL, step by step, beside whatever history is there."""

import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from functools import partial
from random import Random
from typing import TypeVar, cast
from uuid import UUID

from celery import Celery
from sqlalchemy import Connection, text

from automagik.core.database.session import Database
from automagik.core.queues import ensure_queue
from automagik.core.scheduler.batch import BATCH
from automagik.core.scheduler.delivery import task_id_of
from automagik.core.scheduler.dispatch import dispatch
from automagik.core.tasks.claim import Claim, Claimant, claim_free
from automagik.core.tasks.finish import Finish, decide, finish_free
from automagik.core.tasks.ledger import AT_ONCE
from automagik.core.tasks.log import TaskLog
from automagik.core.tasks.outcome import Completed
from benchmarks.plans import Reading, watched
from benchmarks.rows import add_tasks
from benchmarks.stack import Stack
from workers.ready_queue import CeleryReadyQueues

T = TypeVar("T")
FLOW, QUEUE = "flow-1", "automagik"
TASKS = {"dispatch": BATCH, "claim": AT_ONCE, "finish": AT_ONCE}
"""Of one transaction, by step."""
_MINUTE = timedelta(minutes=1)
_ANSWER = Completed(answer={"outputs": "so it is " * 30}, text="so it is", http_status=200)
_LINES = 3
_FORGET = text("DELETE FROM tasks WHERE state = 'pending' AND state_actor = 'benchmark'")


class Timed:
    """Milliseconds of each transaction, by step."""

    def __init__(self) -> None:
        self.spans: defaultdict[str, list[float]] = defaultdict(list)

    def step(self, database: Database, name: str, work: Callable[[Connection], T]) -> T:
        began = time.perf_counter()
        with database.transaction() as connection:
            done = work(connection)
        self.spans[name].append(1000 * (time.perf_counter() - began))
        return done


class Watched:
    """What the transactions of each step read."""

    def __init__(self) -> None:
        self.readings: defaultdict[str, Reading] = defaultdict(Reading)

    def step(self, database: Database, name: str, work: Callable[[Connection], T]) -> T:
        with database.transaction() as connection, watched(connection, self.readings[name]):
            return work(connection)


class HotPath:
    """A beat and a worker in one process, which does one step after the other."""

    def __init__(self, stack: Stack) -> None:
        self._database = stack.database
        self._redis = stack.redis_client()
        self._queues = CeleryReadyQueues(Celery(broker=stack.redis_url), redis_url=stack.redis_url)
        with stack.database.transaction() as connection:
            ensure_queue(connection, QUEUE)
            row = connection.execute(text("SELECT id, name FROM workers LIMIT 1")).one()
        self._worker = Claimant(id=row.id, name=row.name)

    def go_on(self, rounds: int, timed: Timed, watched: Watched) -> None:
        """All rounds are timed, and one more is looked into."""
        for _ in range(rounds):
            self._go(timed)
        self._go(watched)

    @contextmanager
    def backlog(self, count: int) -> Iterator[None]:
        """So many tasks are due within the block, of which the planner has not heard."""
        add_tasks(self._database, FLOW, count)
        yield
        with self._database.long_transaction() as connection:
            connection.execute(_FORGET)

    def _go(self, how: Timed | Watched) -> None:
        """A batch of due tasks is sent; all are claimed before the first of them ends."""
        add_tasks(self._database, FLOW, BATCH)
        how.step(self._database, "dispatch", self._dispatch)
        claims: list[Claim] = []
        for ids in _together(self._delivered()):
            claims += how.step(self._database, "claim", partial(self._claim, ids))
        for some in _together(claims):
            how.step(self._database, "finish", partial(self._finish, some))

    def _dispatch(self, connection: Connection) -> int:
        return dispatch(connection, self._queues, least=BATCH, silence=_MINUTE, actor="benchmark")

    def _delivered(self) -> list[UUID]:
        messages = cast("list[bytes]", self._redis.rpop(QUEUE, BATCH) or [])
        return [task_id for each in messages if (task_id := task_id_of(each)) is not None]

    def _claim(self, ids: Sequence[UUID], connection: Connection) -> list[Claim]:
        found = claim_free(connection, ids, worker=self._worker, lease=_MINUTE)
        return list(found.made.values())

    def _finish(self, claims: Sequence[Claim], connection: Connection) -> list[bool]:
        ends = [_end(claim) for claim in claims]
        return finish_free(connection, ends, actor=self._worker.name)


def _together(things: Sequence[T]) -> Iterator[Sequence[T]]:
    for first in range(0, len(things), AT_ONCE):
        yield things[first : first + AT_ONCE]


def _end(claim: Claim) -> Finish:
    log = TaskLog(claim.task_id, claim.attempt)
    for number in range(_LINES):
        log.say("flow", f"line {number} of what it said")
    return Finish(claim, decide(_ANSWER, claim, random=Random(1)), log.seal())
