"""From the table of schedules to values, and the statements that write it."""

from collections.abc import Callable, Sequence
from datetime import date, datetime, timedelta
from functools import cache
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, Row, Select, func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import IntegrityError

from automagik.core.database.models import FlowRow, ScheduleRow, SourceRow
from automagik.core.exceptions import Conflict, NotFound
from automagik.core.flows.flow_input import FlowInput
from automagik.core.scheduler.after import After, End
from automagik.core.scheduler.calendar_days import days_of
from automagik.core.scheduler.names import free_name
from automagik.core.scheduler.policy_columns import COLUMNS, policies_of
from automagik.core.scheduler.rule_text import LIMITS, CadenceText, limits_of_row
from automagik.core.scheduler.schedule_type import ScheduleType
from automagik.core.scheduler.values import Schedule, ScheduleStatus

_FOLLOWED_SCHEDULE = ScheduleRow.__table__.alias()
_FOLLOWED_FLOW = FlowRow.__table__.alias()


def load(connection: Connection, schedule_id: UUID, *, lock: bool = False) -> Schedule:
    """Raises NotFound. With `lock` nobody else changes it until the transaction ends."""
    query = schedules().where(ScheduleRow.id == schedule_id)
    if lock:
        query = query.with_for_update(of=ScheduleRow)
    found = read(connection, query)
    if not found:
        raise NotFound(f"There is no schedule {schedule_id}.")
    return found[0]


def read(connection: Connection, query: Select[Any]) -> Sequence[Schedule]:
    """What a query says that `schedules()` began."""
    found = connection.execute(query).all()
    days = days_of(connection, {row.calendar for row in found if row.calendar is not None})
    return [as_schedule(row, days.get(row.calendar, frozenset())) for row in found]


@cache
def schedules() -> Select[Any]:
    """Every schedule with the names around it."""
    return (
        select(
            *(getattr(ScheduleRow, name) for name in (*_PLAIN, *LIMITS, *COLUMNS)),
            ScheduleRow.more_cadences,
            ScheduleRow.type,
            ScheduleRow.status,
            ScheduleRow.timeout_seconds,
            ScheduleRow.input_value,
            ScheduleRow.tweaks,
            ScheduleRow.session_id,
            FlowRow.name.label("flow_name"),
            SourceRow.name.label("source_name"),
            ScheduleRow.after_schedule_id,
            ScheduleRow.after_flow_id,
            func.coalesce(_FOLLOWED_SCHEDULE.c.name, _FOLLOWED_FLOW.c.name).label("after_name"),
        )
        .join(FlowRow, FlowRow.id == ScheduleRow.flow_id)
        .join(SourceRow, SourceRow.id == FlowRow.source_id)
        .outerjoin(_FOLLOWED_SCHEDULE, _FOLLOWED_SCHEDULE.c.id == ScheduleRow.after_schedule_id)
        .outerjoin(_FOLLOWED_FLOW, _FOLLOWED_FLOW.c.id == ScheduleRow.after_flow_id)
    )


def as_schedule(row: Row[Any], holidays: frozenset[date]) -> Schedule:
    columns = dict(row._mapping)  # noqa: SLF001 - public by SQLAlchemy's documentation
    limits = limits_of_row({name: columns.pop(name) for name in LIMITS})
    policies = policies_of({name: columns.pop(name) for name in COLUMNS})
    more_cadences = columns.pop("more_cadences")
    seconds = columns.pop("timeout_seconds")
    return Schedule(
        after=_after(columns),
        limits=limits,
        policies=policies,
        more_cadences=tuple(CadenceText(**each) for each in more_cadences),
        holidays=holidays,
        type=ScheduleType(columns.pop("type")),
        status=ScheduleStatus(columns.pop("status")),
        timeout=None if seconds is None else timedelta(seconds=seconds),
        run_input=FlowInput(
            input_value=columns.pop("input_value"),
            tweaks=columns.pop("tweaks"),
            session_id=columns.pop("session_id"),
        ),
        **columns,
    )


def _after(columns: dict[str, Any]) -> After | None:
    """Takes out what is told of a chain."""
    schedule_id, flow_id, name = (
        columns.pop(f"after_{what}") for what in ("schedule_id", "flow_id", "name")
    )
    if schedule_id is None and flow_id is None:
        return None
    return After(end=End(columns["expr"]), schedule_id=schedule_id, flow_id=flow_id, name=name)


def add(connection: Connection, columns: dict[str, Any], *, name: str) -> UUID:
    """Raises Conflict when the name is taken."""
    schedule_id = _add_if_free(connection, columns, name=name)
    if schedule_id is None:
        raise _name_taken(name)
    return schedule_id


def add_numbered(
    connection: Connection, columns_of: Callable[[str], dict[str, Any]], *, name: str
) -> UUID:
    """With a number after the name when the name is taken; `H` in a cron rule depends on it."""
    while True:
        begins = ScheduleRow.name.startswith(name, autoescape=True)
        taken = set(connection.scalars(select(ScheduleRow.name).where(begins)))
        free = free_name(name, taken=taken)
        schedule_id = _add_if_free(connection, columns_of(free), name=free)
        if schedule_id is not None:
            return schedule_id


def change(connection: Connection, schedule_id: UUID, columns: dict[str, Any]) -> None:
    """Raises Conflict when a new name is taken."""
    statement = update(ScheduleRow).where(ScheduleRow.id == schedule_id)
    try:
        connection.execute(statement.values(**columns, updated_at=func.now()))
    except IntegrityError as error:
        if "uq_schedules_name" not in str(error.orig):
            raise
        raise _name_taken(columns["name"]) from error


def database_now(connection: Connection) -> datetime:
    """The clock that decides what is due: that of PostgreSQL, at the transaction's begin."""
    return connection.scalars(select(func.now())).one()


def _add_if_free(connection: Connection, columns: dict[str, Any], *, name: str) -> UUID | None:
    statement = insert(ScheduleRow).values(**columns, name=name)
    statement = statement.on_conflict_do_nothing(index_elements=["name"])
    return connection.scalars(statement.returning(ScheduleRow.id)).one_or_none()


def _name_taken(name: str) -> Conflict:
    return Conflict(
        f"There is already a schedule {name!r}.",
        hint=f"Choose another name, or change it: automagik schedules update {name}",
    )


_PLAIN = (
    "id",
    "name",
    "flow_id",
    "expr",
    "timezone",
    "anchor_at",
    "priority",
    "queue",
    "max_retries",
    "status_reason",
    "paused_until",
    "held_from",
    "labels",
    "project",
    "next_run_at",
    "last_run_at",
    "counts_from",
    "runs",
    "created_at",
    "updated_at",
)
