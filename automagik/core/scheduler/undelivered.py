"""Tasks that are marked queued although no delivery of theirs is on its way.

Beats send such a delivery again, so one that has been missing for long was forgotten.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from redis import Redis
from sqlalchemy import text

from automagik.core.config import Settings
from automagik.core.database.session import Database
from automagik.core.redis_client import redis_client
from automagik.core.scheduler.delivery import task_id_of

MARGIN = timedelta(seconds=60)
"""What beats have beyond `reconcile_seconds`, for their ticks and a Redis that comes back."""

_QUEUES = text("""
SELECT name FROM queues UNION SELECT queue FROM tasks WHERE state = 'queued'
""")

_QUEUED = text("""
SELECT id, queue, queued_at, queued_at < now() - :overdue AS is_overdue
FROM tasks WHERE state = 'queued'
""")


@dataclass(frozen=True, kw_only=True, slots=True)
class Undelivered:
    """A task that waits for a delivery that does not come."""

    task_id: UUID
    queue: str
    queued_at: datetime


@dataclass(frozen=True, kw_only=True, slots=True)
class Comparison:
    """Rows and ready-queues side by side."""

    undelivered: set[Undelivered]
    idle: set[UUID]
    """Of deliveries that wait although their task is not queued; a worker will drop them."""


def compare(database: Database, settings: Settings) -> Comparison:
    """What two looks have in common: in one moment a delivery may be between two places.

    Raises DatabaseUnreachable, RedisUnreachable and ConfigurationError.
    """
    overdue = timedelta(seconds=settings.reconcile_seconds) + MARGIN
    with redis_client(settings) as client:
        before, now = (_look(database, client, settings.queue, overdue) for _ in range(2))
    return Comparison(
        undelivered=now.undelivered & before.undelivered,
        idle=now.idle & before.idle,
    )


def _look(database: Database, client: Redis, queue: str, overdue: timedelta) -> Comparison:
    with database.transaction() as connection:
        names = {queue, *connection.scalars(_QUEUES)}
        queued = connection.execute(_QUEUED, {"overdue": overdue}).all()
    waiting = _waiting(client, names)
    return Comparison(
        undelivered={
            Undelivered(task_id=row.id, queue=row.queue, queued_at=row.queued_at)
            for row in queued
            if row.is_overdue and row.id not in waiting
        },
        idle=waiting - {row.id for row in queued},
    )


def _waiting(client: Redis, queues: Iterable[str]) -> set[UUID]:
    messages: Any = [message for name in queues for message in client.lrange(name, 0, -1)]
    return {found for message in messages if (found := task_id_of(message))}
