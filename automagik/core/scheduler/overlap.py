"""The unfinished tasks of schedules: how many there are, and their end by a newer run.

Backfills keep out of the way of live runs, and these do not look at them. Who asks holds the lock
of the schedules, so nobody else fires them meanwhile.
"""

from collections.abc import Mapping, Sequence
from uuid import UUID

from sqlalchemy import Connection, text

from automagik.core.exceptions import Conflict
from automagik.core.scheduler.new_tasks import as_json
from automagik.core.scheduler.policies import Overlap
from automagik.core.tasks.by_hand import cancel_all

UNFINISHED = "state IN ('pending', 'queued', 'running', 'waiting', 'paused')"

_COUNT = text(f"""
SELECT schedule_id, count(*) AS unfinished FROM tasks
WHERE schedule_id = ANY(:schedules) AND {UNFINISHED} AND backfill_id IS NULL
GROUP BY schedule_id
""")  # noqa: S608  (a constant)

# An occurrence whose clock was set back has its task already, and does not cancel it.
_OTHERS = text(f"""
SELECT t.id FROM jsonb_to_recordset(CAST(:rows AS jsonb))
    AS r (schedule_id uuid, scheduled_for timestamptz)
JOIN tasks t ON t.schedule_id = r.schedule_id
WHERE t.{UNFINISHED} AND t.backfill_id IS NULL
    AND (r.scheduled_for IS NULL OR t.scheduled_for IS DISTINCT FROM r.scheduled_for)
ORDER BY t.id
FOR NO KEY UPDATE OF t
""")  # noqa: S608  (a constant)

_BUFFERED = text(f"""
SELECT id FROM tasks
WHERE schedule_id = :schedule_id AND waits_in_turn AND attempt = 0
    AND state IN ('pending', 'waiting')
    AND id > (
        SELECT id FROM tasks
        WHERE schedule_id = :schedule_id AND {UNFINISHED} AND backfill_id IS NULL
        ORDER BY id LIMIT 1
    )
ORDER BY id
FOR NO KEY UPDATE
""")  # noqa: S608  (a constant)

# Who begins to run meanwhile goes on.
_BACKFILLED = text("""
SELECT id FROM tasks
WHERE backfill_id = ANY(:backfills) AND state IN ('pending', 'queued', 'waiting', 'paused')
ORDER BY id
FOR NO KEY UPDATE
""")

_HOLD = text("SELECT id FROM schedules WHERE id = :schedule_id FOR NO KEY UPDATE")

_BACKFILLS = text("SELECT id FROM backfills WHERE schedule_id = :schedule_id")

# Left to the deletion of the schedule, the tasks cancelled above would name for a moment what is
# not there any more.
_FORGET_BACKFILLS = text("DELETE FROM backfills WHERE schedule_id = :schedule_id")

REPLACED = "replaced by a newer run of its schedule"


def count_unfinished(connection: Connection, schedules: Sequence[UUID]) -> Mapping[UUID, int]:
    """Schedules without any are left out."""
    if not schedules:
        return {}
    found = connection.execute(_COUNT, {"schedules": list(schedules)})
    return {row.schedule_id: row.unfinished for row in found}


def cancel_others(connection: Connection, rows: str, *, actor: str) -> None:
    """Ends all that is unfinished but the given occurrences; workers break off at commit.

    The rows are JSON: each with `schedule_id` and, unless it was started otherwise, with
    `scheduled_for`, one per schedule.
    """
    others = connection.scalars(_OTHERS, {"rows": rows}).all()
    cancel_all(connection, others, actor=actor, reason=REPLACED)


def admit(connection: Connection, schedule: UUID, overlap: Overlap, *, actor: str) -> bool:
    """Whether a run by hand waits for its turn; what it replaces is cancelled.

    Holds the schedule until the transaction ends, so that no beat fires it meanwhile. Raises
    Conflict when the policy does not let it begin.
    """
    connection.execute(_HOLD, {"schedule_id": schedule})
    if overlap.replaces:
        row = {"schedule_id": schedule, "scheduled_for": None}
        cancel_others(connection, as_json([row]), actor=actor)
    unfinished = count_unfinished(connection, [schedule]).get(schedule, 0)
    if overlap.most is not None and unfinished >= overlap.most:
        raise Conflict(
            f"The run is left out by the overlap policy {overlap}: {_why_full(unfinished)}.",
            hint="Start it all the same with: --overlap allow-all",
        )
    return overlap.waits


def _why_full(unfinished: int) -> str:
    if unfinished == 1:
        return "another run of the schedule is unfinished"
    return f"{unfinished} runs of the schedule are unfinished"


def cancel_buffered(connection: Connection, schedule_id: UUID) -> None:
    """Before the schedule is deleted: without it they would all start at once.

    Its backfills go first; what they have made and does not run is cancelled.
    """
    buffered = connection.scalars(_BUFFERED, {"schedule_id": schedule_id}).all()
    reason = "it waited for its turn in a schedule that was deleted"
    cancel_all(connection, buffered, actor="schedule", reason=reason)
    backfills = connection.scalars(_BACKFILLS, {"schedule_id": schedule_id}).all()
    reason = "it was part of a backfill of a schedule that was deleted"
    cancel_backfilled(connection, backfills, actor="schedule", reason=reason)
    if backfills:
        connection.execute(_FORGET_BACKFILLS, {"schedule_id": schedule_id})


def cancel_backfilled(
    connection: Connection, backfills: Sequence[UUID], *, actor: str, reason: str
) -> None:
    """Their tasks but for those that run. Who asks holds the lock of the schedule."""
    if backfills:
        tasks = connection.scalars(_BACKFILLED, {"backfills": list(backfills)}).all()
        cancel_all(connection, tasks, actor=actor, reason=reason)
