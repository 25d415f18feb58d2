"""A worker takes a task: one statement, and whoever gets the row owns the attempt."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, text


@dataclass(frozen=True, kw_only=True, slots=True)
class Claimant:
    """Who claims: the row in `workers`, and the name that people see."""

    id: UUID
    name: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Claim:
    """An attempt that this worker owns, with all that the run needs."""

    task_id: UUID
    attempt: int
    max_attempts: int
    max_retries: int
    timeout: timedelta
    flow_name: str
    remote_flow_id: str
    schedule_name: str | None
    at_most_once: bool
    source_id: UUID
    source_name: str
    source_url: str
    api_key_encrypted: str | None
    input_value: str
    tweaks: dict[str, Any]
    session_id: str
    flow_version_id: UUID
    input_component: str | None
    output_component: str | None


# The attempt number is the fencing token: everything a worker writes later names it. The row is
# locked first: a worker may be faster than the commit of the beat that sent the delivery. It waits
# for it there and sees `queued`, where an UPDATE alone would see a `waiting` row and pass it by.
#
# What was sent before its source went down or its queue was paused is held back: it waits for beat
# again and uses no attempt. A source that is down gets nothing but the probe.
_CLAIM = text("""
WITH due AS (
    SELECT t.id, t.state, CASE
        WHEN s.breaker_opened_at IS NOT NULL AND s.breaker_probe_id IS DISTINCT FROM t.id
            THEN 'the source is down'
        WHEN q.paused_at IS NOT NULL THEN 'the queue is paused'
    END AS obstacle
    FROM tasks t
    JOIN sources s ON s.id = t.source_id
    LEFT JOIN queues q ON q.name = t.queue
    WHERE t.id = :task_id AND t.state IN ('pending', 'queued', 'waiting') AND t.run_at <= now()
    FOR NO KEY UPDATE OF t
), held_back AS (
    UPDATE tasks SET state = 'waiting', state_actor = :worker_name, state_reason = due.obstacle
    FROM due
    WHERE tasks.id = due.id AND due.state = 'queued' AND due.obstacle IS NOT NULL
), claimed AS (
    UPDATE tasks SET state = 'running', attempt = attempt + 1, worker_id = :worker_id,
        lease_expires_at = now() + :lease, started_at = now(),
        state_actor = :worker_name, state_reason = NULL,
        -- The source runs what it has now, which is the version we synced last.
        flow_version_id = flows.version_id
    FROM due, flows
    WHERE tasks.id = due.id AND due.state IN ('pending', 'queued') AND due.obstacle IS NULL
        AND flows.id = tasks.flow_id
    RETURNING tasks.*, flows.name AS flow_name, flows.remote_id AS remote_flow_id,
        flows.input_component, flows.output_component
), attempted AS (
    INSERT INTO task_attempts (task_id, attempt, worker_id, worker_name)
    SELECT id, attempt, :worker_id, :worker_name FROM claimed
)
SELECT t.id AS task_id, t.attempt, t.max_attempts, t.max_retries, t.timeout_seconds,
    t.at_most_once, t.source_id, t.input_value, t.tweaks,
    coalesce(t.session_id, t.id::text) AS session_id,
    t.flow_name, t.remote_flow_id, t.flow_version_id, t.input_component, t.output_component,
    s.name AS source_name, s.url AS source_url, s.api_key_encrypted, c.name AS schedule_name
FROM claimed t
JOIN sources s ON s.id = t.source_id
LEFT JOIN schedules c ON c.id = t.schedule_id
""")


def claim(
    connection: Connection, task_id: UUID, *, worker: Claimant, lease: timedelta
) -> Claim | None:
    """None when somebody else has it, it was cancelled, is not due, or was held back."""
    row = (
        connection.execute(
            _CLAIM,
            {
                "task_id": task_id,
                "worker_id": worker.id,
                "worker_name": worker.name,
                "lease": lease,
            },
        )
        .mappings()
        .one_or_none()
    )
    if row is None:
        return None
    values = dict(row)
    return Claim(timeout=timedelta(seconds=values.pop("timeout_seconds")), **values)
