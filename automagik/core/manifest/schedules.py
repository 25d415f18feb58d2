"""The schedules of files. A file is the whole truth of one, but for whether it is paused."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar
from uuid import UUID

from sqlalchemy import Connection, or_, select

from automagik.core.config import Settings
from automagik.core.database.models import CalendarRow, ScheduleRow
from automagik.core.database.session import WAKE, Within, notify
from automagik.core.exceptions import AutomagikError, Conflict, NotFound
from automagik.core.flows import flow_rows
from automagik.core.flows.input_check import checked_input
from automagik.core.flows.reference import find_flow
from automagik.core.flows.values import Flow
from automagik.core.manifest.schedule_fields import (
    after_of,
    after_text,
    change_to,
    fields_of,
    input_of,
    limits_of,
    policies_of,
    run_options_of,
)
from automagik.core.manifest.schedule_keys import Fields, Refuse, cadence_texts
from automagik.core.manifest.values import Item, Kind, Stored
from automagik.core.scheduler import rows
from automagik.core.scheduler.calendar_days import no_calendar
from automagik.core.scheduler.chains import family, find_after, lock_chains, lock_schedules
from automagik.core.scheduler.manager import SchedulerManager
from automagik.core.scheduler.rule_text import RuleLimits
from automagik.core.scheduler.values import Schedule, ScheduleChange, ScheduleStatus

_STATUS_KEYS = {"paused", "note"}
_OWN_KEYS = {"project", "flow", *_STATUS_KEYS}
"""What SchedulerManager does not change by an update."""


class ScheduleRoom:
    """Holds the locks of what it is told to change, in the order in which everybody locks."""

    kind: ClassVar[Kind] = Kind.SCHEDULE

    def __init__(
        self, connection: Connection, settings: Settings, names: Collection[tuple[Kind, str]]
    ) -> None:
        self._connection = connection
        self._manager = SchedulerManager(Within(connection), settings)
        self._names = names
        self._flows: dict[str, Flow] = {}

    def stored(self, items: Sequence[Item], *, projects: Collection[str]) -> Mapping[str, Stored]:
        described = ScheduleRow.name.in_([item.name for item in items])
        query = rows.schedules().where(or_(described, ScheduleRow.project.in_(projects)))
        return {
            each.name: Stored(
                name=each.name,
                project=each.project,
                fields=fields_of(each, flow=each.flow_name),
                value=each,
            )
            for each in rows.read(self._connection, query)
        }

    def wanted(self, item: Item, stored: Stored | None, refuse: Refuse, /) -> Fields:
        fields = dict(item.fields)
        schedule: Schedule | None = stored.value if stored else None
        for key, resolve in _RESOLVED.items():
            try:
                if key in fields:
                    resolve(self, fields, schedule)
            except AutomagikError as error:
                refuse(key, error)
        if stored is not None and item.is_valid:
            _refuse_other_type(fields, stored, refuse)
            _keep_status(fields, stored)
            self._name_components(item, fields, stored, refuse)
        return fields

    def in_order(self, items: Sequence[Item]) -> Sequence[Item]:
        """Chains after what they follow."""
        followed = {item.name: _followed(item.fields) for item in items}
        return sorted(items, key=lambda item: _depth(item.name, followed))

    def last_first(self, stored: Sequence[Stored]) -> Sequence[Stored]:
        followed = {each.name: _followed(each.fields) for each in stored}
        return sorted(stored, key=lambda each: _depth(each.name, followed), reverse=True)

    def lock(self, schedules: Collection[Schedule], *, deleted: Collection[Schedule]) -> None:
        lock_chains(self._connection)
        going = family(self._connection, schedules=[each.id for each in deleted])
        lock_schedules(self._connection, {*going, *(each.id for each in schedules)})

    def create(self, item: Item) -> None:
        fields = item.fields
        after, cadences = after_of(fields), tuple(cadence_texts(fields))
        schedule = self._manager.create(
            self._flow(fields["flow"]),
            after or cadences[0],
            more_cadences=cadences[1:],
            run_input=input_of(fields),
            timezone=fields.get("timezone"),
            limits=RuleLimits(**limits_of(fields)),
            name=item.name,
            **run_options_of(fields),
            policies=policies_of(fields),
            labels=fields.get("labels"),
        )
        self._own(item, schedule.id)
        if fields.get("paused"):
            self._manager.pause(schedule.id, note=fields.get("note"))

    def change(self, item: Item, stored: Stored, /, *, keys: Collection[str]) -> None:
        schedule: Schedule = stored.value
        said = {*keys} - _OWN_KEYS
        if "flow" in keys:
            rows.change(
                self._connection, schedule.id, {"flow_id": self._flow(item.fields["flow"]).id}
            )
            said |= {"input", "tweaks", "session"}
        change = change_to(item.fields, keys=said)
        if change != ScheduleChange():
            self._manager.update(schedule.id, change)
        if {*keys} & _STATUS_KEYS:
            if item.fields["paused"]:
                self._manager.pause(schedule.id, note=item.fields.get("note"))
            else:
                self._manager.resume(schedule.id)
        self._own(item, schedule.id)

    def delete(self, stored: Stored) -> None:
        """Raises Conflict when schedules that others describe would go with it."""
        going = family(self._connection, schedules=[stored.value.id])
        kept = select(ScheduleRow.name).where(
            ScheduleRow.id.in_(going), ScheduleRow.id != stored.value.id
        )
        followers = self._connection.scalars(kept.order_by(ScheduleRow.name)).all()
        if followers:
            raise Conflict(
                f"It is followed by: {', '.join(followers)}.",
                hint="Let them follow something else, or delete them first.",
            )
        self._manager.delete(stored.value.id)

    def _resolve_flow(self, fields: Fields, schedule: Schedule | None) -> None:
        flow = self._flow(fields["flow"])
        fields["flow"] = flow.name
        if schedule is not None and flow.id != schedule.flow_id and flow.name == schedule.flow_name:
            fields["flow"] = f"{flow.source_name}/{flow.name}"

    def _flow(self, reference: str) -> Flow:
        if reference not in self._flows:
            try:
                flow_id = find_flow(self._connection, reference)
            except NotFound as error:
                raise NotFound(error.message, hint=self._way_to(reference) or error.hint) from None
            self._flows[reference] = flow_rows.load(self._connection, flow_id)
        return self._flows[reference]

    def _way_to(self, reference: str) -> str | None:
        """How a flow of a source of the files comes in: nobody syncs in the middle of this."""
        source, slash, _ = reference.partition("/")
        if not slash or (Kind.SOURCE, source.lower()) not in self._names:
            return None
        return f"First: automagik apply --only sources, then automagik flows sync --source {source}"

    def _resolve_calendar(self, fields: Fields, _: Schedule | None) -> None:
        name = fields["calendar"]
        known = select(CalendarRow.name).where(CalendarRow.name == name)
        is_described = (Kind.CALENDAR, name) in self._names
        if not is_described and self._connection.scalar(known) is None:
            raise no_calendar(self._connection, name)

    def _resolve_after(self, fields: Fields, schedule: Schedule | None) -> None:
        said, name = after_of(fields), _followed(fields)
        if said is None or (Kind.SCHEDULE, name) in self._names:
            fields["after"] = f"schedule:{name}"
            return
        found = find_after(self._connection, said)
        stored = schedule.after if schedule else None
        if stored is not None and replace(found, end=stored.end) == stored:
            fields["after"] = after_text(found)

    def _name_components(self, item: Item, fields: Fields, stored: Stored, refuse: Refuse) -> None:
        """Tweaks are stored by the ids of components; files may have their names."""
        if fields.get("tweaks") in (None, stored.fields.get("tweaks")):
            return
        try:
            flow = self._flow(item.fields["flow"])
            checked = checked_input(self._connection, flow, input_of(fields))
        except AutomagikError as error:
            refuse("tweaks", error)
        else:
            fields["tweaks"] = dict(checked.tweaks)

    def _own(self, item: Item, schedule_id: UUID) -> None:
        rows.change(self._connection, schedule_id, {"project": item.project})
        notify(self._connection, WAKE)


_RESOLVED: Mapping[str, Callable[[ScheduleRoom, Fields, Schedule | None], None]] = {
    "flow": ScheduleRoom._resolve_flow,  # noqa: SLF001 - its own
    "calendar": ScheduleRoom._resolve_calendar,  # noqa: SLF001
    "after": ScheduleRoom._resolve_after,  # noqa: SLF001
}
"""What names something that must be there."""


def _refuse_other_type(fields: Fields, stored: Stored, refuse: Refuse) -> None:
    if ("after" in fields) is not ("after" in stored.fields):
        error = Conflict(
            "A schedule with a clock cannot become a chain, nor the other way round.",
            hint="Give the new one another name.",
        )
        refuse("after", error)


def _keep_status(fields: Fields, stored: Stored) -> None:
    """What a person did to it stays, unless the file says something else."""
    said, is_paused = fields.get("paused"), stored.fields.get("paused", False)
    status: ScheduleStatus = stored.value.status
    starts_nothing = status in (ScheduleStatus.COMPLETED, ScheduleStatus.ERROR)
    if said is None or (said and starts_nothing):
        fields |= {key: stored.fields.get(key) for key in _STATUS_KEYS}
    elif said and is_paused:
        fields.setdefault("note", stored.fields.get("note"))
    elif not said:
        fields["paused"] = False if is_paused else None


def _followed(fields: Mapping[str, Any]) -> str:
    """The schedule that a chain may mean; an empty name for what is none."""
    reference: str = fields.get("after", "")
    return reference.removeprefix("schedule:")


def _depth(name: str, followed: Mapping[str, str]) -> int:
    """How many of the schedules come before it."""
    seen: set[str] = set()
    while name in followed and name not in seen:
        seen.add(name)
        name = followed[name]
    return len(seen)
