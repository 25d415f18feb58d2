"""Which workers and beats are there, by their signs of life in the database."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Connection, and_, func, select

from automagik.core.database.lookup import nearest
from automagik.core.database.models import BeatRow, TaskRow, WorkerRow
from automagik.core.exceptions import Ambiguous, NotFound
from automagik.core.tasks.liveness import LIVE_LEASES
from automagik.core.tasks.states import TaskState

RECENTLY = timedelta(hours=1)
SHORTEST_ID = 4
"""So many characters of an id are enough to mean it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Worker:
    """A process that runs tasks, as PostgreSQL's clock sees it."""

    id: UUID
    name: str
    hostname: str
    pid: int
    pool: str
    slots: int
    busy: int
    """How many tasks it runs right now."""
    queues: Sequence[str]
    version: str
    status: str
    """What it said last, or beat of it: online, draining, stopped or lost."""
    is_live: bool
    started_at: datetime
    heartbeat_at: datetime
    heartbeat_age: timedelta
    clock_offset_seconds: float | None
    """How far its host's clock is ahead of PostgreSQL's."""
    stopped_at: datetime | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Beat:
    """A process that fires schedules and dispatches tasks, as PostgreSQL's clock sees it."""

    id: UUID
    hostname: str
    pid: int
    version: str
    is_live: bool
    started_at: datetime
    last_tick_at: datetime
    tick_age: timedelta
    clock_offset_seconds: float | None
    """How far its host's clock is ahead of PostgreSQL's."""
    stopped_at: datetime | None


def list_workers(connection: Connection, *, lease: timedelta) -> list[Worker]:
    """The live ones first, then those that went RECENTLY, by sign of life."""
    busy = (
        select(TaskRow.worker_id, func.count().label("busy"))
        .where(TaskRow.state == TaskState.RUNNING)
        .group_by(TaskRow.worker_id)
        .subquery()
    )
    is_live = and_(
        WorkerRow.status.in_(("online", "draining")), _fresh(WorkerRow.heartbeat_at, lease)
    )
    query = (
        select(
            *_columns(WorkerRow, Worker),
            func.coalesce(busy.c.busy, 0).label("busy"),
            is_live.label("is_live"),
            (func.now() - WorkerRow.heartbeat_at).label("heartbeat_age"),
        )
        .outerjoin(busy, busy.c.worker_id == WorkerRow.id)
        .where(WorkerRow.heartbeat_at > func.now() - RECENTLY)
        .order_by(is_live.desc(), WorkerRow.heartbeat_at.desc())
    )
    return [Worker(**row) for row in connection.execute(query).mappings()]


def find_worker(connection: Connection, reference: str, *, lease: timedelta) -> Worker:
    """Of those in the list, by its name or the beginning of its id. Raises NotFound, Ambiguous.

    A worker that starts again has the same name: the newest is meant.
    """
    workers = list_workers(connection, lease=lease)
    reference = reference.strip()
    for worker in workers:
        if worker.name == reference:
            return worker
    found = [worker for worker in workers if _begins(worker.id, reference)]
    if len(found) == 1:
        return found[0]
    if found:
        shown = ", ".join(str(worker.id) for worker in found)
        raise Ambiguous(f"Worker {reference!r} could be any of: {shown}")
    raise NotFound(
        f"There is no worker {reference!r}.",
        hint=nearest(reference, {worker.name for worker in workers})
        or "See which there are with: automagik workers list",
    )


def _begins(worker_id: UUID, reference: str) -> bool:
    return len(reference) >= SHORTEST_ID and str(worker_id).startswith(reference.lower())


def list_beats(connection: Connection, *, lease: timedelta) -> list[Beat]:
    """The live ones first, then those that went RECENTLY, by tick."""
    is_live = and_(BeatRow.stopped_at.is_(None), _fresh(BeatRow.last_tick_at, lease))
    query = (
        select(
            *_columns(BeatRow, Beat),
            is_live.label("is_live"),
            (func.now() - BeatRow.last_tick_at).label("tick_age"),
        )
        .where(BeatRow.last_tick_at > func.now() - RECENTLY)
        .order_by(is_live.desc(), BeatRow.last_tick_at.desc())
    )
    return [Beat(**row) for row in connection.execute(query).mappings()]


def _fresh(sign_of_life: Any, lease: timedelta) -> ColumnElement[bool]:
    fresh: ColumnElement[bool] = sign_of_life > func.now() - LIVE_LEASES * lease
    return fresh


def _columns(row: Any, value: Any) -> list[Any]:
    return [getattr(row, name) for name in value.__dataclass_fields__ if hasattr(row, name)]
