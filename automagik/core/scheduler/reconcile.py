"""Deliveries that Redis has lost go out again."""

from datetime import timedelta

from sqlalchemy import Connection, text

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


def reconcile(connection: Connection, queues: ReadyQueues, *, overdue: timedelta) -> int:
    """Sends again what is marked queued but is not in Redis; returns how many.

    Redis may have been flushed, restarted or failed over, or a worker died after taking a delivery
    and before claiming its task. A delivery that still waits in Redis is left alone, however long.
    """
    waiting = {row.id: row.queue for row in connection.execute(_OVERDUE, {"overdue": overdue})}
    lost = waiting.keys() - queues.task_ids(set(waiting.values())) if waiting else set()
    if not lost:
        return 0
    rows = connection.execute(_MARK_SENT_AGAIN, {"ids": [*lost], "overdue": overdue}).mappings()
    deliveries = [Delivery(**row) for row in rows]
    queues.publish(deliveries)
    return len(deliveries)
