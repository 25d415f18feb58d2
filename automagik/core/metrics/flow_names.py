"""Which flows have series of their own."""

from collections.abc import Iterable
from uuid import UUID

from sqlalchemy import Connection, text

OTHER = "(other)"
"""What the flows are called that are too many."""
LONGEST_NAME = 200
"""Characters of a label."""

_OLDEST = text("""
SELECT f.id, f.name, s.name AS source FROM flows f JOIN sources s ON s.id = f.source_id
WHERE f.gone_at IS NULL ORDER BY f.id LIMIT :most
""")
_NAMED = text("""
SELECT f.id, f.name, s.name AS source FROM flows f JOIN sources s ON s.id = f.source_id
WHERE f.id = ANY(:ids)
""")


class FlowNames:
    """Source and flow, as labels. The oldest flows come first, so restarts change nothing."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._own: set[tuple[str, str]] = set()

    def oldest(self, connection: Connection) -> set[tuple[str, str]]:
        """Those that have series even if none of their tasks was seen yet."""
        rows = connection.execute(_OLDEST, {"most": self._most})
        return {self._labels(row.source, row.name) for row in rows}

    def of(self, connection: Connection, ids: Iterable[UUID]) -> dict[UUID, tuple[str, str]]:
        """A flow that was deleted meanwhile has none."""
        wanted = list(ids)
        if not wanted:
            return {}
        rows = connection.execute(_NAMED, {"ids": wanted})
        return {row.id: self._labels(row.source, row.name) for row in rows}

    def _labels(self, source: str, flow: str) -> tuple[str, str]:
        labels = label(source), label(flow)
        if labels not in self._own and len(self._own) >= self._most:
            return labels[0], OTHER
        self._own.add(labels)
        return labels


def label(name: str) -> str:
    """A name that people gave, without what would steer a terminal, and not without end."""
    shown = "".join(each if each.isprintable() else "\N{REPLACEMENT CHARACTER}" for each in name)
    return shown if len(shown) <= LONGEST_NAME else f"{shown[: LONGEST_NAME - 1]}…"
