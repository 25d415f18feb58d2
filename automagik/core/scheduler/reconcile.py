"""Deliveries that Redis has lost go out again."""

from datetime import timedelta
from uuid import UUID

from sqlalchemy import Connection, text

from automagik.core.scheduler.batch import BATCH
from automagik.core.scheduler.delivery import Delivery, ReadyQueues

_OVERDUE = text("""
SELECT id, queue FROM tasks WHERE state = 'queued' AND queued_at < now() - :overdue
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
RETURNING t.id AS task_id, t.queue, f.name AS flow,
    (SELECT name FROM schedules WHERE id = t.schedule_id) AS schedule
""")


class Reconciler:
    """Sends again what is marked queued but is not in Redis.

    Redis may have been flushed, restarted or failed over, or a worker died after taking a delivery
    and before claiming its task. A delivery that still waits in Redis is left alone, however long.
    """

    def __init__(self, queues: ReadyQueues, *, overdue: timedelta) -> None:
        self._queues = queues
        self._overdue = overdue
        self._missing: set[UUID] = set()

    def reconcile(self, connection: Connection) -> int:
        """How many went out, BATCH at most: what was missing in the look before, too.

        In one moment a delivery may be on the way from Redis to its claim.
        """
        missing = self._look(connection)
        lost = sorted(missing & self._missing)[:BATCH]
        self._missing = missing
        if not lost:
            return 0
        arguments = {"ids": lost, "overdue": self._overdue}
        rows = connection.execute(_MARK_SENT_AGAIN, arguments).mappings()
        deliveries = [Delivery(**row) for row in rows]
        self._queues.publish(deliveries)
        return len(deliveries)

    def _look(self, connection: Connection) -> set[UUID]:
        rows = connection.execute(_OVERDUE, {"overdue": self._overdue})
        waiting = {row.id: row.queue for row in rows}
        if not waiting:
            return set()
        return waiting.keys() - self._queues.task_ids(set(waiting.values()))
