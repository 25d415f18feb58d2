"""Which queues workers take from; and what was sent to the others comes back."""

from datetime import timedelta

from sqlalchemy import Connection, text

from automagik.core.scheduler.batch import BATCH

SEEN = """
SELECT taken.queue, CASE WHEN status = 'online' THEN slots ELSE 0 END AS slots
FROM workers CROSS JOIN LATERAL unnest(queues) AS taken (queue)
WHERE heartbeat_at > now() - :silence
"""
"""The queues of all workers that gave a sign of life lately, and their slots."""

_RECALL = text(f"""
WITH seen AS ({SEEN}), deserted AS (
    SELECT id FROM tasks
    WHERE state = 'queued' AND EXISTS (SELECT FROM seen)
        AND queue NOT IN (SELECT queue FROM seen)
    ORDER BY queued_at LIMIT :batch
    FOR NO KEY UPDATE SKIP LOCKED
)
UPDATE tasks SET state = 'waiting', state_actor = :actor,
    state_reason = 'no worker takes from its queue'
FROM deserted WHERE tasks.id = deserted.id
""")  # noqa: S608  (the part is a constant)


def recall(connection: Connection, *, silence: timedelta, actor: str) -> int:
    """Takes back what waits in queues that nobody takes from; returns how many, BATCH at most.

    It uses no attempt. Until then it holds the places of its source and of its flow, which runs in
    other queues need. While there is no worker at all nothing is taken back.
    """
    arguments = {"silence": silence, "actor": actor, "batch": BATCH}
    return connection.execute(_RECALL, arguments).rowcount
