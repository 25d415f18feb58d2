"""The breaker of a source: after failures in a row it gets no runs but probes.

    closed ──▶ open         so many attempts in a row found the source down
    open   ──▶ open         a probe found it down as well: the pause before the next one doubles
    open   ──▶ closed       an attempt was answered

Tasks of an open source wait and use no attempts. What was sent before comes back from the claim.
"""

import logging
from datetime import timedelta
from uuid import UUID

from sqlalchemy import Connection, text

logger = logging.getLogger(__name__)

LONGEST_PAUSE = timedelta(minutes=1)

# Runs that were under way when it opened say nothing new: only the probe's failure counts.
_FOUND_DOWN = text("""
UPDATE sources SET
    breaker_failures = breaker_failures + 1,
    breaker_reason = :reason,
    breaker_opened_at = CASE WHEN breaker_failures + 1 >= :failures
        THEN coalesce(breaker_opened_at, now()) END,
    breaker_probe_at = CASE WHEN breaker_failures + 1 >= :failures
        THEN now() + least(:longest, :pause * (2 ^ least(breaker_failures + 1 - :failures, 20)))
        END,
    breaker_probe_id = NULL
WHERE id = :source_id AND (breaker_opened_at IS NULL OR breaker_probe_id = :task_id)
RETURNING name, breaker_failures = :failures AS opened
""")

IS_COUNTING = "(breaker_failures > 0 OR breaker_opened_at IS NOT NULL)"
"""Of a source: its last attempt was not answered."""

CLOSE = f"""
UPDATE sources SET breaker_failures = 0, breaker_opened_at = NULL, breaker_probe_at = NULL,
    breaker_probe_id = NULL, breaker_reason = NULL
WHERE id IN ({{sources}}) AND {IS_COUNTING}
"""  # noqa: S608  (the part is a constant)
"""After an attempt that was answered. Nearly always there is nothing to change."""


def found_down(
    connection: Connection,
    source_id: UUID,
    *,
    task_id: UUID,
    reason: str,
    failures: int,
    pause: timedelta,
) -> None:
    """Opens the breaker after so many failures in a row, for the pause at first."""
    arguments = {
        "source_id": source_id,
        "task_id": task_id,
        "reason": reason,
        "failures": failures,
        "pause": pause,
        "longest": LONGEST_PAUSE,
    }
    row = connection.execute(_FOUND_DOWN, arguments).one_or_none()
    if row is not None and row.opened:
        words = "Source %s is down: its tasks wait and one by one try it"
        logger.warning(words, row.name, extra={"source": row.name})
