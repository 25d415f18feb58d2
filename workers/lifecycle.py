"""What a worker does when it starts and stops, and the runner of each of its processes.

With the threads pool there is one process. With prefork the main process speaks for the worker's
row and each child keeps the leases of its own runs.
"""

import gc
import logging
import os
import signal
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from functools import lru_cache
from random import Random
from threading import Event, Thread
from typing import Any

from celery.signals import (
    worker_init,
    worker_process_shutdown,
    worker_ready,
    worker_shutdown,
    worker_shutting_down,
)

from automagik.core.config import get_settings
from automagik.core.database.migrate import require_current
from automagik.core.database.prepared import plan_once
from automagik.core.database.session import Database
from automagik.core.exceptions import AutomagikError
from automagik.core.flows.remote import RunAnswer
from automagik.core.queues import ensure_queue
from automagik.core.tasks.claim import Claimant
from automagik.core.tasks.flow_call import FlowCaller
from automagik.core.tasks.heartbeat import Heartbeat, HeldRun
from automagik.core.tasks.host_clock import measured_offset
from automagik.core.tasks.ledger import ALONE, Ledger
from automagik.core.tasks.presence import register_worker, worker_draining, worker_stopped
from automagik.core.tasks.task_runner import TaskRunner
from automagik.core.tracing import switch
from workers import pools

logger = logging.getLogger(__name__)

# Two threads write for all, a few write alone, one keeps the leases.
CONNECTIONS = 2 + ALONE + 1

_registered: dict[str, Claimant] = {}
"""This worker under its node name. Children of the prefork pool inherit it."""


_is_draining = Event()


def task_runner() -> TaskRunner:
    return _task_runner(os.getpid())


@contextmanager
def under_way() -> Iterator[None]:
    """A run is: a child of the prefork pool leaves its end to the main process.

    Supervisors that send SIGTERM to all processes of a worker mean that it should finish.
    """
    if os.getpid() == _main_pid():
        yield
        return
    before = signal.signal(signal.SIGTERM, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def give_runs_back() -> None:
    """At once, unless they have a grace."""
    if not _is_draining.is_set():
        _mark_draining(timedelta())


@lru_cache(maxsize=1)
def _task_runner(pid: int) -> TaskRunner:
    heartbeat = _heartbeat(pid)
    ledger = Ledger(_database(pid), get_settings(), _worker(), full_sources=heartbeat.full_sources)
    call = flow_call(ledger)
    traces = switch.begin("automagik-worker", instance=_worker().name)
    return TaskRunner(
        ledger=ledger,
        worker=_worker(),
        heartbeat=heartbeat,
        call=call if traces is None else traces.traced(call),
        random=Random(),  # noqa: S311  (spreads retries, protects nothing)
        traces=traces,
    )


def flow_call(ledger: Ledger) -> Callable[[HeldRun], RunAnswer]:
    """What runs the flow of a claimed attempt."""
    return FlowCaller(get_settings(), ledger.definition_of)


@lru_cache(maxsize=1)
def _heartbeat(pid: int) -> Heartbeat:
    """Running already when it is given out."""
    heartbeat = Heartbeat(
        _database(pid),
        _worker(),
        lease=timedelta(seconds=get_settings().lease_seconds),
        announces=pid == _main_pid(),
    )
    heartbeat.start()
    return heartbeat


@lru_cache(maxsize=1)
def _database(_pid: int) -> Database:
    database = Database(get_settings().require_database_url(), pool_size=CONNECTIONS)
    plan_once(database.engine)
    return database


def _worker() -> Claimant:
    return next(iter(_registered.values()))


@lru_cache(maxsize=1)
def _main_pid() -> int:
    """Asked first by the main process, before it forks."""
    return os.getpid()


@worker_init.connect  # type: ignore[untyped-decorator]
def _register(sender: Any, **_: Any) -> None:
    """Raises SystemExit with one line: no database, another schema, a wrong queue or pool."""
    queues = list(sender.app.amqp.queues.consume_from)
    try:
        pool = pools.admitted(sender.pool_cls)
        with _database(_main_pid()).transaction() as connection:
            require_current(connection)
            for queue in queues:
                ensure_queue(connection, queue)
            _registered[sender.hostname] = register_worker(
                connection,
                name=sender.hostname,
                hostname=socket.gethostname(),
                pid=os.getpid(),
                pool=pool,
                slots=pools.slots(pool, sender.concurrency),
                queues=queues,
                clock_offset=measured_offset(connection),
            )
    except AutomagikError as error:
        logger.critical("automagik: %s %s", error.message, error.hint or "")
        sys.exit(error.exit_code)
    switch.is_on()
    # Children of the prefork pool share what nobody writes to, such as marks of the collector.
    gc.collect()
    gc.freeze()


@worker_ready.connect  # type: ignore[untyped-decorator]
def _announce(**_: Any) -> None:
    _heartbeat(os.getpid())


@worker_shutting_down.connect  # type: ignore[untyped-decorator]
def _drain(how: str, **_: Any) -> None:
    """Runs have the grace to finish; then the heartbeats of all processes give them back."""
    _is_draining.set()
    grace = timedelta(seconds=get_settings().drain_seconds if how == "Warm" else 0)
    # Not in the signal handler itself, which may have interrupted anything.
    Thread(target=_mark_draining, args=(grace,), daemon=True).start()


def _mark_draining(grace: timedelta) -> None:
    try:
        with _database(_main_pid()).transaction() as connection:
            worker_draining(connection, _worker().id, grace=grace)
    except AutomagikError as error:
        logger.warning("%s", error.message)


@worker_process_shutdown.connect  # type: ignore[untyped-decorator]
def _send_last_spans(**_: Any) -> None:
    """Of a child of the prefork pool."""
    switch.end()


@worker_shutdown.connect  # type: ignore[untyped-decorator]
def _say_goodbye(**_: Any) -> None:
    try:
        _heartbeat(os.getpid()).stop()
        with _database(_main_pid()).transaction() as connection:
            worker_stopped(connection, _worker().id)
    except AutomagikError as error:
        logger.warning("%s", error.message)
    switch.end()
