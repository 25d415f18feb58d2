"""How each kind of fault is done and how it heals: a context, broken inside, whole again after."""

import os
import signal
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, closing, contextmanager
from random import Random
from uuid import UUID

import redis
from celery import Celery
from kombu.exceptions import OperationalError

from automagik.core.embedded.server import EmbeddedServer
from automagik.core.exceptions import Conflict
from automagik.core.tasks.manager import TaskManager
from automagik.demo.faults import Fault as ServerFault
from automagik.demo.faults import answer, hang, reset
from tests.system.chaos.load import run_by_hand
from tests.system.chaos.plan import Fault, Kind
from tests.system.chaos.roster import DANGEROUS_QUEUE, USUAL_QUEUE
from tests.system.chaos.stage import POISON, Stage
from workers.ready_queue import TASK_NAME

Break = Callable[[Stage, Fault, Random], AbstractContextManager[None]]

FLOWS_AT_FAULT = ("echo", "slow", "failing", "flaky")
CANCELLED_AT_ONCE = 3
DOUBLED_AT_ONCE = 20


class NotYet(Exception):
    """There is nothing to break at this moment."""


def _signalled(
    number: signal.Signals, *, healed_by: signal.Signals | None = None, at_work: bool = False
) -> Break:
    @contextmanager
    def broken(stage: Stage, fault: Fault, _: Random) -> Iterator[None]:
        _require_alive(stage, fault.target)
        if at_work and not stage.crew.is_at_work(fault.target):
            raise NotYet
        stage.crew.signal(fault.target, number)
        yield
        if healed_by:
            stage.crew.signal(fault.target, healed_by)

    return broken


@contextmanager
def _child_killed(stage: Stage, fault: Fault, random: Random) -> Iterator[None]:
    # Celery gives up on a pool whose processes end before all have begun.
    if not stage.crew.is_ready(fault.target):
        raise NotYet
    children = stage.crew.processes(fault.target)[1:]
    if not children:
        raise NotYet
    random.choice(children).kill()
    yield


@contextmanager
def _terminated(stage: Stage, fault: Fault, _: Random) -> Iterator[None]:
    """As an init system does it: only the main process is asked."""
    _require_alive(stage, fault.target)
    os.kill(stage.crew.pid(fault.target), signal.SIGTERM)
    yield


@contextmanager
def _flushed(stage: Stage, _: Fault, __: Random) -> Iterator[None]:
    with closing(redis.Redis.from_url(stage.redis.url)) as client:
        try:
            client.flushall()
        except redis.ConnectionError as error:
            raise NotYet from error
    yield


def _ended(server: Callable[[Stage], EmbeddedServer], how: signal.Signals) -> Break:
    @contextmanager
    def broken(stage: Stage, _: Fault, __: Random) -> Iterator[None]:
        child = server(stage).child
        assert child is not None
        assert child.pid is not None
        os.kill(child.pid, how)
        child.wait()
        yield
        server(stage).start()

    return broken


@contextmanager
def _half_of_the_connections_terminated(stage: Stage, _: Fault, random: Random) -> Iterator[None]:
    mine = "datname = current_database() AND pid <> pg_backend_pid()"
    rows = stage.fleet.rows(f"SELECT pid FROM pg_stat_activity WHERE {mine} ORDER BY pid")
    chosen = random.sample([row.pid for row in rows], len(rows) // 2)
    if not chosen:
        raise NotYet
    stage.fleet.rows("SELECT pg_terminate_backend(pid) FROM unnest(:pids) pid", pids=chosen)
    yield


def _answering(answers: Callable[[], ServerFault]) -> Break:
    @contextmanager
    def broken(stage: Stage, _: Fault, __: Random) -> Iterator[None]:
        stage.server_faults.update(dict.fromkeys(FLOWS_AT_FAULT, answers()))
        yield
        for flow in FLOWS_AT_FAULT:
            stage.server_faults.pop(flow, None)

    return broken


@contextmanager
def _some_cancelled(stage: Stage, _: Fault, random: Random) -> Iterator[None]:
    tasks = TaskManager(stage.fleet.database, stage.settings)
    running = _harmless(stage, "t.state = 'running'")
    if not running:
        raise NotYet
    for task_id in random.sample(running, min(len(running), CANCELLED_AT_ONCE)):
        try:
            tasks.cancel(task_id, actor="chaos", reason="cancelled in passing")
        except Conflict:
            continue  # It was faster.
        stage.cancelled += 1
    yield


@contextmanager
def _poisoned(stage: Stage, _: Fault, __: Random) -> Iterator[None]:
    run_by_hand(stage, POISON, queue=DANGEROUS_QUEUE, max_retries=1)
    yield


@contextmanager
def _doubled(stage: Stage, _: Fault, random: Random) -> Iterator[None]:
    """Deliveries of tasks in any state, of some two at once."""
    tasks = _harmless(stage)
    if not tasks:
        raise NotYet
    app = Celery("chaos", broker=stage.redis.url, set_as_current=False)
    app.conf.task_publish_retry = False
    with closing(app):
        for task_id in map(str, random.choices(tasks, k=DOUBLED_AT_ONCE)):
            try:
                app.send_task(TASK_NAME, args=(task_id,), task_id=task_id, queue=USUAL_QUEUE)
            except OperationalError as error:
                raise NotYet from error
            stage.doubled += 1
    yield


def _harmless(stage: Stage, condition: str = "true") -> list[UUID]:
    """Of the newest tasks that fulfil a condition, those that kill nobody."""
    query = f"""
    SELECT t.id FROM tasks t JOIN flows f ON f.id = t.flow_id
    WHERE {condition} AND f.name <> :poison
    ORDER BY t.id DESC LIMIT 200
    """
    return [row.id for row in stage.fleet.rows(query, poison=POISON)]


def _require_alive(stage: Stage, name: str) -> None:
    if not stage.crew.is_alive(name):
        raise NotYet


BREAKS: Mapping[Kind, Break] = {
    Kind.BEAT_KILLED: _signalled(signal.SIGKILL),
    Kind.BEAT_FROZEN: _signalled(signal.SIGSTOP, healed_by=signal.SIGCONT),
    Kind.WORKER_KILLED: _signalled(signal.SIGKILL, at_work=True),
    Kind.PREFORK_CHILD_KILLED: _child_killed,
    Kind.WORKER_FROZEN: _signalled(signal.SIGSTOP, healed_by=signal.SIGCONT, at_work=True),
    Kind.WORKER_TERMINATED: _terminated,
    Kind.REDIS_FLUSHED: _flushed,
    Kind.REDIS_KILLED: _ended(lambda stage: stage.redis, signal.SIGKILL),
    Kind.POSTGRES_KILLED: _ended(lambda stage: stage.postgres, signal.SIGKILL),
    Kind.POSTGRES_STOPPED: _ended(lambda stage: stage.postgres, signal.SIGQUIT),
    Kind.CONNECTIONS_TERMINATED: _half_of_the_connections_terminated,
    Kind.SOURCE_HANGS: _answering(hang),
    Kind.SOURCE_RESETS: _answering(reset),
    Kind.SOURCE_FAILS: _answering(lambda: answer(500, '{"detail": "out of order"}')),
    Kind.SOURCE_THROTTLES: _answering(
        lambda: answer(429, '{"detail": "too many"}', headers={"retry-after": "2"})
    ),
    Kind.RUNS_CANCELLED: _some_cancelled,
    Kind.POISON: _poisoned,
    Kind.DELIVERIES_DOUBLED: _doubled,
}
