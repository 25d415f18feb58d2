"""How many runs each source may get now: its parallel runs, its rate and its breaker.

One that is disabled gets none.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, text

from automagik.core.scheduler.rate import Rate

PROBE_PATIENCE = timedelta(minutes=1)
"""After which another probe goes out, if nothing was heard of the one before."""

# Also when the last probe ended without a word about the source: it was cancelled, throttled, given
# back or lost.
_MAY_BE_TRIED = """
(s.breaker_probe_at IS NULL OR s.breaker_probe_at <= now()
    OR s.breaker_probe_id IS NOT NULL AND NOT coalesce((
        SELECT p.state IN ('queued', 'running') OR p.state = 'waiting' AND p.run_at > now()
        FROM tasks p WHERE p.id = s.breaker_probe_id
    ), false))
"""

_UNDER_WAY = """
SELECT count(*) FROM tasks u WHERE u.source_id = s.id AND u.state IN ('queued', 'running')
"""

# A source's row lock makes its limits hold with any number of beats: only one of them counts and
# sends for a source at a time. Tasks of other sources go out meanwhile through the other beats.
# It is not FOR UPDATE, which would make everybody wait who inserts a task of the source. A source
# without a free place is not locked: a beat with a backlog looks many times a second.
#
# Whether a source has a due task tells the first of its own, not the first of all: those of another
# one that gets no runs may be a million.
LOCK_SOURCES = f"""
SELECT s.id, s.max_runs_per_minute, s.rate_used_until, now() AS now,
    s.breaker_opened_at IS NOT NULL AS probes
FROM sources s
WHERE s.disabled_at IS NULL AND {_MAY_BE_TRIED}
AND (s.rate_used_until IS NULL OR s.rate_used_until <= now() + :tolerance)
AND (
    SELECT true FROM tasks t
    WHERE t.source_id = s.id AND t.state IN ('pending', 'waiting') AND t.run_at <= now()
    ORDER BY t.queue, t.waits_in_turn, t.turn_at LIMIT 1
) AND (s.breaker_opened_at IS NOT NULL OR s.max_parallel_runs > ({_UNDER_WAY}))
FOR NO KEY UPDATE SKIP LOCKED
"""  # noqa: S608  (the parts are constants)
"""Those that have due tasks and take runs; other beats pass them by until commit."""

FREE = f"""
SELECT s.id AS source_id, least(
    allowed.most,
    CASE WHEN s.breaker_opened_at IS NULL THEN s.max_parallel_runs - ({_UNDER_WAY}) ELSE 1 END
) AS free
FROM unnest(:sources, :most) AS allowed (source_id, most)
JOIN sources s ON s.id = allowed.source_id
WHERE s.disabled_at IS NULL AND {_MAY_BE_TRIED}
"""  # noqa: S608  (the parts are constants)
"""How many runs each of the locked sources may get; nothing or less where there is no free place.

In a statement after the lock: it must see what was committed before the lock was given to us.
"""

_USE_RATE = text("UPDATE sources SET rate_used_until = :used_until WHERE id = :id")

_SEND_PROBE = text("""
UPDATE sources SET breaker_probe_id = :task_id, breaker_probe_at = now() + :patience
WHERE id = :id
""")


@dataclass(frozen=True, kw_only=True, slots=True)
class Locked:
    """A source whose row is locked."""

    id: UUID
    probes: bool
    """Its breaker is open, and one run may try whether it is back."""
    rate: Rate | None
    now: datetime

    @property
    def most(self) -> int | None:
        """So many runs its rate allows; None: any number."""
        return None if self.rate is None else self.rate.allows(self.now)

    def use(self, connection: Connection, task_ids: Sequence[UUID]) -> None:
        """Keeps in the source's row what these runs used."""
        if self.probes:
            arguments = {"id": self.id, "task_id": task_ids[0], "patience": PROBE_PATIENCE}
            connection.execute(_SEND_PROBE, arguments)
        if self.rate is not None:
            used_until = self.rate.used_until_after(len(task_ids), self.now)
            connection.execute(_USE_RATE, {"id": self.id, "used_until": used_until})


def locked_source(row: Mapping[str, Any]) -> Locked:
    """Of a row of LOCK_SOURCES."""
    limit, used_until = row["max_runs_per_minute"], row["rate_used_until"]
    rate = None if limit is None else Rate(runs_per_minute=limit, used_until=used_until)
    return Locked(id=row["id"], probes=row["probes"], rate=rate, now=row["now"])
