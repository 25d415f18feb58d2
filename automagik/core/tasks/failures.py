"""Failed tasks by their cause."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, Row, text

from automagik.core.tasks.causes import cause, fingerprint

MOST = 50_000
"""So many failed tasks are looked at, the newest."""

_FAILED = text("""
SELECT t.id, f.name AS flow, t.error_code, left(t.error_message, 2000) AS message, t.finished_at
FROM tasks t JOIN flows f ON f.id = t.flow_id
WHERE t.finished_at > now() - :age AND t.state = 'failed'
ORDER BY t.finished_at DESC LIMIT :most
""")


@dataclass(frozen=True, kw_only=True, slots=True)
class Failure:
    """Failed tasks that seem to have one cause."""

    fingerprint: str
    error_code: str | None
    cause: str
    """The message without what differs from task to task."""
    tasks: int
    flows: Sequence[str]
    first_at: datetime
    last_at: datetime
    last_task_id: UUID


def failures(connection: Connection, *, age: timedelta) -> list[Failure]:
    """Of the tasks that failed for good within the age, what came oftest first."""
    rows = connection.execute(_FAILED, {"age": age, "most": MOST})
    return sorted(_grouped(rows), key=lambda each: (-each.tasks, each.fingerprint))


def _grouped(rows: Iterable[Row[Any]]) -> list[Failure]:
    groups: defaultdict[str, list[Row[Any]]] = defaultdict(list)
    for row in rows:
        groups[fingerprint(row.error_code, row.message)].append(row)
    return [_failure(key, group) for key, group in groups.items()]


def _failure(key: str, newest_first: Sequence[Row[Any]]) -> Failure:
    newest = newest_first[0]
    return Failure(
        fingerprint=key,
        error_code=newest.error_code,
        cause=cause(newest.message),
        tasks=len(newest_first),
        flows=sorted({row.flow for row in newest_first}),
        first_at=newest_first[-1].finished_at,
        last_at=newest.finished_at,
        last_task_id=newest.id,
    )
