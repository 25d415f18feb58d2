"""Sources that are full while tasks are due: beats want to hear when a run of one ends."""

import time
from collections.abc import Iterable, Mapping
from datetime import timedelta
from uuid import UUID

from sqlalchemy import Connection

from automagik.core.database.prepared import Prepared, uuids
from automagik.core.database.session import TO_WORKERS

REMEMBERED = timedelta(seconds=5)
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
SELECT id, is_full,
    CASE WHEN is_full AND id <> ALL(:but) THEN pg_notify(:channel, :prefix || id) END
FROM due
""",
    but="uuid[]",
    channel="text",
    prefix="text",
)


class FullSources:
    """What a worker process has heard from beats."""

    def __init__(self) -> None:
        self._until: dict[UUID, float] = {}

    def hear(self, payloads: Iterable[str]) -> None:
        """Of the channel to workers; all others are passed by."""
        now = time.monotonic()
        until = now + REMEMBERED.total_seconds()
        named = {source_id: until for source_id in map(_full_source, payloads) if source_id}
        if named:
            kept = {source_id: end for source_id, end in self._until.items() if end > now}
            self._until = kept | named

    def __contains__(self, source_id: UUID) -> bool:
        return self._until.get(source_id, 0) > time.monotonic()


def _full_source(payload: str) -> UUID | None:
    if not payload.startswith(_PREFIX):
        return None
    try:
        return UUID(payload.removeprefix(_PREFIX))
    except ValueError:
        return None


def ask_for_places(connection: Connection, *, but: Iterable[UUID] = ()) -> Mapping[UUID, bool]:
    """Asks the workers to wake the beats when a run of a full source ends.

    Returns the sources that have due tasks, and whether each is full. Nobody is asked about those
    in `but`.
    """
    due = _ASK.run(connection, but=uuids(but), channel=TO_WORKERS, prefix=_PREFIX)
    return {row["id"]: row["is_full"] for row in due}
