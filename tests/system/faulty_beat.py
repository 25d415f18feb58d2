"""Beats that die at the steps that matter, or at any other instant, one after the other.

`python -m tests.system.faulty_beat SEED KILLS`: the imports are paid once, each beat is a fork, and
it is said at which step it dies.
"""

import os
import random
import signal
import socket
import sys
from collections.abc import Callable, Sequence
from typing import TypeVar

from celery import Celery
from sqlalchemy import Connection

from automagik.core.config import Settings, get_settings
from automagik.core.database.session import Database
from automagik.core.scheduler.delivery import Delivery
from automagik.core.scheduler.ticker import Ticker
from workers.ready_queue import CeleryReadyQueues

T = TypeVar("T")

CHANCE = 0.35
SHARE_OF_STEPS = 0.7
ANY_INSTANT = "at any instant"
LONGEST_LIFE_SECONDS = 0.6
STEPS = (
    "before the commit of fire",
    "after the commit of fire",
    "before publishing",
    "in the middle of publishing",
    "before the commit of dispatch",
    "after the commit of dispatch",
)


class Fate:
    """Decides by a seed at how many steps a beat gets by, or how long it lives."""

    def __init__(self, seed: str) -> None:
        self._random = random.Random(seed)
        self._has_a_step = self._random.random() < SHARE_OF_STEPS

    def begin(self) -> None:
        """The alarm ends a process that has no handler for it like SIGKILL, wherever it is."""
        if not self._has_a_step:
            seconds = self._random.uniform(0.01, LONGEST_LIFE_SECONDS)
            signal.setitimer(signal.ITIMER_REAL, seconds)

    def pass_step(self, step: str) -> None:
        if self._has_a_step and self._random.random() < CHANCE:
            os.write(sys.stdout.fileno(), f"dies {step}\n".encode())
            os.kill(os.getpid(), signal.SIGKILL)


class FaultyQueues(CeleryReadyQueues):
    fate: Fate

    def publish(self, deliveries: Sequence[Delivery]) -> None:
        self.fate.pass_step("before publishing")
        half = len(deliveries) // 2
        if half:
            super().publish(deliveries[:half])
            self.fate.pass_step("in the middle of publishing")
        super().publish(deliveries[half:])


class FaultyTicker(Ticker):
    fate: Fate

    def _fire(self, connection: Connection) -> int:
        due = super()._fire(connection)
        if due:
            self.fate.pass_step("before the commit of fire")
        return due

    def _dispatch(self, connection: Connection) -> int:
        sent = super()._dispatch(connection)
        if sent:
            self.fate.pass_step("before the commit of dispatch")
        return sent

    def _in_transaction(self, work: Callable[[Connection], T]) -> T:
        done = super()._in_transaction(work)
        if done and work == self._fire:
            self.fate.pass_step("after the commit of fire")
        if done and work == self._dispatch:
            self.fate.pass_step("after the commit of dispatch")
        return done


def main(seed: str, kills: int) -> None:
    from automagik.celery import app

    settings = get_settings()
    # Whatever is loaded late is loaded now.
    app.loader.import_default_modules()
    _ = app.amqp.send_task_message, app.amqp.router, app.connection().transport
    for number in range(kills):
        child = os.fork()
        if child == 0:
            _beat(app, settings, Fate(f"{seed} {number}"))
        _, status = os.waitpid(child, 0)
        if not os.WIFSIGNALED(status):
            sys.exit(f"a beat ended by itself: {os.waitstatus_to_exitcode(status)}")
        if os.WTERMSIG(status) == signal.SIGALRM:
            os.write(sys.stdout.fileno(), f"dies {ANY_INSTANT}\n".encode())


def _beat(app: Celery, settings: Settings, fate: Fate) -> None:
    """Never returns."""
    queues = FaultyQueues(app, redis_url=settings.require_redis_url())
    ticker = FaultyTicker(
        database=Database(settings.require_database_url(), pool_size=2),
        settings=settings,
        queues=queues,
        host=socket.gethostname(),
        pid=os.getpid(),
    )
    queues.fate = ticker.fate = fate
    fate.begin()
    while True:
        ticker.tick()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
