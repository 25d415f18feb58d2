"""The calendars of files."""

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import date
from typing import ClassVar

from sqlalchemy import Connection, or_, select, update

from automagik.core.database.models import CalendarDayRow, CalendarRow
from automagik.core.database.session import Within
from automagik.core.manifest.plan import Task
from automagik.core.manifest.schedule_keys import Fields, Refuse
from automagik.core.manifest.values import Item, Kind, Stored
from automagik.core.scheduler.calendars import CalendarManager


class CalendarRoom:
    """Holds the locks of those that matter until the transaction ends."""

    kind: ClassVar[Kind] = Kind.CALENDAR

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._manager = CalendarManager(Within(connection))

    def lock(self, tasks: Sequence[Task]) -> None:
        """Those of the tasks and of their schedules. Before schedules are locked."""
        changed = [task.step.name for task in tasks if task.step.kind is Kind.CALENDAR]
        names = {*changed, *_used(tasks)}
        query = select(CalendarRow.name).where(CalendarRow.name.in_(names))
        query = query.order_by(CalendarRow.name).with_for_update(read=not changed)
        self._connection.execute(query)

    def stored(self, items: Sequence[Item], *, projects: Collection[str]) -> Mapping[str, Stored]:
        described = CalendarRow.name.in_([item.name for item in items])
        query = select(CalendarRow.name, CalendarRow.project)
        query = query.where(or_(described, CalendarRow.project.in_(projects)))
        project_of = {row.name: row.project for row in self._connection.execute(query)}
        days = days_by_calendar(self._connection, project_of)
        return {
            name: Stored(name=name, project=project, fields={"days": days[name]})
            for name, project in project_of.items()
        }

    def wanted(self, item: Item, _: Stored | None, __: Refuse, /) -> Fields:
        return dict(item.fields)

    def in_order(self, items: Sequence[Item]) -> Sequence[Item]:
        return items

    def last_first(self, stored: Sequence[Stored]) -> Sequence[Stored]:
        return stored

    def create(self, item: Item) -> None:
        days = {date.fromisoformat(day): title for day, title in item.fields["days"].items()}
        self._manager.replace(item.name, days)
        self._own(item)

    def change(self, item: Item, _: Stored, /, *, keys: Collection[str]) -> None:
        if "days" in keys:
            self.create(item)
        self._own(item)

    def delete(self, stored: Stored) -> None:
        self._manager.delete(stored.name)

    def _own(self, item: Item) -> None:
        owned = update(CalendarRow).where(CalendarRow.name == item.name)
        self._connection.execute(owned.values(project=item.project))


def _used(tasks: Sequence[Task]) -> Iterator[str]:
    """By schedules, before or after."""
    for task in tasks:
        if task.step.kind is Kind.SCHEDULE:
            for fields in (task.item and task.item.fields, task.stored and task.stored.fields):
                if fields and "calendar" in fields:
                    yield fields["calendar"]


def days_by_calendar(
    connection: Connection, names: Collection[str]
) -> Mapping[str, dict[str, str]]:
    """As a file says them."""
    query = select(CalendarDayRow.calendar, CalendarDayRow.day, CalendarDayRow.title)
    query = query.where(CalendarDayRow.calendar.in_(names)).order_by(CalendarDayRow.day)
    found: defaultdict[str, dict[str, str]] = defaultdict(dict)
    for calendar, day, title in connection.execute(query):
        found[calendar][str(day)] = title
    return found
