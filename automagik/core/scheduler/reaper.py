"""What is left behind: leases that ended, workers that fell silent."""

from datetime import timedelta

from sqlalchemy import Connection, text

from automagik.core.scheduler.batch import BATCH
from automagik.core.tasks.outcome import WORKER_LOST

# A PostgreSQL that was away kept every worker from extending its leases: after a start they all
# have one more lease to report.
_EXPIRED = text("""
WITH expired AS (
    SELECT id FROM tasks
    WHERE state = 'running' AND lease_expires_at < now()
        AND pg_postmaster_start_time() < now() - :lease
    ORDER BY lease_expires_at LIMIT :batch
    FOR UPDATE SKIP LOCKED
), reaped AS (
    UPDATE tasks SET
        state = CASE WHEN attempt < max_attempts AND NOT at_most_once
            THEN 'waiting' ELSE 'failed' END,
        finished_at = CASE WHEN attempt < max_attempts AND NOT at_most_once
            THEN NULL ELSE now() END,
        state_actor = :actor, state_reason = 'worker lost', lease_expires_at = NULL,
        error_code = :code, error_message = 'The worker stopped giving signs of life.',
        run_at = now()
    WHERE id IN (SELECT id FROM expired)
    RETURNING id, attempt
)
UPDATE task_attempts SET finished_at = now(), outcome = 'worker_lost', error_code = :code,
    error_message = 'The worker stopped giving signs of life.'
FROM reaped WHERE task_id = reaped.id AND task_attempts.attempt = reaped.attempt
""")

_SILENT_WORKERS = text("""
UPDATE workers SET status = 'lost', stopped_at = now()
WHERE status IN ('online', 'draining') AND heartbeat_at < now() - :silence
""")


def reap(connection: Connection, *, lease: timedelta, actor: str) -> int:
    """Ends the attempts whose lease is over; returns how many.

    A lost worker counts as an attempt, so a flow that kills its worker each time comes to an end.
    A task that runs at most once has failed: nobody knows whether its flow was called.
    """
    arguments = {"lease": lease, "batch": BATCH, "actor": actor, "code": WORKER_LOST}
    return connection.execute(_EXPIRED, arguments).rowcount


def mark_lost_workers(connection: Connection, *, silence: timedelta) -> int:
    return connection.execute(_SILENT_WORKERS, {"silence": silence}).rowcount
