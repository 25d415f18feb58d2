"""CalendarManager: named sets of holidays. A schedule that names one is moved when it changes."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime

from sqlalchemy import Connection, delete, func, select, text
from sqlalchemy.dialects.postgresql import insert

from automagik.core.database.models import CalendarDayRow, CalendarRow, ScheduleRow
from automagik.core.database.session import WAKE, Database, notify
from automagik.core.exceptions import Conflict, InvalidInput
from automagik.core.scheduler import changes, pauses, rows
from automagik.core.scheduler.calendar_days import no_calendar
from automagik.core.scheduler.values import ScheduleStatus

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9._-]{0,62}")
_YEARS_BACK, _YEARS_AHEAD = 1, 10
"""Repeating holidays are expanded for so many years around this one."""

_LIST = text("""
SELECT c.name, c.updated_at, d.days, d.first_day, d.last_day, s.schedules
FROM calendars c
CROSS JOIN LATERAL (
    SELECT count(*) AS days, min(day) AS first_day, max(day) AS last_day
    FROM calendar_days WHERE calendar = c.name
) d
CROSS JOIN LATERAL (SELECT count(*) AS schedules FROM schedules WHERE calendar = c.name) s
ORDER BY c.name
""")


@dataclass(frozen=True, kw_only=True, slots=True)
class Calendar:
    """A named set of holidays."""

    name: str
    updated_at: datetime
    days: int
    first_day: date | None
    last_day: date | None
    schedules: int
    """How many use it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Holiday:
    """A day of a calendar."""

    day: date
    title: str


@dataclass(frozen=True, kw_only=True, slots=True)
class CalendarImport:
    """What an import came to."""

    calendar: str
    days: int
    added: int
    removed: int
    moved_schedules: Sequence[str]
    """The names of those whose next run has changed."""


class CalendarManager:
    """Imports, lists and deletes calendars. Every method raises DatabaseUnreachable."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def import_ics(self, name: str, ics: str) -> CalendarImport:
        """Its days are from now on those of the file, for the next ten years.

        Raises InvalidInput for a name or a file that cannot be, or a file without a holiday.
        """
        return self.replace(checked_calendar_name(name), holidays_of(ics))

    def replace(self, name: str, holidays: Mapping[date, str]) -> CalendarImport:
        """These days with their titles, instead of those that it had. It is made if need be."""
        with self._database.transaction() as connection:
            row = insert(CalendarRow).values(name=name)
            # The lock that who makes a schedule with this calendar waits for, even a new one.
            connection.execute(
                row.on_conflict_do_update(index_elements=["name"], set_={"updated_at": func.now()})
            )
            days = CalendarDayRow.calendar == name
            before = set(connection.scalars(select(CalendarDayRow.day).where(days)))
            connection.execute(delete(CalendarDayRow).where(days))
            if holidays:  # Of no rows SQLAlchemy would make one without values.
                connection.execute(
                    insert(CalendarDayRow),
                    [{"calendar": name, "day": day, "title": t} for day, t in holidays.items()],
                )
            changes_days = before != holidays.keys()
            moved = _move_schedules(connection, name, before) if changes_days else []
            return CalendarImport(
                calendar=name,
                days=len(holidays),
                added=len(holidays.keys() - before),
                removed=len(before - holidays.keys()),
                moved_schedules=moved,
            )

    def list(self) -> Sequence[Calendar]:
        """By name."""
        with self._database.transaction() as connection:
            return [Calendar(**row) for row in connection.execute(_LIST).mappings()]

    def holidays(self, name: str) -> Sequence[Holiday]:
        """In order. Raises NotFound."""
        query = select(CalendarDayRow.day, CalendarDayRow.title)
        query = query.where(CalendarDayRow.calendar == name).order_by(CalendarDayRow.day)
        with self._database.transaction() as connection:
            _lock(connection, name)
            return [Holiday(day=day, title=title) for day, title in connection.execute(query)]

    def delete(self, name: str) -> None:
        """Raises NotFound, and Conflict while schedules use it."""
        users = select(ScheduleRow.name).where(ScheduleRow.calendar == name)
        with self._database.transaction() as connection:
            _lock(connection, name)
            used_by = connection.scalars(users.order_by(ScheduleRow.name)).all()
            if used_by:
                raise Conflict(
                    f"Calendar {name!r} is used by: {', '.join(used_by)}.",
                    hint=f"First: automagik schedules update {used_by[0]} --unset calendar",
                )
            connection.execute(delete(CalendarRow).where(CalendarRow.name == name))


def checked_calendar_name(name: str) -> str:
    """Raises InvalidInput."""
    if not _NAME.fullmatch(name):
        raise InvalidInput(
            f"{name!r} is no name for a calendar.",
            hint="It takes up to 63 of A-Z, a-z, 0-9 and ._- and begins with a letter.",
        )
    return name


def holidays_of(ics: str) -> Mapping[date, str]:
    """Those of an iCalendar file, from last year on for the next ten. Raises InvalidInput."""
    # With it comes the library for iCalendar.
    from automagik.core.scheduler.ics import holidays_in

    year = datetime.now(UTC).year
    first, last = date(year - _YEARS_BACK, 1, 1), date(year + _YEARS_AHEAD, 12, 31)
    holidays = holidays_in(ics, first=first, last=last)
    if not holidays:
        raise InvalidInput(f"The file has no holiday between {first} and {last}.")
    return holidays


def _lock(connection: Connection, name: str) -> None:
    """Raises NotFound."""
    query = select(CalendarRow.name).where(CalendarRow.name == name).with_for_update()
    if connection.scalar(query) is None:
        raise no_calendar(connection, name)


def _move_schedules(connection: Connection, calendar: str, before: set[date]) -> list[str]:
    """Those that wait for their next run; what is due already is left to the beats.

    What a pause has held back until now was an occurrence by the days before.
    """
    query = rows.schedules().where(
        ScheduleRow.calendar == calendar,
        ScheduleRow.status.in_([ScheduleStatus.ACTIVE, ScheduleStatus.PAUSED]),
    )
    found = rows.read(connection, query.order_by(ScheduleRow.id).with_for_update(of=ScheduleRow))
    now, moved = rows.database_now(connection), []
    for schedule in found:
        columns = changes.with_new_days(schedule, now=now)
        as_it_was = replace(schedule, holidays=frozenset(before))
        pauses.store(connection, as_it_was, columns, now=now)
        if columns.get("next_run_at", schedule.next_run_at) != schedule.next_run_at:
            moved.append(schedule.name)
    if moved:
        notify(connection, WAKE)
    return moved
