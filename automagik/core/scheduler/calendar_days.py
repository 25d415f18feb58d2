"""The days of calendars, as the rules of schedules ask for them."""

from collections import defaultdict
from collections.abc import Callable, Collection, Mapping
from datetime import date
from uuid import UUID

from sqlalchemy import Connection, select

from automagik.core.database.lookup import nearest
from automagik.core.database.models import CalendarDayRow, CalendarRow, ScheduleRow
from automagik.core.exceptions import NotFound


def days_of(connection: Connection, calendars: Collection[str]) -> Mapping[str, frozenset[date]]:
    """For each of these names; one query, and none for no names."""
    if not calendars:
        return {}
    found: defaultdict[str, set[date]] = defaultdict(set)
    query = select(CalendarDayRow.calendar, CalendarDayRow.day)
    query = query.where(CalendarDayRow.calendar.in_(calendars))
    for calendar, day in connection.execute(query):
        found[calendar].add(day)
    return {calendar: frozenset(found[calendar]) for calendar in calendars}


def held_days(connection: Connection, *names: str | None) -> Callable[[str], frozenset[date]]:
    """They stay as they are until the transaction ends. Asked for another name raises NotFound.

    Before a schedule is locked: who changes a calendar locks it first, then its schedules.
    """
    days = days_of(connection, _held(connection, {name for name in names if name is not None}))

    def of(name: str) -> frozenset[date]:
        if name not in days:
            raise no_calendar(connection, name)
        return days[name]

    return of


def _held(connection: Connection, names: Collection[str]) -> Collection[str]:
    """Those that there are."""
    if not names:
        return ()
    query = select(CalendarRow.name).where(CalendarRow.name.in_(names))
    return set(connection.scalars(query.with_for_update(read=True)))


def calendar_of(connection: Connection, schedule_id: UUID) -> str | None:
    return connection.scalar(select(ScheduleRow.calendar).where(ScheduleRow.id == schedule_id))


def no_calendar(connection: Connection, name: str) -> NotFound:
    near = nearest(name, set(connection.scalars(select(CalendarRow.name))))
    return NotFound(
        f"There is no calendar {name!r}.",
        hint=near or f"Import it: automagik calendars import {name} FILE.ics",
    )
