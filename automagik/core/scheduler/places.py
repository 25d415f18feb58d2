"""How many runs each source may get now: its parallel runs, its rate and its breaker.

One that is disabled gets none.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, Row, text

from automagik.core.scheduler.rate import TOLERANCE, Rate

PROBE_PATIENCE = timedelta(minutes=1)
"""After which another probe goes out, if nothing was heard of the one before."""

# Also when the last probe ended without a word about the source: it was cancelled, throttled, given
# back or lost.
_MAY_BE_TRIED = """
(s.breaker_probe_at IS NULL OR s.breaker_probe_at <= now()
    OR s.breaker_probe_id IS NOT NULL AND NOT EXISTS (
        SELECT FROM tasks p WHERE p.id = s.breaker_probe_id
            AND (p.state IN ('queued', 'running') OR p.state = 'waiting' AND p.run_at > now())
    ))
"""

# A source's row lock makes its limits hold with any number of beats: only one of them counts and
# sends for a source at a time. Tasks of other sources go out meanwhile through the other beats.
# It is not FOR UPDATE, which would make everybody wait who inserts a task of the source. A source
# without a free place is not locked: a beat with a backlog looks many times a second.
_LOCK_SOURCES = text(f"""
SELECT s.id FROM sources s
WHERE s.disabled_at IS NULL AND {_MAY_BE_TRIED}
AND (s.rate_used_until IS NULL OR s.rate_used_until <= now() + :tolerance)
AND EXISTS (
    SELECT FROM tasks t
    WHERE t.source_id = s.id AND t.state IN ('pending', 'waiting') AND t.run_at <= now()
) AND (s.breaker_opened_at IS NOT NULL OR s.max_parallel_runs > (
    SELECT count(*) FROM tasks u WHERE u.source_id = s.id AND u.state IN ('queued', 'running')
))
FOR NO KEY UPDATE SKIP LOCKED
""")  # noqa: S608  (the part is a constant)

# A statement of its own: it must see what was committed before the lock was given to us.
_COUNT = text(f"""
SELECT s.id, s.max_runs_per_minute, s.rate_used_until, now() AS now,
    s.breaker_opened_at IS NOT NULL AS probes,
    s.max_parallel_runs - (
        SELECT count(*) FROM tasks u WHERE u.source_id = s.id AND u.state IN ('queued', 'running')
    ) AS free
FROM sources s WHERE s.id = ANY(:ids) AND s.disabled_at IS NULL AND {_MAY_BE_TRIED}
""")  # noqa: S608  (the part is a constant)

_USE_RATE = text("UPDATE sources SET rate_used_until = :used_until WHERE id = :id")

_SEND_PROBE = text("""
UPDATE sources SET breaker_probe_id = :task_id, breaker_probe_at = now() + :patience
WHERE id = :id
""")


@dataclass(frozen=True, kw_only=True, slots=True)
class Places:
    """What one source, whose row is locked, may get now."""

    source_id: UUID
    free: int
    probes: bool
    """Its breaker is open, and one run may try whether it is back."""
    rate: Rate | None
    now: datetime

    def use(self, connection: Connection, task_ids: Sequence[UUID]) -> None:
        """Keeps in the source's row what these runs used."""
        if self.probes:
            arguments = {"id": self.source_id, "task_id": task_ids[0], "patience": PROBE_PATIENCE}
            connection.execute(_SEND_PROBE, arguments)
        if self.rate is not None:
            used_until = self.rate.used_until_after(len(task_ids), self.now)
            connection.execute(_USE_RATE, {"id": self.source_id, "used_until": used_until})


def lock_places(connection: Connection) -> list[Places]:
    """Of the sources that have due tasks and take runs; others' beats pass them by until commit."""
    ids = connection.scalars(_LOCK_SOURCES, {"tolerance": TOLERANCE}).all()
    if not ids:
        return []
    places = [_places(row) for row in connection.execute(_COUNT, {"ids": ids})]
    return [place for place in places if place.free > 0]


def _places(row: Row[Any]) -> Places:
    limit = row.max_runs_per_minute
    rate = None if limit is None else Rate(runs_per_minute=limit, used_until=row.rate_used_until)
    free = 1 if row.probes else row.free
    return Places(
        source_id=row.id,
        free=free if rate is None else min(free, rate.allows(row.now)),
        probes=row.probes,
        rate=rate,
        now=row.now,
    )
