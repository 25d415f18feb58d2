"""Due tasks go to the ready-queue, in order of priority, then age."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Protocol
from uuid import UUID

from sqlalchemy import Connection, text


@dataclass(frozen=True, kw_only=True, slots=True)
class Delivery:
    """A task id on its way to a worker, with the names that people see in Flower."""

    task_id: UUID
    flow: str
    schedule: str | None


class ReadyQueue(Protocol):
    """The list of task ids in Redis. Every method raises RedisUnreachable."""

    def publish(self, deliveries: Sequence[Delivery]) -> None: ...

    def __len__(self) -> int: ...

    def task_ids(self) -> set[UUID]: ...


# A source's row lock makes its limit hold with any number of beats: only one of them counts and
# sends for a source at a time. Tasks of other sources go out meanwhile through the other beats.
# It is not FOR UPDATE, which would make everybody wait who inserts a task of the source. A source
# without a free place is not locked: a beat with a backlog looks many times a second.
_LOCK_SOURCES = text("""
SELECT s.id FROM sources s
WHERE EXISTS (
    SELECT FROM tasks t
    WHERE t.source_id = s.id AND t.state IN ('pending', 'waiting') AND t.run_at <= now()
) AND s.max_parallel_runs > (
    SELECT count(*) FROM tasks u WHERE u.source_id = s.id AND u.state IN ('queued', 'running')
)
FOR NO KEY UPDATE SKIP LOCKED
""")

# A statement of its own: it must see what was committed before the lock was given to us.
_DISPATCHABLE = text("""
SELECT due.id, f.name AS flow, c.name AS schedule
FROM sources s
CROSS JOIN LATERAL (
    SELECT t.id, t.flow_id, t.schedule_id, t.priority, t.run_at FROM tasks t
    WHERE t.source_id = s.id AND t.state IN ('pending', 'waiting') AND t.run_at <= now()
    ORDER BY t.priority DESC, t.run_at
    LIMIT greatest(0, s.max_parallel_runs - (
        SELECT count(*) FROM tasks u WHERE u.source_id = s.id AND u.state IN ('queued', 'running')
    ))
    FOR UPDATE SKIP LOCKED
) due
JOIN flows f ON f.id = due.flow_id
LEFT JOIN schedules c ON c.id = due.schedule_id
WHERE s.id = ANY(:sources)
ORDER BY due.priority DESC, due.run_at
LIMIT :room
""")

_MARK_QUEUED = text("""
UPDATE tasks SET state = 'queued', queued_at = now(), state_actor = :actor, state_reason = NULL
WHERE id = ANY(:ids)
""")

_SLOTS = text("""
SELECT coalesce(sum(slots), 0) FROM workers
WHERE status = 'online' AND heartbeat_at > now() - :silence
""")

_OVERDUE_DELIVERIES = text("""
SELECT id FROM tasks WHERE state = 'queued' AND queued_at < now() - :overdue
""")

# A worker or another beat may have been faster: then the row is not queued or not overdue any more.
_MARK_SENT_AGAIN = text("""
WITH lost AS (
    SELECT id FROM tasks
    WHERE id = ANY(:ids) AND state = 'queued' AND queued_at < now() - :overdue
    FOR NO KEY UPDATE SKIP LOCKED
)
UPDATE tasks t SET queued_at = now()
FROM lost, flows f
WHERE t.id = lost.id AND f.id = t.flow_id
RETURNING t.id, f.name AS flow, (SELECT name FROM schedules WHERE id = t.schedule_id) AS schedule
""")


def dispatch(connection: Connection, queue: ReadyQueue, *, target: int, actor: str) -> int:
    """Fills the ready-queue up to the target; returns how many deliveries went out.

    Rows are locked, marked, sent, committed in this order: a crash between sends a delivery twice,
    which is harmless, and never loses one. A worker that is faster than the commit waits for the
    row's lock.
    """
    room = target - len(queue)
    if room <= 0:
        return 0
    sources = connection.scalars(_LOCK_SOURCES).all()
    if not sources:
        return 0
    rows = connection.execute(_DISPATCHABLE, {"sources": sources, "room": room}).all()
    if not rows:
        return 0
    connection.execute(_MARK_QUEUED, {"ids": [row.id for row in rows], "actor": actor})
    queue.publish([Delivery(task_id=r.id, flow=r.flow, schedule=r.schedule) for r in rows])
    return len(rows)


def ready_queue_target(connection: Connection, *, least: int, silence: timedelta) -> int:
    """Two deliveries per slot of the live workers, and not less than `least`."""
    slots = connection.scalar(_SLOTS, {"silence": silence}) or 0
    return max(least, 2 * int(slots))


def reconcile(connection: Connection, queue: ReadyQueue, *, overdue: timedelta) -> int:
    """Sends again what is marked queued but is not in Redis; returns how many.

    Redis may have been flushed, restarted or failed over, or a worker died after taking a delivery
    and before claiming its task. A delivery that still waits in Redis is left alone, however long.
    """
    ids = set(connection.scalars(_OVERDUE_DELIVERIES, {"overdue": overdue}))
    lost = ids - queue.task_ids() if ids else ids
    if not lost:
        return 0
    rows = connection.execute(_MARK_SENT_AGAIN, {"ids": [*lost], "overdue": overdue}).all()
    queue.publish([Delivery(task_id=r.id, flow=r.flow, schedule=r.schedule) for r in rows])
    return len(rows)
