"""Tasks of schedules come into being: one statement for a whole batch."""

from collections.abc import Mapping, Sequence
from typing import Any

import orjson
from sqlalchemy import Connection, text

from automagik.core.config import Settings
from automagik.core.tracing import switch

# Inputs, which may be large, do not leave the database, unless a row brings its own. An occurrence
# that has a task already keeps it, and so does what follows the end of a task.
#
# PostgreSQL cannot know how few the rows are. OFFSET keeps it from reading all schedules for them.
INSERT = """
INSERT INTO tasks (id, flow_id, flow_version_id, source_id, schedule_id, scheduled_for, backfill_id,
    parent_task_id, parent_attempt, run_at, input_value, tweaks, session_id, priority, queue,
    at_most_once, in_turn, max_retries, max_attempts, timeout_seconds, state_actor, state_reason,
    traceparent)
SELECT r.id, f.id, f.version_id, f.source_id, s.id, r.scheduled_for, r.backfill_id,
    r.parent_task_id, r.parent_attempt, coalesce(r.run_at, now()),
    coalesce(r.input_value, s.input_value), s.tweaks, s.session_id,
    greatest(coalesce(s.priority, f.priority, 0) - coalesce(r.yields, 0), -1000),
    coalesce(s.queue, f.queue, :queue), coalesce(s.at_most_once, f.at_most_once),
    coalesce(r.in_turn, false), limits.retries, limits.retries + 1,
    coalesce(s.timeout_seconds, f.timeout_seconds, :timeout_seconds), :actor, r.state_reason,
    r.traceparent
FROM jsonb_to_recordset(:tasks) AS r (id uuid, schedule_id uuid,
    scheduled_for timestamptz, backfill_id uuid, parent_task_id uuid, parent_attempt int,
    run_at timestamptz, input_value text, yields int, in_turn boolean, state_reason text,
    traceparent text)
CROSS JOIN LATERAL (SELECT * FROM schedules WHERE id = r.schedule_id OFFSET 0) s
JOIN flows f ON f.id = s.flow_id
CROSS JOIN LATERAL (SELECT coalesce(s.max_retries, f.max_retries, :max_retries)) limits (retries)
ON CONFLICT DO NOTHING
"""
TYPES = {
    "tasks": "jsonb",
    "actor": "text",
    "queue": "text",
    "max_retries": "int",
    "timeout_seconds": "double precision",
}
_INSERT = text(INSERT)


def insert_tasks(
    connection: Connection, tasks: Sequence[Mapping[str, Any]], *, settings: Settings, actor: str
) -> int:
    """Each by `id`, `schedule_id` and what else is known of it; returns how many are new.

    What a task does not say comes from its schedule, then from the flow, then from the settings.
    Its priority is lowered by `yields`.
    """
    if not tasks:
        return 0
    made = connection.execute(_INSERT, arguments(tasks, settings=settings, actor=actor))
    return made.rowcount


def arguments(
    tasks: Sequence[Mapping[str, Any]], *, settings: Settings, actor: str
) -> dict[str, Any]:
    """Of INSERT."""
    traces = switch.current()
    return {
        "tasks": as_json(tasks if traces is None else traces.begun(tasks)),
        "actor": actor,
        "queue": settings.queue,
        "max_retries": settings.max_retries,
        "timeout_seconds": settings.run_timeout_seconds,
    }


def as_json(rows: Sequence[Mapping[str, Any]]) -> str:
    """As `jsonb_to_recordset` reads them."""
    return orjson.dumps(rows).decode()
