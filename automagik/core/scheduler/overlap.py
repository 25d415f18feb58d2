"""The unfinished tasks of schedules: how many there are, and their end by a newer run.

Who asks holds the lock of the schedules, so nobody else fires them meanwhile.
"""

from collections.abc import Mapping, Sequence
from uuid import UUID

from sqlalchemy import Connection, text

from automagik.core.database.session import CANCEL

UNFINISHED = "state IN ('pending', 'queued', 'running', 'waiting', 'paused')"

_COUNT = text(f"""
SELECT schedule_id, count(*) AS unfinished FROM tasks
WHERE schedule_id = ANY(:schedules) AND {UNFINISHED}
GROUP BY schedule_id
""")  # noqa: S608  (a constant)

# An occurrence whose clock was set back has its task already, and does not cancel it.
_CANCEL_OTHERS = text(f"""
WITH replaced AS (
    SELECT t.id, t.state FROM jsonb_to_recordset(CAST(:rows AS jsonb))
        AS r (schedule_id uuid, scheduled_for timestamptz)
    JOIN tasks t ON t.schedule_id = r.schedule_id
    WHERE t.{UNFINISHED} AND t.scheduled_for IS DISTINCT FROM r.scheduled_for
    ORDER BY t.id
    FOR NO KEY UPDATE OF t
), cancelled AS (
    UPDATE tasks SET state = 'cancelled', state_actor = :actor, state_reason = :reason,
        finished_at = now(), lease_expires_at = NULL
    FROM replaced WHERE tasks.id = replaced.id
    RETURNING tasks.id, replaced.state AS was
), ended AS (
    UPDATE task_attempts SET outcome = 'cancelled', finished_at = now()
    WHERE task_id IN (SELECT id FROM cancelled) AND outcome IS NULL
)
SELECT pg_notify(:channel, id::text) FROM cancelled WHERE was = 'running'
""")  # noqa: S608  (a constant)

_CANCEL_BUFFERED = text(f"""
UPDATE tasks SET state = 'cancelled', state_actor = 'schedule', finished_at = now(),
    state_reason = 'it waited for its turn in a schedule that was deleted'
WHERE schedule_id = :schedule_id AND waits_in_turn AND attempt = 0
    AND state IN ('pending', 'waiting')
    AND id > (
        SELECT id FROM tasks WHERE schedule_id = :schedule_id AND {UNFINISHED} ORDER BY id LIMIT 1
    )
""")  # noqa: S608  (a constant)

REPLACED = "replaced by a newer run of its schedule"


def count_unfinished(connection: Connection, schedules: Sequence[UUID]) -> Mapping[UUID, int]:
    """Schedules without any are left out."""
    if not schedules:
        return {}
    found = connection.execute(_COUNT, {"schedules": list(schedules)})
    return {row.schedule_id: row.unfinished for row in found}


def cancel_others(connection: Connection, rows: str, *, actor: str) -> None:
    """Ends all that is unfinished but the given occurrences; workers break off at commit.

    The rows are JSON: each with `schedule_id` and `scheduled_for`, one per schedule.
    """
    arguments = {"rows": rows, "actor": actor, "reason": REPLACED, "channel": CANCEL}
    connection.execute(_CANCEL_OTHERS, arguments)


def cancel_buffered(connection: Connection, schedule_id: UUID) -> None:
    """Before the schedule is deleted: without it they would all start at once."""
    connection.execute(_CANCEL_BUFFERED, {"schedule_id": schedule_id})
