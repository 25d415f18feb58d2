"""Which events were read already: each is to be counted once, and none is to be missed.

Ids of events are given in order and committed in any order. So what lies below the newest id that
was read, and was not there, is remembered as a gap and looked for again, until every transaction
that was under way when it was first seen has ended: who had taken the id has then rolled back.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, Row, text

MOST_EVENTS = 100_000
"""So many are read at a time."""
_MOST_GAPS = 10_000

# `age` counts from the next transaction id, which no other function tells without taking one. Its
# 32 bits are completed by those of the snapshot.
_BOUNDS = text("""
SELECT CAST(CAST(pg_snapshot_xmin(pg_current_snapshot()) AS text) AS bigint) AS oldest_transaction,
    CAST(CAST(pg_snapshot_xmax(pg_current_snapshot()) AS text) AS bigint) AS completed,
    age(CAST('3' AS xid)) + 3 AS next,
    coalesce((SELECT max(id) FROM task_events), 0) AS newest,
    (SELECT last_value FROM task_events_id_seq) AS given
""")

# Of each range what is between two ids that are there; one more marks its end.
_MISSING = text("""
WITH ranges AS (
    SELECT * FROM unnest(CAST(:firsts AS bigint[]), CAST(:lasts AS bigint[]),
        CAST(:horizons AS bigint[])) AS r (first, last, horizon)
), seen AS (
    SELECT r.first, r.horizon, e.id FROM ranges r
    JOIN task_events e ON e.id BETWEEN r.first AND r.last
    UNION ALL SELECT first, horizon, last + 1 FROM ranges
), spaced AS (
    SELECT horizon, id, lag(id, 1, first - 1) OVER (PARTITION BY first ORDER BY id) AS before
    FROM seen
)
SELECT before + 1 AS first, id - 1 AS last, horizon FROM spaced
WHERE id > before + 1 AND horizon > :oldest_transaction
ORDER BY id
""")


@dataclass(frozen=True, kw_only=True, slots=True)
class Range:
    """Ids of events that were not read, both ends included."""

    first: int
    last: int
    horizon: int
    """When no transaction before this one is under way, what is missing will never come."""


class Cursor:
    """How far the events were read. Within one snapshot of a repeatable read."""

    def __init__(self) -> None:
        self._read_until: int | None = None
        self._gaps: Sequence[Range] = ()
        self.behind = 0
        """How many ids are left."""

    def unread(self, connection: Connection) -> Sequence[Range]:
        """At the first time none: counting begins. So it does when the history is another one."""
        bounds = connection.execute(_BOUNDS).one()
        if self._read_until is None or bounds.given < self._read_until:
            self._read_until, self._gaps = bounds.newest, ()
        last = min(bounds.newest, self._read_until + MOST_EVENTS)
        self.behind = max(0, bounds.newest - last)
        new = Range(first=self._read_until + 1, last=last, horizon=_next_transaction(bounds))
        return [*self._gaps, *([new] if new.last >= new.first else [])]

    def have_read(self, connection: Connection, ranges: Sequence[Range]) -> None:
        """Goes on behind them, and remembers what was missing."""
        if not ranges:
            return
        bounds = connection.execute(_BOUNDS).one()
        arguments = arrays(ranges) | {
            "horizons": [each.horizon for each in ranges],
            "oldest_transaction": bounds.oldest_transaction,
        }
        missing = connection.execute(_MISSING, arguments).mappings()
        self._gaps = [Range(**row) for row in missing][-_MOST_GAPS:]
        self._read_until = max(self._read_until or 0, *(each.last for each in ranges))


def arrays(ranges: Sequence[Range]) -> dict[str, list[int]]:
    """As arguments of a statement."""
    return {
        "firsts": [each.first for each in ranges],
        "lasts": [each.last for each in ranges],
    }


def _next_transaction(bounds: Row[tuple[int, ...]]) -> int:
    return int(bounds.completed + (bounds.next - bounds.completed) % 2**32)
