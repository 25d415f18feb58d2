"""Workers, beats, and those who watch."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import (
    ARRAY,
    CheckConstraint,
    Index,
    Text,
    func,
    text,
)
from sqlalchemy.orm import Mapped, mapped_column

from automagik.core.database.base import Base, new_id
from automagik.core.database.models.checks import one_of


class WorkerRow(Base):
    __tablename__ = "workers"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    name: Mapped[str]
    hostname: Mapped[str]
    pid: Mapped[int]
    pool: Mapped[str]
    slots: Mapped[int]
    queues: Mapped[list[str]] = mapped_column(ARRAY(Text))
    version: Mapped[str]
    status: Mapped[str] = mapped_column(server_default=text("'online'"))
    started_at: Mapped[datetime] = mapped_column(server_default=func.now())
    heartbeat_at: Mapped[datetime] = mapped_column(server_default=func.now())
    clock_offset_seconds: Mapped[float | None]
    """How far its host's clock is ahead of PostgreSQL's."""
    release_at: Mapped[datetime | None]
    """When a draining worker gives its runs back."""
    stopped_at: Mapped[datetime | None]

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

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    hostname: Mapped[str]
    pid: Mapped[int]
    version: Mapped[str]
    started_at: Mapped[datetime] = mapped_column(server_default=func.now())
    last_tick_at: Mapped[datetime] = mapped_column(server_default=func.now())
    clock_offset_seconds: Mapped[float | None]
    """How far its host's clock is ahead of PostgreSQL's."""
    stopped_at: Mapped[datetime | None]


class WatcherRow(Base):
    """Somebody who wants news until then: a terminal that follows a task, for example."""

    __tablename__ = "watchers"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    until: Mapped[datetime]
