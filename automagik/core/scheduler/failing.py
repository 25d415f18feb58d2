"""Schedules whose last runs all failed, and that were told to pause then."""

import logging
from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

from sqlalchemy import Connection, text

from automagik.core.tasks.states import HAS_RUN

logger = logging.getLogger(__name__)

RECENT = timedelta(minutes=1)
"""Whoever looks every few seconds needs not look further back for failures."""

# A run that was cancelled says nothing about the flow, one of a backfill nothing about the present.
# What ended before the schedule was resumed or changed, which writes `updated_at`, is forgiven.
_FAILS = f"""
(
    SELECT count(*) = s.pause_after_failures AND bool_and(failed) FROM (
        SELECT t.state = 'failed' AND t.finished_at > greatest(s.counts_from, s.updated_at)
            AS failed
        FROM tasks t
        WHERE t.schedule_id = s.id AND t.{HAS_RUN} AND t.backfill_id IS NULL
        ORDER BY t.id DESC LIMIT s.pause_after_failures
    ) ended
)
"""  # noqa: S608  (a constant)

_FAILING = text(f"""
SELECT s.id FROM schedules s WHERE s.id = ANY(:schedules) AND {_FAILS}
""")  # noqa: S608  (a constant)

# Only schedules are looked at of which a run has just failed: there are few.
_HAVE_FAILED = text(f"""
SELECT s.id, s.name, s.pause_after_failures FROM schedules s
WHERE s.status = 'active' AND s.pause_after_failures IS NOT NULL AND s.id IN (
    SELECT schedule_id FROM tasks WHERE state = 'failed' AND finished_at > now() - :recent
) AND {_FAILS}
FOR NO KEY UPDATE SKIP LOCKED
""")  # noqa: S608  (a constant)

_PAUSE = text("""
UPDATE schedules SET status = 'paused', status_reason = :reason, held_from = next_run_at,
    next_run_at = NULL
WHERE id = :id
""")


def why_paused(failures: int) -> str:
    return "its last run failed" if failures == 1 else f"its last {failures} runs failed"


def failing(connection: Connection, schedules: Sequence[UUID]) -> frozenset[UUID]:
    """Which of them are to be paused."""
    if not schedules:
        return frozenset()
    return frozenset(connection.scalars(_FAILING, {"schedules": list(schedules)}))


def pause_failing(connection: Connection) -> int:
    """Pauses those whose last runs have just failed, before they are due; returns how many.

    A beat that was away at that moment sees it when it fires.
    """
    found = connection.execute(_HAVE_FAILED, {"recent": RECENT}).all()
    for row in found:
        reason = why_paused(row.pause_after_failures)
        connection.execute(_PAUSE, {"id": row.id, "reason": reason})
        about = {"schedule": row.name}
        logger.warning("Schedule %s is paused: %s", row.name, reason, extra=about)
    return len(found)
