"""What became of each occurrence of a schedule, and of its other runs: one list, newest first."""

import heapq
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from itertools import groupby
from operator import attrgetter
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, Row, text

from automagik.core.scheduler.skipped import REASONS
from automagik.core.tasks.states import TaskState

_AT = attrgetter("at")


class Origin(StrEnum):
    """What an entry comes from."""

    CLOCK = "clock"
    """An occurrence that a beat fired."""
    BACKFILL = "backfill"
    FOLLOW_UP = "follow-up"
    """The end of another run."""
    BY_HAND = "by hand"
    SKIPPED = "skipped"
    """Occurrences that became no runs."""


@dataclass(frozen=True, kw_only=True, slots=True)
class HistoryFilter:
    """Which part of a history is wanted."""

    since: datetime | None = None
    before: datetime | None = None
    """Not included: also the place at which the page before ended."""
    states: Sequence[TaskState] = ()
    """Tasks in any of these; none given: all."""
    tasks: bool = True
    skipped: bool = True
    limit: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    """A run, or a stretch of occurrences that became none; what does not apply is None."""

    at: datetime
    """The occurrence; when the run was asked for if it is of none; the last that was skipped."""
    origin: Origin
    since: datetime | None = None
    """The first that was skipped."""
    reason: str | None = None
    """Why it was skipped, in the words of the record."""
    reason_text: str | None = None
    """The same for people."""
    task_id: UUID | None = None
    backfill_id: UUID | None = None
    parent_task_id: UUID | None = None
    state: TaskState | None = None
    attempts: int | None = None
    error_code: str | None = None
    started_after: timedelta | None = None
    """From the occurrence to the first start; from when it was made if it has none of its own."""
    ran_for: timedelta | None = None
    """The latest attempt."""


_TASKS = """
SELECT {at} AS at, t.id, t.backfill_id, t.parent_task_id, t.parent_attempt, t.state, t.attempt,
    t.error_code, t.scheduled_for, t.created_at, t.started_at,
    coalesce(t.finished_at, now()) AS until,
    (SELECT min(a.started_at) FROM task_attempts a WHERE a.task_id = t.id) AS first_started_at
FROM tasks t
WHERE t.schedule_id = :schedule AND {which}
    AND {at} >= coalesce(CAST(:since AS timestamptz), '-infinity')
    AND {at} < coalesce(CAST(:before AS timestamptz), 'infinity')
    AND (CAST(:states AS text[]) IS NULL OR t.state = ANY(:states))
"""
# By an index. Who is told at the same instant as the last one comes with it: the next page begins
# before that.
_BY_INSTANT = f"{_TASKS} ORDER BY {{at}} DESC FETCH FIRST :limit ROWS WITH TIES"
_OF_OCCURRENCES = text(
    _BY_INSTANT.format(at="t.scheduled_for", which="t.scheduled_for IS NOT NULL")
)
# Of a schedule with a clock these are few: an index finds them all.
_OTHERS = text(_BY_INSTANT.format(at="t.created_at", which="t.scheduled_for IS NULL"))
# Of a chain they are all that there is. The index goes by ids, which hosts make by their own clocks
# and in whatever order within a transaction: so some more are read.
_BY_ID = f"{_TASKS} ORDER BY t.id DESC LIMIT :limit + 100"
_OF_CHAIN = text(_BY_ID.format(at="t.created_at", which="true"))
_IS_CHAIN = text("SELECT type = 'after' FROM schedules WHERE id = :schedule")

_SKIPPED = text("""
SELECT first_at, last_at, reason FROM skipped_occurrences
WHERE schedule_id = :schedule AND last_at >= coalesce(CAST(:since AS timestamptz), '-infinity')
    AND last_at < coalesce(CAST(:before AS timestamptz), 'infinity')
ORDER BY last_at DESC FETCH FIRST :limit ROWS WITH TIES
""")


def history(connection: Connection, schedule_id: UUID, wanted: HistoryFilter) -> Sequence[Entry]:
    """At least `limit` if there are so many: entries of one instant stay together."""
    query = {
        "schedule": schedule_id,
        "since": wanted.since,
        "before": wanted.before,
        "states": [*wanted.states] or None,
        "limit": wanted.limit,
    }
    is_chain = connection.scalar(_IS_CHAIN, {"schedule": schedule_id})
    tasks = (_OF_CHAIN,) if is_chain else (_OF_OCCURRENCES, _OTHERS)
    asked = [(statement, _of_task) for statement in tasks if wanted.tasks]
    asked += [(_SKIPPED, _of_skipped)] if wanted.skipped else []
    found = [
        sorted(map(entry, connection.execute(statement, query)), key=_AT, reverse=True)
        for statement, entry in asked
    ]
    newest = heapq.merge(*found, key=_AT, reverse=True)
    return list(_with_ties(newest, wanted.limit))


def _with_ties(entries: Iterable[Entry], limit: int) -> Iterable[Entry]:
    count = 0
    for _, together in groupby(entries, key=_AT):
        if count >= limit:
            return
        for entry in together:
            count += 1
            yield entry


def _of_task(row: Row[Any]) -> Entry:
    origin = _origin(row)
    begin = row.scheduled_for if origin is Origin.CLOCK else row.created_at
    return Entry(
        at=row.at,
        origin=origin,
        task_id=row.id,
        backfill_id=row.backfill_id,
        parent_task_id=row.parent_task_id,
        state=TaskState(row.state),
        attempts=row.attempt,
        error_code=row.error_code,
        started_after=_between(begin, row.first_started_at),
        ran_for=None if row.state == TaskState.WAITING else _between(row.started_at, row.until),
    )


def _origin(row: Row[Any]) -> Origin:
    if row.backfill_id is not None:
        return Origin.BACKFILL
    if row.scheduled_for is not None:
        return Origin.CLOCK
    # The parent itself may be deleted by now.
    return Origin.BY_HAND if row.parent_attempt is None else Origin.FOLLOW_UP


def _between(begin: datetime | None, end: datetime | None) -> timedelta | None:
    return None if begin is None or end is None else max(end - begin, timedelta())


def _of_skipped(row: Row[Any]) -> Entry:
    return Entry(
        at=row.last_at,
        origin=Origin.SKIPPED,
        since=row.first_at,
        reason=row.reason,
        reason_text=REASONS.get(row.reason, row.reason),
    )
