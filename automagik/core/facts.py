"""What PostgreSQL and Redis say about the present moment, by a few short queries."""

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from redis import Redis
from sqlalchemy import Connection, case, func, select
from sqlalchemy.exc import ArgumentError

from automagik.core.config import Settings
from automagik.core.database.models import (
    FlowRow,
    FollowUpRow,
    QueueRow,
    ScheduleRow,
    SourceRow,
    TaskRow,
)
from automagik.core.database.session import Database
from automagik.core.exceptions import ConfigurationError
from automagik.core.queues import Queue, list_queues
from automagik.core.redis_client import redis_client
from automagik.core.tasks.states import DISPATCHABLE, TaskState
from automagik.core.tasks.workers import Beat, Worker, list_beats, list_workers

LATELY = timedelta(hours=24)
_NEXT_RUNS = 3


@dataclass(frozen=True, kw_only=True, slots=True)
class NextRun:
    """The coming occurrence of an active schedule."""

    schedule: str
    flow: str
    timezone: str
    at: datetime


@dataclass(frozen=True, kw_only=True, slots=True)
class KnownSource:
    """A source as it was when it was last checked; nobody asked it now."""

    name: str
    url: str
    version: str | None
    checked_at: datetime | None
    disabled_at: datetime | None = None
    """Since when it gets no runs because somebody wants it."""
    disabled_reason: str | None = None
    waiting: int = 0
    """How many tasks wait for a disabled one."""


@dataclass(frozen=True, kw_only=True, slots=True)
class StoredFacts:
    """What PostgreSQL knows, by its own clock."""

    now: datetime
    postgres_version: str
    beats: Sequence[Beat]
    workers: Sequence[Worker]
    open_tasks: Mapping[TaskState, int]
    """How many have not ended, by state."""
    ended_lately: Mapping[TaskState, int]
    """How many ended in the last 24 hours, by state."""
    oldest_due_age: timedelta | None
    """For how long the task that waits longest for its dispatch has been due. Those of a paused
    queue or a disabled source wait because somebody wants it."""
    oldest_follow_up_age: timedelta | None = None
    """For how long the end of a run has waited for the runs that follow it."""
    schedules: Mapping[str, int]
    """How many there are, by status."""
    next_runs: Sequence[NextRun]
    sources: Sequence[KnownSource]
    queues: Sequence[Queue]


@dataclass(frozen=True, kw_only=True, slots=True)
class RedisFacts:
    """What Redis says of itself and of the ready-queues."""

    server: str
    """`redis`, or what is compatible with it, such as `valkey`."""
    version: str
    redis_version: str
    """The version of Redis that it behaves like."""
    latency: timedelta
    maxmemory_policy: str | None
    """None when the server does not tell."""
    ready: int
    """How many deliveries wait for a worker, in the queues that were asked about."""


@contextmanager
def opened(settings: Settings) -> Iterator[Database]:
    """A database for one look. Raises ConfigurationError."""
    try:
        database = Database(settings.require_database_url(), pool_size=1)
    except ArgumentError as error:
        raise ConfigurationError(
            "DATABASE_URL is not a URL of PostgreSQL.",
            hint="Write postgresql://user:password@host:5432/name",
        ) from error
    try:
        yield database
    finally:
        database.dispose()


def read_stored(connection: Connection, settings: Settings) -> StoredFacts:
    """Raises DatabaseUnreachable."""
    lease = timedelta(seconds=settings.lease_seconds)
    return StoredFacts(
        now=connection.scalars(select(func.now())).one(),
        postgres_version=connection.scalars(select(func.current_setting("server_version"))).one(),
        beats=list_beats(connection, lease=lease),
        workers=list_workers(connection, lease=lease),
        open_tasks=_open_tasks(connection),
        ended_lately=_ended_lately(connection),
        oldest_due_age=_oldest_due_age(connection),
        oldest_follow_up_age=connection.scalar(select(func.now() - func.min(FollowUpRow.ended_at))),
        schedules=_schedules(connection),
        next_runs=_next_runs(connection),
        sources=_sources(connection),
        queues=list_queues(connection, default=settings.queue, lease=lease),
    )


def read_redis(settings: Settings, *, queues: Sequence[str] = ()) -> RedisFacts:
    """Raises RedisUnreachable and ConfigurationError."""
    with redis_client(settings) as client:
        return _ask(client, queues)


def _open_tasks(connection: Connection) -> dict[TaskState, int]:
    """Answered by ix_tasks_state; final tasks are left out because there may be millions."""
    unfinished = [state for state in TaskState if not state.is_final]
    query = (
        select(TaskRow.state, func.count())
        .where(TaskRow.state.in_(unfinished))
        .group_by(TaskRow.state)
    )
    return {TaskState(state): count for state, count in connection.execute(query)}


def _ended_lately(connection: Connection) -> dict[TaskState, int]:
    """Answered by ix_tasks_finished_at."""
    query = (
        select(TaskRow.state, func.count())
        .where(TaskRow.finished_at > func.now() - LATELY)
        .group_by(TaskRow.state)
    )
    return {TaskState(state): count for state, count in connection.execute(query)}


def _oldest_due_age(connection: Connection) -> timedelta | None:
    """Answered by ix_tasks_run_at."""
    paused = select(QueueRow.name).where(QueueRow.paused_at.is_not(None))
    disabled = select(SourceRow.id).where(SourceRow.disabled_at.is_not(None))
    now, oldest = connection.execute(
        select(func.now(), func.min(TaskRow.run_at)).where(
            TaskRow.state.in_(DISPATCHABLE),
            TaskRow.run_at <= func.now(),
            TaskRow.queue.not_in(paused),
            TaskRow.source_id.not_in(disabled),
        )
    ).one()
    return None if oldest is None else now - oldest


def _schedules(connection: Connection) -> dict[str, int]:
    query = select(ScheduleRow.status, func.count().label("schedules")).group_by(ScheduleRow.status)
    return {row.status: row.schedules for row in connection.execute(query)}


def _next_runs(connection: Connection) -> list[NextRun]:
    """Answered by ix_schedules_due."""
    query = (
        select(
            ScheduleRow.name.label("schedule"),
            FlowRow.name.label("flow"),
            ScheduleRow.timezone,
            ScheduleRow.next_run_at.label("at"),
        )
        .join(FlowRow, FlowRow.id == ScheduleRow.flow_id)
        .where(ScheduleRow.status == "active")
        .order_by(ScheduleRow.next_run_at)
        .limit(_NEXT_RUNS)
    )
    return [NextRun(**row) for row in connection.execute(query).mappings()]


def _sources(connection: Connection) -> list[KnownSource]:
    waiting = select(func.count()).where(
        TaskRow.source_id == SourceRow.id,
        TaskRow.state.in_(DISPATCHABLE),
        TaskRow.run_at <= func.now(),
    )
    query = select(
        SourceRow.name,
        SourceRow.url,
        SourceRow.version,
        SourceRow.checked_at,
        SourceRow.disabled_at,
        SourceRow.disabled_reason,
        case((SourceRow.disabled_at.is_not(None), waiting.scalar_subquery()), else_=0).label(
            "waiting"
        ),
    )
    rows = connection.execute(query.order_by(SourceRow.name)).mappings()
    return [KnownSource(**row) for row in rows]


def _ask(client: Redis, queues: Sequence[str]) -> RedisFacts:
    started = time.perf_counter()
    client.ping()
    latency = timedelta(seconds=time.perf_counter() - started)
    about: Any = client.info()
    lengths: Any = [client.llen(queue) for queue in queues]
    return RedisFacts(
        server=str(about.get("server_name", "redis")),
        version=str(about.get("valkey_version", about["redis_version"])),
        redis_version=str(about["redis_version"]),
        latency=latency,
        maxmemory_policy=about.get("maxmemory_policy"),
        ready=sum(lengths),
    )
