"""A worker takes a task: one statement, and whoever gets the row owns the attempt."""

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, text

from automagik.core.database.prepared import Prepared, uuids


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
    started_at: datetime
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
    run_at: datetime
    traceparent: str | None


_CLAIMABLE = """
SELECT id FROM tasks
WHERE id = ANY(:task_ids) AND state IN ('pending', 'queued', 'waiting') AND run_at <= now()
"""

# A statement of its own: a worker may be faster than the commit of the beat that sent the delivery.
# What it reads once it has the lock is what beat has written: the state of the task, and that it
# is the probe of its source.
_LOCK = Prepared("lock", f"{_CLAIMABLE} FOR NO KEY UPDATE", task_ids="uuid[]")
_LOCK_FREE = Prepared("lock_free", f"{_CLAIMABLE} FOR NO KEY UPDATE SKIP LOCKED", task_ids="uuid[]")
_LOOK = Prepared("look_at_claimable", _CLAIMABLE, task_ids="uuid[]")

# The attempt number is the fencing token: everything a worker writes later names it.
#
# What was sent before its source went down or was disabled, or its queue was paused, is held back:
# it waits for beat again and uses no attempt. A source that is down gets nothing but the probe.
_CLAIM = Prepared(
    "claim",
    """
WITH due AS (
    SELECT t.id, t.state, CASE
        WHEN s.disabled_at IS NOT NULL THEN 'the source is disabled'
        WHEN s.breaker_opened_at IS NOT NULL AND s.breaker_probe_id IS DISTINCT FROM t.id
            THEN 'the source is down'
        WHEN q.paused_at IS NOT NULL THEN 'the queue is paused'
    END AS obstacle
    FROM tasks t
    JOIN sources s ON s.id = t.source_id
    LEFT JOIN queues q ON q.name = t.queue
    WHERE t.id = ANY(:task_ids)
), held_back AS (
    UPDATE tasks SET state = 'waiting', state_actor = :worker_name, state_reason = due.obstacle
    FROM due
    WHERE tasks.id = due.id AND due.state = 'queued' AND due.obstacle IS NOT NULL
), claimed AS (
    UPDATE tasks SET state = 'running', attempt = attempt + 1, worker_id = :worker_id,
        lease_expires_at = statement_timestamp() + :lease, started_at = statement_timestamp(),
        state_actor = :worker_name, state_reason = NULL,
        -- The source runs what it has now, which is the version we synced last.
        flow_version_id = flows.version_id,
        -- Only of runs that have none: their trace begins here.
        traceparent = coalesce(tasks.traceparent, :traceparents ->> tasks.id::text)
    FROM due, flows
    WHERE tasks.id = due.id AND due.state IN ('pending', 'queued') AND due.obstacle IS NULL
        AND flows.id = tasks.flow_id
    RETURNING tasks.*, flows.name AS flow_name, flows.remote_id AS remote_flow_id,
        flows.input_component, flows.output_component
), attempted AS (
    INSERT INTO task_attempts (task_id, attempt, worker_id, worker_name, started_at)
    SELECT id, attempt, :worker_id, :worker_name, started_at FROM claimed
)
SELECT t.id AS task_id, t.attempt, t.started_at, t.max_attempts, t.max_retries,
    make_interval(secs => t.timeout_seconds) AS timeout,
    t.at_most_once, t.source_id, t.input_value, t.tweaks,
    coalesce(t.session_id, t.id::text) AS session_id,
    t.flow_name, t.remote_flow_id, t.flow_version_id, t.input_component, t.output_component,
    t.run_at, t.traceparent,
    s.name AS source_name, s.url AS source_url, s.api_key_encrypted, c.name AS schedule_name
FROM claimed t
JOIN sources s ON s.id = t.source_id
LEFT JOIN schedules c ON c.id = t.schedule_id
""",
    task_ids="uuid[]",
    worker_id="uuid",
    worker_name="text",
    lease="interval",
    traceparents="jsonb",
)

NO_TRACES: Mapping[UUID, str] = {}


def claim(
    connection: Connection,
    task_id: UUID,
    *,
    worker: Claimant,
    lease: timedelta,
    traceparents: Mapping[UUID, str] = NO_TRACES,
) -> Claim | None:
    """None when somebody else has it, it was cancelled, is not due, or was held back.

    Waits while somebody holds its row. `traceparents` are for those that have none.
    """
    if not _LOCK.run(connection, task_ids=uuids([task_id])):
        return None
    made = _claim(connection, [task_id], worker=worker, lease=lease, traceparents=traceparents)
    return made.get(task_id)


@dataclass(frozen=True, kw_only=True, slots=True)
class Claims:
    """What became of deliveries that were claimed together."""

    made: Mapping[UUID, Claim]
    held: Collection[UUID]
    """Of tasks whose rows somebody else holds, so that nothing is known of them yet."""


def claim_free(
    connection: Connection,
    task_ids: Collection[UUID],
    *,
    worker: Claimant,
    lease: timedelta,
    traceparents: Mapping[UUID, str] = NO_TRACES,
) -> Claims:
    """Like `claim`, for many tasks at once and without waiting for anybody."""
    free = _ids(_LOCK_FREE.run(connection, task_ids=uuids(task_ids)))
    made: dict[UUID, Claim] = {}
    if free:
        made = _claim(connection, free, worker=worker, lease=lease, traceparents=traceparents)
    rest = set(task_ids) - free
    held = _ids(_LOOK.run(connection, task_ids=uuids(rest))) if rest else set()
    return Claims(made=made, held=held)


def _claim(
    connection: Connection,
    task_ids: Iterable[UUID],
    *,
    worker: Claimant,
    lease: timedelta,
    traceparents: Mapping[UUID, str],
) -> dict[UUID, Claim]:
    """Of tasks that are locked."""
    rows = _CLAIM.run(
        connection,
        task_ids=uuids(task_ids),
        worker_id=str(worker.id),
        worker_name=worker.name,
        lease=lease,
        traceparents=_as_json(traceparents) if traceparents else None,
    )
    return {row["task_id"]: Claim(**row) for row in rows}


def _as_json(traceparents: Mapping[UUID, str]) -> str:
    return json.dumps({str(task_id): each for task_id, each in traceparents.items()})


def _ids(rows: Sequence[Mapping[str, Any]]) -> set[UUID]:
    return {row["id"] for row in rows}


_WAS_CLAIMED = text("""
SELECT EXISTS (
    SELECT FROM tasks
    WHERE id = :task_id AND attempt = :attempt AND state = 'running' AND started_at = :started_at
)
""")


def was_claimed(connection: Connection, claim: Claim) -> bool:
    """Whether an earlier try was committed although its connection broke before it could say so.

    The instant tells it from the claim of another delivery of the task.
    """
    arguments = {
        "task_id": claim.task_id,
        "attempt": claim.attempt,
        "started_at": claim.started_at,
    }
    return bool(connection.scalar(_WAS_CLAIMED, arguments))
