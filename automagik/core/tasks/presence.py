"""The rows that say which workers and beats are there."""

from datetime import timedelta
from uuid import UUID

from sqlalchemy import Connection, func, insert, text, update

from automagik import __version__
from automagik.core.database.base import new_id
from automagik.core.database.models import BeatRow, WorkerRow
from automagik.core.database.session import TO_WORKERS, notify
from automagik.core.tasks.claim import Claimant


def register_worker(
    connection: Connection,
    *,
    name: str,
    hostname: str,
    pid: int,
    pool: str,
    slots: int,
    queues: list[str],
    clock_offset: float | None = None,
) -> Claimant:
    worker = Claimant(id=new_id(), name=name)
    connection.execute(
        insert(WorkerRow).values(
            id=worker.id,
            name=name,
            hostname=hostname,
            pid=pid,
            pool=pool,
            slots=slots,
            queues=queues,
            clock_offset_seconds=clock_offset,
            version=__version__,
        )
    )
    return worker


def worker_alive(
    connection: Connection, worker_id: UUID, *, clock_offset: float | None = None
) -> None:
    """A sign of life; it also brings back a worker that was taken for lost."""
    connection.execute(
        text("""
        UPDATE workers SET heartbeat_at = now(), stopped_at = NULL,
            clock_offset_seconds = coalesce(:clock_offset, clock_offset_seconds),
            status = CASE WHEN release_at IS NULL THEN 'online' ELSE 'draining' END
        WHERE id = :id
        """),
        {"id": worker_id, "clock_offset": clock_offset},
    )


def worker_draining(connection: Connection, worker_id: UUID, *, grace: timedelta) -> None:
    """No new runs; those under way have until the end of the grace."""
    connection.execute(
        update(WorkerRow)
        .where(WorkerRow.id == worker_id)
        .values(status="draining", release_at=func.now() + grace)
    )
    # All its processes learn now when that is.
    notify(connection, TO_WORKERS, str(worker_id))


def worker_stopped(connection: Connection, worker_id: UUID) -> None:
    connection.execute(
        update(WorkerRow)
        .where(WorkerRow.id == worker_id)
        .values(status="stopped", stopped_at=func.now())
    )


def register_beat(
    connection: Connection, *, hostname: str, pid: int, clock_offset: float | None = None
) -> UUID:
    beat_id = new_id()
    connection.execute(
        insert(BeatRow).values(
            id=beat_id,
            hostname=hostname,
            pid=pid,
            clock_offset_seconds=clock_offset,
            version=__version__,
        )
    )
    return beat_id


def beat_ticked(
    connection: Connection, beat_id: UUID, *, clock_offset: float | None = None
) -> None:
    connection.execute(
        update(BeatRow)
        .where(BeatRow.id == beat_id)
        .values(
            last_tick_at=func.now(),
            clock_offset_seconds=func.coalesce(clock_offset, BeatRow.clock_offset_seconds),
            stopped_at=None,
        )
    )


def beat_stopped(connection: Connection, beat_id: UUID) -> None:
    connection.execute(update(BeatRow).where(BeatRow.id == beat_id).values(stopped_at=func.now()))
