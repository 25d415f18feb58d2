"""The rows that the protocol works on: emptied, made older, changed by two at once, and read."""

from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from datetime import timedelta
from typing import Any, TypeVar
from uuid import UUID

from sqlalchemy import Connection, DateTime, Row, TextClause, text

from automagik.core.database.base import Base
from automagik.core.database.session import Database
from automagik.core.exceptions import RedisUnreachable
from automagik.core.tasks.states import TaskState
from tests.core.protocol.model import TICK, Change, ModelSchedule
from tests.core.records import WAITS_FOR_A_ROW, dying, rows

T = TypeVar("T")

_EMPTY = text(f"TRUNCATE {', '.join(table.name for table in Base.metadata.sorted_tables)}")

# A microsecond more than a step: two occurrences of a schedule never change places on the way.
_STEP = timedelta(seconds=TICK, microseconds=1)

_ONESHOTS = """
UPDATE schedules SET expr = to_char(
    CAST(expr AS timestamptz) - :passed, 'YYYY-MM-DD"T"HH24:MI:SS.US"+00:00"'
) WHERE type = 'oneshot'
"""


def _older() -> TextClause:
    """All instants of all tables move back alike, in one go."""
    statements = [_ONESHOTS]
    for table in Base.metadata.sorted_tables:
        columns = [
            column.name
            for column in table.columns
            if isinstance(column.type, DateTime) and column.computed is None
        ]
        if columns:
            moves = ", ".join(f"{name} = {name} - :passed" for name in columns)
            statements.append(f"UPDATE {table.name} SET {moves}")
    return text(";".join(statements))


_CHANGES = text("""
SELECT e.id, e.task_id, e.attempt, e.from_state AS origin, e.to_state AS target, e.actor,
    t.source_id, t.schedule_id, t.max_retries, extract(epoch FROM t.scheduled_for - now()) AS until
FROM task_events e JOIN tasks t ON t.id = e.task_id
WHERE e.id > :after ORDER BY e.id
""")

_TASKS = text("""
SELECT id, state, attempt, max_attempts,
    extract(epoch FROM run_at - now()) AS until_due,
    extract(epoch FROM lease_expires_at - now()) AS until_lease_ends,
    extract(epoch FROM queued_at - now()) AS since_queued
FROM tasks
""")

_SCHEDULES = text("""
SELECT id, name, status, CASE WHEN type = 'interval' THEN extract(epoch FROM expr::interval) END
        AS every,
    extract(epoch FROM anchor_at - now()) AS since_anchor,
    extract(epoch FROM next_run_at - now()) AS until_next,
    extract(epoch FROM last_run_at - now()) AS since_last
FROM schedules ORDER BY created_at, id
""")


class World:
    """One database for all examples, and a second thread for what happens at the same time."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self._others = ThreadPoolExecutor(1)
        self._older = _older()

    def close(self) -> None:
        self._others.shutdown()

    def empty(self) -> None:
        with self.database.transaction() as connection:
            connection.execute(_EMPTY)

    def pass_time(self, steps: int) -> None:
        """Rows that grow older are the same as a clock that moves on."""
        with self.database.transaction() as connection:
            connection.execute(self._older, {"passed": steps * _STEP})

    def alone(self, work: Callable[[Connection], T], *, dies: bool = False) -> T | None:
        """What one process did; None when it died before the commit, or Redis was away."""
        begin = dying if dies else Database.transaction
        answer = None
        try:
            with begin(self.database) as connection:
                answer = work(connection)
        except RedisUnreachable:
            return None
        return None if dies else answer

    def at_once(
        self, first: Callable[[Connection], T], second: Callable[[Connection], T], *, dies: bool
    ) -> list[T]:
        """What those did who committed: the second comes while the first has not yet."""
        begin = dying if dies else Database.transaction
        with begin(self.database) as connection:
            answer = first(connection)
            other = self._others.submit(self.alone, second)
            self._until_it_ends_or_waits(other)
        found = other.result(timeout=10)
        return [each for each in (None if dies else answer, found) if each is not None]

    def changes(self, *, after: int, clock: int) -> tuple[list[Change], int]:
        """What happened since, and up to which event."""
        found = self._read(_CHANGES, after=after)
        changes = [
            Change(
                task_id=row.task_id,
                attempt=row.attempt,
                origin=row.origin and TaskState(row.origin),
                target=TaskState(row.target),
                actor=row.actor,
                source_id=row.source_id,
                schedule_id=row.schedule_id,
                occurrence=instant(row.until, clock=clock),
                max_retries=row.max_retries,
            )
            for row in found
        ]
        return changes, found[-1].id if found else after

    def tasks(self) -> Sequence[Row[Any]]:
        return self._read(_TASKS)

    def schedules(self, *, clock: int) -> dict[UUID, ModelSchedule]:
        return {
            row.id: ModelSchedule(
                id=row.id,
                name=row.name,
                every=row.every and int(row.every),
                anchor=instant(row.since_anchor, clock=clock) or 0,
                next_due=instant(row.until_next, clock=clock),
                last_due=instant(row.since_last, clock=clock),
                status=row.status,
            )
            for row in self._read(_SCHEDULES)
        }

    def _read(self, query: Any, **arguments: Any) -> Sequence[Row[Any]]:
        with self.database.transaction() as connection:
            return connection.execute(query, arguments).all()

    def _until_it_ends_or_waits(self, other: Future[Any]) -> None:
        while not wait([other], timeout=0.002).done:
            if rows(self.database, WAITS_FOR_A_ROW) == [True]:
                return


def instant(seconds: Any, *, clock: int) -> int | None:
    """On the test's clock. Instants lie half a step apart at least."""
    if seconds is None:
        return None
    half = TICK // 2
    # What really passed makes everything a little older than it is.
    return clock + round(float(seconds) / half) * half
