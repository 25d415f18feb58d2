"""Lists of tasks, newest first, page by page.

A page is found by the id after which it begins, so the thousandth costs what the first does. Ids
grow with time: what is asked of a time is a range of ids first.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Connection, Select, or_, select, true, union_all

from automagik.core.database import lookup
from automagik.core.database.models import ScheduleRow, TaskAttemptRow, TaskRow, WorkerRow
from automagik.core.exceptions import NotFound
from automagik.core.flows.reference import find_flow
from automagik.core.tasks.rows import as_task, tasks
from automagik.core.tasks.states import TaskState
from automagik.core.tasks.values import Task

STRIDE = 1_000
"""So many tasks are read at a time where their texts are searched."""
BEHIND, AHEAD = timedelta(hours=1), timedelta(minutes=10)
"""An id carries the clock of the host that made it, which may be wrong by so much at most.

A list begins at the newest: who looks further ahead reads more rows that are not wanted.
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class TaskFilter:
    """Which tasks are meant: those that all of it fits.

    Flow, schedule and worker are what a person types: a name, an id, the beginning of one, or
    SOURCE/FLOW.
    """

    flow: str | None = None
    schedule: str | None = None
    states: Sequence[TaskState] = ()
    """Any of these; none given: all."""
    backfill: UUID | None = None
    """Only those that this backfill has made."""
    parent: UUID | None = None
    """Only those that the end of this task has started."""
    since: datetime | None = None
    """Made at this instant or later."""
    until: datetime | None = None
    """Made before this instant."""
    worker: str | None = None
    """Tried on it at least once."""
    error_code: str | None = None
    search: str | None = None
    """In the input, the text of the output or the error; case does not count."""


ALL = TaskFilter()


@dataclass(frozen=True, kw_only=True, slots=True)
class Page:
    """A stretch of a list."""

    tasks: Sequence[Task]
    following: UUID | None
    """After which task the next page begins; None: this is the last."""


def read_page(
    connection: Connection, wanted: TaskFilter, *, limit: int, after: UUID | None = None
) -> Page:
    """The newest `limit` tasks, or the next ones `after` a task of the page before.

    With a text to search for a page may be short, or empty, before the last: each looks at STRIDE
    tasks. Raises NotFound and Ambiguous for the names in the filter.
    """
    if wanted.search is not None:
        return _searched(connection, wanted, limit=limit, after=after)
    found = _newest_of(connection, wanted, limit=limit + 1, after=after)
    is_last = len(found) <= limit
    return Page(tasks=found[:limit], following=None if is_last else found[limit - 1].id)


def _newest_of(
    connection: Connection, wanted: TaskFilter, *, limit: int, after: UUID | None
) -> list[Task]:
    query = _newest(connection, tasks(), wanted, limit=limit, after=after)
    return [as_task(row) for row in connection.execute(query)]


def _newest(
    connection: Connection,
    query: Select[Any],
    wanted: TaskFilter,
    *,
    limit: int,
    after: UUID | None,
) -> Select[Any]:
    conditions = [*_conditions(connection, wanted), *_older_than(after)]
    newest = query.where(*conditions).order_by(TaskRow.id.desc()).limit(limit)
    return _in_states(newest, wanted, limit=limit) if wanted.states else newest


def _in_states(newest: Select[Any], wanted: TaskFilter, *, limit: int) -> Select[Any]:
    """One short walk along an index per state: (state, id DESC) has no order across states."""
    walks = [newest.where(_is_in(state, wanted)).subquery() for state in set(wanted.states)]
    merged = union_all(*(select(walk) for walk in walks)).subquery()
    return select(merged).order_by(merged.c.id.desc()).limit(limit)


def _is_in(state: TaskState, wanted: TaskFilter) -> ColumnElement[bool]:
    """Most tasks of a flow or a schedule are completed, which PostgreSQL is not told otherwise.

    Said so, it walks along the newest of them, and does not collect all that are completed first.
    """
    if state is TaskState.COMPLETED and (wanted.flow or wanted.schedule):
        return TaskRow.state.not_in([other for other in TaskState if other is not state])
    return TaskRow.state == state


def _searched(
    connection: Connection, wanted: TaskFilter, *, limit: int, after: UUID | None
) -> Page:
    """No index knows the texts, so each page reads a bounded number of them."""
    rest = replace(wanted, search=None)
    looked_at = _newest(connection, select(TaskRow.id), rest, limit=STRIDE, after=after)
    ids = connection.scalars(looked_at).all()
    query = tasks().where(TaskRow.id.in_(ids), _says(wanted.search or ""))
    rows = connection.execute(query.order_by(TaskRow.id.desc()).limit(limit)).all()
    found = [as_task(row) for row in rows]
    if len(found) == limit:
        return Page(tasks=found, following=found[-1].id)
    return Page(tasks=found, following=ids[-1] if len(ids) == STRIDE else None)


def _says(search: str) -> ColumnElement[bool]:
    texts = (TaskRow.input_value, TaskRow.output_text, TaskRow.error_message)
    return or_(*(text.icontains(search, autoescape=True) for text in texts))


def _older_than(task_id: UUID | None) -> Iterator[ColumnElement[bool]]:
    if task_id is not None:
        yield TaskRow.id < task_id


def _conditions(connection: Connection, wanted: TaskFilter) -> Iterator[ColumnElement[bool]]:
    if wanted.flow is not None:
        yield TaskRow.flow_id == find_flow(connection, wanted.flow)
    if wanted.schedule is not None:
        schedule_id = lookup.find_or_newest(
            connection, ScheduleRow, wanted.schedule, noun="schedule"
        )
        yield TaskRow.schedule_id == schedule_id
    if wanted.backfill is not None:
        yield TaskRow.backfill_id == wanted.backfill
    if wanted.parent is not None:
        yield TaskRow.parent_task_id == wanted.parent
    if wanted.error_code is not None:
        yield TaskRow.error_code == wanted.error_code
    if wanted.worker is not None:
        yield TaskRow.attempt > 0
        yield _tried_on(connection, wanted.worker)
    yield from _in_time(wanted)


def _in_time(wanted: TaskFilter) -> Iterator[ColumnElement[bool]]:
    if wanted.since is not None:
        yield TaskRow.id >= _first_id(wanted.since - BEHIND)
        yield TaskRow.created_at >= wanted.since
    if wanted.until is not None:
        yield TaskRow.id < _first_id(wanted.until + AHEAD)
        yield TaskRow.created_at < wanted.until


def _first_id(instant: datetime) -> UUID:
    """The least UUIDv7 (RFC 9562) of a millisecond."""
    return UUID(int=max(0, int(instant.timestamp() * 1000)) << 80)


def _tried_on(connection: Connection, worker: str) -> ColumnElement[bool]:
    """A worker that starts again has the same name and another id."""
    named = select(WorkerRow.id).where(or_(WorkerRow.name == worker, WorkerRow.hostname == worker))
    ids = list(connection.scalars(named))
    if not ids:
        ids = [_known_worker(connection, worker)]
    tried = select(true()).where(
        TaskAttemptRow.task_id == TaskRow.id, TaskAttemptRow.worker_id.in_(ids)
    )
    return tried.exists()


def _known_worker(connection: Connection, worker: str) -> UUID:
    try:
        return lookup.find(connection, WorkerRow, worker, noun="worker")
    except NotFound as error:
        raise NotFound(error.message, hint=error.hint or "See them: automagik workers") from None
