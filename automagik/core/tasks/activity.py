"""What happens to all tasks, as it happens."""

from collections import OrderedDict
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import Connection, text

from automagik.core.tasks.states import TaskState

# Ids are drawn before they are committed, so a smaller one may appear later: this is how far back
# every look goes, and what was seen is left out.
OVERLAP = timedelta(seconds=10)

_SINCE = text("""
SELECT e.id, e.at, e.task_id, e.attempt, e.from_state, e.to_state, e.reason,
    f.name AS flow, s.name AS schedule,
    CASE WHEN e.to_state = 'completed' THEN left(t.output_text, 200) END AS output,
    CASE WHEN e.to_state IN ('failed', 'waiting') THEN left(t.error_message, 200) END AS error,
    CASE WHEN e.to_state IN ('completed', 'failed') THEN e.at - t.started_at END AS took
FROM task_events e
JOIN tasks t ON t.id = e.task_id
JOIN flows f ON f.id = t.flow_id
LEFT JOIN schedules s ON s.id = t.schedule_id
WHERE e.id > :after AND e.at >= :since
ORDER BY e.id
""")


# The id bounds the search: only ids have an index.
_START = text("SELECT now() AS since, coalesce(max(id), 0) AS after FROM task_events")


@dataclass(frozen=True, kw_only=True, slots=True)
class Happening:
    """One change of one task's state, with what a person wants to read beside it."""

    id: int
    at: datetime
    task_id: UUID
    attempt: int
    from_state: TaskState | None
    to_state: TaskState
    reason: str | None
    flow: str
    schedule: str | None
    output: str | None
    error: str | None
    took: timedelta | None


class Activity:
    """Remembers what it has told."""

    def __init__(self, connection: Connection) -> None:
        start = connection.execute(_START).one()
        self._since: datetime = start.since
        self._after: int = start.after
        self._told: OrderedDict[int, datetime] = OrderedDict()

    def news(self, connection: Connection) -> list[Happening]:
        """What was committed since the last look, in order."""
        seen = {"since": self._since, "after": self._after}
        rows = connection.execute(_SINCE, seen).mappings().all()
        fresh = [_happening(dict(row)) for row in rows if row["id"] not in self._told]
        for happening in fresh:
            self._told[happening.id] = happening.at
        self._forget()
        return fresh

    def _forget(self) -> None:
        if not self._told:
            return
        self._since = max(self._since, max(self._told.values()) - OVERLAP)
        past = [i for i, at in self._told.items() if at < self._since]
        self._after = max([self._after, *past])
        for happening_id in past:
            del self._told[happening_id]


def _happening(row: dict[str, object]) -> Happening:
    origin = row.pop("from_state")
    return Happening(
        from_state=TaskState(str(origin)) if origin else None,
        to_state=TaskState(str(row.pop("to_state"))),
        **row,  # type: ignore[arg-type]
    )
