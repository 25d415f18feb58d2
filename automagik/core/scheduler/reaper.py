"""What is left behind: leases that ended, workers that fell silent, history that is too old."""

from datetime import timedelta

from sqlalchemy import Connection, text

BATCH = 500

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
        state = CASE WHEN attempt < max_attempts THEN 'waiting' ELSE 'failed' END,
        finished_at = CASE WHEN attempt < max_attempts THEN NULL ELSE now() END,
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

_TOO_OLD = text("""
DELETE FROM tasks WHERE id IN (
    SELECT id FROM tasks WHERE finished_at < now() - :age
    ORDER BY finished_at LIMIT :batch FOR UPDATE SKIP LOCKED
)
""")

WORKER_LOST = "AM-WORKER-LOST"


def reap(connection: Connection, *, lease: timedelta, actor: str) -> int:
    """Ends the attempts whose lease is over; returns how many.

    A lost worker counts as an attempt, so a flow that kills its worker each time comes to an end.
    """
    arguments = {"lease": lease, "batch": BATCH, "actor": actor, "code": WORKER_LOST}
    return connection.execute(_EXPIRED, arguments).rowcount


def mark_lost_workers(connection: Connection, *, silence: timedelta) -> int:
    return connection.execute(_SILENT_WORKERS, {"silence": silence}).rowcount


def prune(connection: Connection, *, age: timedelta) -> int:
    """Deletes one batch of tasks that finished longer ago, with their history; returns how many."""
    return connection.execute(_TOO_OLD, {"age": age, "batch": BATCH}).rowcount
