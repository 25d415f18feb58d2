"""Rows that tests of beats and workers begin with, and a look at what became of them."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, RowMapping, func, insert, select, text, update

from automagik.core.database.base import Base, new_id
from automagik.core.database.models import ScheduleRow, SourceRow, TaskAttemptRow, TaskRow
from automagik.core.database.session import Database
from automagik.core.flows.values import Flow
from automagik.core.tasks.claim import Claim, Claimant, claim
from automagik.core.tasks.presence import register_worker
from automagik.core.tasks.states import TaskState

MINUTE = timedelta(minutes=1)
LEASE = timedelta(seconds=30)
WAITS_FOR_A_ROW = """
SELECT count(*) > 0 FROM pg_locks l JOIN pg_stat_activity a USING (pid)
WHERE NOT l.granted AND a.datname = current_database()
"""
"""Whether somebody waits for a lock that somebody else holds."""


class _Dead(Exception):
    """The process that had the transaction is dead."""


@contextmanager
def opened(url: str) -> Iterator[Database]:
    database = Database(url)
    yield database
    database.dispose()


@contextmanager
def dying(database: Database) -> Iterator[Connection]:
    """A transaction of a process that dies before the commit."""
    with suppress(_Dead), database.transaction() as connection:
        yield connection
        raise _Dead


def add_schedules(
    database: Database,
    flow: Flow,
    count: int = 1,
    *,
    every: timedelta = MINUTE,
    late: timedelta = timedelta(),
    **columns: Any,
) -> list[UUID]:
    """Active intervals that have been due for a while, unless the columns say otherwise."""
    due = now(database) - late
    ids = [new_id() for _ in range(count)]
    schedules = [
        {
            "id": schedule_id,
            "name": f"schedule {schedule_id}",
            "flow_id": flow.id,
            "type": "interval",
            "expr": f"{every // timedelta(seconds=1)}s",
            "timezone": "UTC",
            "anchor_at": due - every,
            "next_run_at": due,
            "tweaks": {},
        }
        | columns
        for schedule_id in ids
    ]
    with database.transaction() as connection:
        connection.execute(insert(ScheduleRow), schedules)
    return ids


def add_task(
    database: Database, flow: Flow, *, state: TaskState = TaskState.PENDING, **columns: Any
) -> UUID:
    """A task with three retries that is due now."""
    values = {
        "id": new_id(),
        "flow_id": flow.id,
        "flow_version_id": flow.version_id,
        "source_id": flow.source_id,
        "max_retries": 3,
        "max_attempts": 4,
        "timeout_seconds": 20,
        "state": state,
        "lease_expires_at": func.now() + LEASE if state is TaskState.RUNNING else None,
        "finished_at": func.now() if state.is_final else None,
        "queued_at": func.now() if state is TaskState.QUEUED else None,
    }
    with database.transaction() as connection:
        return connection.scalars(
            insert(TaskRow).values(values | columns).returning(TaskRow.id)
        ).one()


def add_worker(
    database: Database,
    name: str = "worker@here",
    *,
    slots: int = 10,
    queues: Sequence[str] = ("automagik",),
) -> Claimant:
    """A live one."""
    with database.transaction() as connection:
        return register_worker(
            connection,
            name=name,
            hostname="here",
            pid=1,
            pool="threads",
            slots=slots,
            queues=[*queues],
        )


def claimed(
    database: Database, task_id: UUID, *, worker: Claimant | None = None, lease: timedelta = LEASE
) -> Claim:
    """The attempt of a worker that took this task."""
    worker = worker or Claimant(id=new_id(), name="worker@here")
    with database.transaction() as connection:
        taken = claim(connection, task_id, worker=worker, lease=lease)
    assert taken is not None
    return taken


def limit_source(database: Database, flow: Flow, runs: int) -> None:
    """So many runs of the flow's source may be under way."""
    with database.transaction() as connection:
        connection.execute(
            update(SourceRow).where(SourceRow.id == flow.source_id).values(max_parallel_runs=runs)
        )


def put(database: Database, kind: type[Base], row_id: UUID, **columns: Any) -> None:
    """Time passes, or a person with psql writes these columns."""
    table = kind.__table__
    with database.transaction() as connection:
        connection.execute(update(kind).where(table.c.id == row_id).values(**columns))


def row(database: Database, kind: type[Base], row_id: UUID) -> RowMapping:
    table = kind.__table__
    with database.transaction() as connection:
        return connection.execute(select(table).where(table.c.id == row_id)).mappings().one()


def task(database: Database, task_id: UUID) -> RowMapping:
    return row(database, TaskRow, task_id)


def attempts(database: Database, task_id: UUID) -> Sequence[RowMapping]:
    """In order."""
    query = select(TaskAttemptRow.__table__).where(TaskAttemptRow.task_id == task_id)
    with database.transaction() as connection:
        return connection.execute(query.order_by(TaskAttemptRow.attempt)).mappings().all()


def rows(database: Database, query: str, **arguments: Any) -> Sequence[Any]:
    """What a query says: values for one column, else tuples."""
    with database.transaction() as connection:
        found = connection.execute(text(query), arguments).all()
    return [each[0] if len(each) == 1 else tuple(each) for each in found]


def now(database: Database) -> datetime:
    """PostgreSQL's clock."""
    with database.transaction() as connection:
        return connection.execute(select(func.now())).scalar_one().astimezone(UTC)


def terminate_connections(database: Database) -> None:
    """The server ends all connections to this database but the one that asks."""
    with opened(database.engine.url.render_as_string(hide_password=False)) as other:
        rows(
            other,
            "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()",
        )
