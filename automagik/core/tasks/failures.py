"""Failed tasks by their cause."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from operator import attrgetter
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, Row, text

from automagik.core.tasks.causes import cause, fingerprint

MOST = 50_000
"""So many failed tasks are looked at, the newest."""

# Most messages of one cause differ in their digits alone. With these made alike, which changes
# nothing of a cause, PostgreSQL groups what would else come here row by row. A 0 stays: it begins a
# hexadecimal number.
_FAILED = text("""
SELECT f.name AS flow, t.error_code,
    translate(left(t.error_message, 2000), '23456789', '11111111') AS message,
    count(*) AS tasks, min(t.finished_at) AS first_at, max(t.finished_at) AS last_at,
    (array_agg(t.id ORDER BY t.finished_at DESC))[1] AS last_task_id
FROM (
    SELECT id, flow_id, error_code, error_message, finished_at FROM tasks
    WHERE finished_at > now() - :age AND state = 'failed'
    ORDER BY finished_at DESC LIMIT :most
) t JOIN flows f ON f.id = t.flow_id
GROUP BY 1, 2, 3
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


def _failure(key: str, rows: Sequence[Row[Any]]) -> Failure:
    newest = max(rows, key=attrgetter("last_at"))
    return Failure(
        fingerprint=key,
        error_code=newest.error_code,
        cause=cause(newest.message),
        tasks=sum(row.tasks for row in rows),
        flows=sorted({row.flow for row in rows}),
        first_at=min(row.first_at for row in rows),
        last_at=newest.last_at,
        last_task_id=newest.last_task_id,
    )
