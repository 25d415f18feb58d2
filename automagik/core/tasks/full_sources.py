"""Sources that are full while tasks are due: beats want to hear when a run of one ends."""

import time
from collections.abc import Iterable
from datetime import timedelta
from uuid import UUID

from sqlalchemy import Connection

from automagik.core.database.prepared import Prepared
from automagik.core.database.session import TO_WORKERS

REMEMBERED = timedelta(seconds=3)
"""After which a worker tells no more, if it is not asked again."""

_PREFIX = "full:"

_ASK = Prepared(
    "ask_for_places",
    """
WITH due AS MATERIALIZED (
    SELECT s.id, s.max_parallel_runs <= (
        SELECT count(*) FROM tasks u WHERE u.source_id = s.id AND u.state IN ('queued', 'running')
    ) AS is_full
    FROM sources s WHERE s.disabled_at IS NULL AND (
        SELECT true FROM tasks t
        WHERE t.source_id = s.id AND t.state IN ('pending', 'waiting') AND t.run_at <= now()
        ORDER BY t.queue, t.waits_in_turn, t.turn_at LIMIT 1
    )
)
SELECT is_full, CASE WHEN is_full THEN pg_notify(:channel, :prefix || id) END, least(:longest, (
    SELECT min(run_at) FROM tasks WHERE state IN ('pending', 'waiting') AND run_at > now()
) - now()) AS until_next
FROM due
""",
    channel="text",
    prefix="text",
    longest="interval",
)


class FullSources:
    """What a worker process has heard from beats."""

    def __init__(self) -> None:
        self._until: dict[UUID, float] = {}

    def hear(self, payloads: Iterable[str]) -> None:
        """Of the channel to workers; all others are passed by."""
        until = time.monotonic() + REMEMBERED.total_seconds()
        named = [payload.removeprefix(_PREFIX) for payload in payloads if _is_source(payload)]
        self._until.update(dict.fromkeys(map(UUID, named), until))

    def __contains__(self, source_id: UUID) -> bool:
        return self._until.get(source_id, 0) > time.monotonic()


def _is_source(payload: str) -> bool:
    return payload.startswith(_PREFIX)


def ask_for_places(connection: Connection, *, longest: timedelta) -> timedelta | None:
    """Asks the workers to wake the beats when a run of a full source ends.

    Returns how long no other task is due, or None when some task that is due waits for another
    reason than a full source.
    """
    due = _ASK.run(connection, channel=TO_WORKERS, prefix=_PREFIX, longest=longest)
    is_told = due and all(row["is_full"] for row in due)
    return due[0]["until_next"] if is_told else None
