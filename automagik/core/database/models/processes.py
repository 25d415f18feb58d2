"""Workers, beats, and those who watch."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import (
    CheckConstraint,
    ColumnClause,
    Index,
    func,
    text,
)

from automagik.core.database.base import Base, column, new_id
from automagik.core.database.models.checks import one_of


class WorkerRow(Base):
    __tablename__ = "workers"

    id: ColumnClause[UUID] = column(primary_key=True, default=new_id)
    name: ColumnClause[str]
    hostname: ColumnClause[str]
    pid: ColumnClause[int]
    pool: ColumnClause[str]
    slots: ColumnClause[int]
    queues: ColumnClause[list[str]]
    version: ColumnClause[str]
    status: ColumnClause[str] = column(server_default=text("'online'"))
    started_at: ColumnClause[datetime] = column(server_default=func.now())
    heartbeat_at: ColumnClause[datetime] = column(server_default=func.now())
    clock_offset_seconds: ColumnClause[float | None]
    """How far its host's clock is ahead of PostgreSQL's."""
    release_at: ColumnClause[datetime | None]
    """When a draining worker gives its runs back."""
    stopped_at: ColumnClause[datetime | None]

    __table_args__ = (
        CheckConstraint(
            one_of("status", ["online", "draining", "stopped", "lost"]), name="status_known"
        ),
        # Live workers: slots for dispatch, and those that fell silent.
        Index(
            "ix_workers_live",
            "heartbeat_at",
            postgresql_where=text("status IN ('online', 'draining')"),
        ),
    )


class BeatRow(Base):
    __tablename__ = "beats"

    id: ColumnClause[UUID] = column(primary_key=True, default=new_id)
    hostname: ColumnClause[str]
    pid: ColumnClause[int]
    version: ColumnClause[str]
    started_at: ColumnClause[datetime] = column(server_default=func.now())
    last_tick_at: ColumnClause[datetime] = column(server_default=func.now())
    clock_offset_seconds: ColumnClause[float | None]
    """How far its host's clock is ahead of PostgreSQL's."""
    stopped_at: ColumnClause[datetime | None]


class WatcherRow(Base):
    """Somebody who wants news until then: a terminal that follows a task, for example."""

    __tablename__ = "watchers"

    id: ColumnClause[UUID] = column(primary_key=True, default=new_id)
    until: ColumnClause[datetime]
