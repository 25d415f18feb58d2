"""One moment of the whole system, for those who look at it all the time."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, Row, text

from automagik.core.config import Settings
from automagik.core.queues import Queue, list_queues
from automagik.core.tasks.listing import TaskFilter, read_page
from automagik.core.tasks.states import TaskState
from automagik.core.tasks.values import Task
from automagik.core.tasks.workers import Beat, Worker, list_beats, list_workers

SECONDS = 60
_SHOWN = 50

# Each part comes from one end of an index, however long the history is.
_ENDS = text("""
SELECT floor(extract(epoch FROM now() - finished_at))::int AS seconds_ago, count(*) AS tasks,
    count(*) FILTER (WHERE state = 'failed') AS failed
FROM tasks
WHERE state IN ('completed', 'failed', 'cancelled')
    AND finished_at > now() - :span AND finished_at <= now()
GROUP BY 1
""")

_UPCOMING = text("""
SELECT s.id, s.name, f.name AS flow, s.next_run_at FROM schedules s JOIN flows f ON f.id = s.flow_id
WHERE s.status = 'active' AND s.next_run_at IS NOT NULL
ORDER BY s.next_run_at LIMIT :limit
""")


@dataclass(frozen=True, kw_only=True, slots=True)
class Upcoming:
    """The next run of a schedule."""

    schedule_id: UUID
    schedule: str
    flow: str
    at: datetime


@dataclass(frozen=True, kw_only=True, slots=True)
class Overview:
    """What a person at the wall wants to see."""

    ends: Sequence[int]
    """Of runs in each of the last SECONDS, the oldest first."""
    failures: Sequence[int]
    queues: Sequence[Queue]
    workers: Sequence[Worker]
    """Those that live."""
    beats: Sequence[Beat]
    """Those that live."""
    running: Sequence[Task]
    """The newest."""
    ended: Sequence[Task]
    """The newest of all tasks that have ended."""
    upcoming: Sequence[Upcoming]


def look_over(connection: Connection, settings: Settings) -> Overview:
    lease = timedelta(seconds=settings.lease_seconds)
    rows = connection.execute(_ENDS, {"span": timedelta(seconds=SECONDS)}).all()
    upcoming = connection.execute(_UPCOMING, {"limit": _SHOWN})
    final = [state for state in TaskState if state.is_final]
    return Overview(
        ends=_series(rows, "tasks"),
        failures=_series(rows, "failed"),
        queues=list_queues(connection, default=settings.queue, lease=lease),
        workers=[each for each in list_workers(connection, lease=lease) if each.is_live],
        beats=[each for each in list_beats(connection, lease=lease) if each.is_live],
        running=_newest(connection, TaskState.RUNNING),
        ended=_newest(connection, *final),
        upcoming=[
            Upcoming(schedule_id=row.id, schedule=row.name, flow=row.flow, at=row.next_run_at)
            for row in upcoming
        ],
    )


def _newest(connection: Connection, *states: TaskState) -> Sequence[Task]:
    return read_page(connection, TaskFilter(states=states), limit=_SHOWN).tasks


def _series(rows: Sequence[Row[Any]], name: str) -> list[int]:
    by_second = {row.seconds_ago: getattr(row, name) for row in rows}
    return [by_second.get(ago, 0) for ago in range(SECONDS - 1, -1, -1)]
