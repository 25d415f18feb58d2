"""What PostgreSQL says about the present moment, by a few short queries."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import Connection, case, func, literal, select, union_all
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
from automagik.core.queues import MOST_COUNTED, Queue, list_queues
from automagik.core.tasks.states import DISPATCHABLE, FINAL, TaskState
from automagik.core.tasks.workers import Beat, Worker, list_beats, list_workers

LATELY = timedelta(hours=24)
_NEXT_RUNS = 5
_LAST_FAILURES = 3
_MESSAGE_LENGTH = 200


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
    """How many tasks wait for a disabled one; 10,000 means that many or more."""
    breaker_opened_at: datetime | None = None
    """Since when it gets no runs but probes because it was found down."""
    breaker_reason: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class LastFailure:
    """A task that failed for good not long ago."""

    task_id: UUID
    flow: str
    schedule: str | None
    error_code: str | None
    message: str | None
    """Its beginning."""
    at: datetime


@dataclass(frozen=True, kw_only=True, slots=True)
class StoredFacts:
    """What PostgreSQL knows, by its own clock."""

    now: datetime
    postgres_version: str
    beats: Sequence[Beat]
    workers: Sequence[Worker]
    open_tasks: Mapping[TaskState, int]
    """How many have not ended, by state; 10,000 means that many or more."""
    ended_lately: Mapping[TaskState, int]
    """How many ended in the last 24 hours, by state."""
    oldest_due_age: timedelta | None
    """For how long the task that waits longest for its dispatch has been due. Those of a paused
    queue or a disabled source wait because somebody wants it; a source that is down is told of by
    itself."""
    oldest_follow_up_age: timedelta | None = None
    """For how long the end of a run has waited for the runs that follow it."""
    schedules: Mapping[str, int]
    """How many there are, by status."""
    next_runs: Sequence[NextRun]
    sources: Sequence[KnownSource]
    queues: Sequence[Queue]
    last_failures: Sequence[LastFailure] = ()
    """The newest first."""


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
        open_tasks=open_tasks(connection),
        ended_lately=_ended_lately(connection),
        oldest_due_age=_oldest_due_age(connection),
        oldest_follow_up_age=connection.scalar(select(func.now() - func.min(FollowUpRow.ended_at))),
        schedules=_schedules(connection),
        next_runs=_next_runs(connection),
        sources=_sources(connection),
        queues=list_queues(connection, default=settings.queue, lease=lease),
        last_failures=_last_failures(connection),
    )


def open_tasks(connection: Connection) -> dict[TaskState, int]:
    """Answered by ix_tasks_state, for each state apart: there may be millions of one."""
    unfinished = [state for state in TaskState if not state.is_final]
    counts = [
        select(literal(state.value).label("state"), func.count().label("tasks")).select_from(
            select(TaskRow.id).where(TaskRow.state == state).limit(MOST_COUNTED).subquery()
        )
        for state in unfinished
    ]
    found = connection.execute(union_all(*counts)).all()
    return {TaskState(row.state): row.tasks for row in found if row.tasks}


def _ended_lately(connection: Connection) -> dict[TaskState, int]:
    """Answered by ix_tasks_ended."""
    query = (
        select(TaskRow.state, func.count())
        .where(TaskRow.state.in_(FINAL), TaskRow.finished_at > func.now() - LATELY)
        .group_by(TaskRow.state)
    )
    return {TaskState(state): count for state, count in connection.execute(query)}


def _oldest_due_age(connection: Connection) -> timedelta | None:
    """Answered by ix_tasks_run_at."""
    paused = select(QueueRow.name).where(QueueRow.paused_at.is_not(None))
    disabled = select(SourceRow.id).where(SourceRow.disabled_at.is_not(None))
    down = select(SourceRow.id).where(SourceRow.breaker_opened_at.is_not(None))
    now, oldest = connection.execute(
        select(func.now(), func.min(TaskRow.run_at)).where(
            TaskRow.state.in_(DISPATCHABLE),
            TaskRow.run_at <= func.now(),
            TaskRow.queue.not_in(paused),
            TaskRow.source_id.not_in(disabled),
            TaskRow.source_id.not_in(down),
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
        # What follows other runs is active, and has no clock.
        .where(ScheduleRow.status == "active", ScheduleRow.next_run_at.is_not(None))
        .order_by(ScheduleRow.next_run_at)
        .limit(_NEXT_RUNS)
    )
    return [NextRun(**row) for row in connection.execute(query).mappings()]


def _sources(connection: Connection) -> list[KnownSource]:
    backlog = (
        select(TaskRow.id)
        .where(
            TaskRow.source_id == SourceRow.id,
            TaskRow.state.in_(DISPATCHABLE),
            TaskRow.run_at <= func.now(),
        )
        .correlate(SourceRow.__table__)
        .limit(MOST_COUNTED)
        .subquery()
    )
    waiting = select(func.count()).select_from(backlog)
    query = select(
        SourceRow.name,
        SourceRow.url,
        SourceRow.version,
        SourceRow.checked_at,
        SourceRow.disabled_at,
        SourceRow.disabled_reason,
        SourceRow.breaker_opened_at,
        SourceRow.breaker_reason,
        case((SourceRow.disabled_at.is_not(None), waiting.scalar_subquery()), else_=0).label(
            "waiting"
        ),
    )
    rows = connection.execute(query.order_by(SourceRow.name)).mappings()
    return [KnownSource(**row) for row in rows]


def _last_failures(connection: Connection) -> list[LastFailure]:
    """Answered by ix_tasks_state: the newest tasks, not the last to end, which come close."""
    query = (
        select(
            TaskRow.id.label("task_id"),
            FlowRow.name.label("flow"),
            ScheduleRow.name.label("schedule"),
            TaskRow.error_code,
            func.left(TaskRow.error_message, _MESSAGE_LENGTH).label("message"),
            TaskRow.finished_at.label("at"),
        )
        .join(FlowRow, FlowRow.id == TaskRow.flow_id)
        .outerjoin(ScheduleRow, ScheduleRow.id == TaskRow.schedule_id)
        .where(TaskRow.state == TaskState.FAILED, TaskRow.finished_at > func.now() - LATELY)
        .order_by(TaskRow.id.desc())
        .limit(_LAST_FAILURES)
    )
    return [LastFailure(**row) for row in connection.execute(query).mappings()]
