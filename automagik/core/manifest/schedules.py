"""The schedules of files. A file is the whole truth of one, but for whether it is paused."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from functools import cached_property
from typing import Any, ClassVar
from uuid import UUID

from sqlalchemy import ColumnElement, Connection, or_, select

from automagik.core.config import Settings
from automagik.core.database.models import CalendarRow, ScheduleRow
from automagik.core.database.session import Within
from automagik.core.exceptions import AutomagikError, Conflict, NotFound
from automagik.core.flows import flow_rows
from automagik.core.flows.input_check import checked_input
from automagik.core.flows.reference import find_flow
from automagik.core.flows.values import Flow
from automagik.core.manifest.chain_order import depth, followed
from automagik.core.manifest.passed import still_said
from automagik.core.manifest.plan import Task
from automagik.core.manifest.schedule_fields import (
    after_of,
    after_text,
    change_to,
    fields_of,
    input_of,
    limits_of,
    pause_end,
    policies_of,
    run_options_of,
)
from automagik.core.manifest.schedule_keys import PAUSE_KEYS, Fields, Refuse, cadence_texts
from automagik.core.manifest.values import Item, Kind, Stored
from automagik.core.scheduler import rows
from automagik.core.scheduler.calendar_days import no_calendar
from automagik.core.scheduler.chains import (
    family,
    find_after,
    lock_chains,
    lock_schedules,
    refuse_circle,
)
from automagik.core.scheduler.manager import SchedulerManager
from automagik.core.scheduler.rule_text import RuleLimits
from automagik.core.scheduler.values import Schedule, ScheduleChange, ScheduleStatus

_OWN_KEYS = {"project", "flow", *PAUSE_KEYS}
"""What SchedulerManager does not change by an update."""
_CHAIN_KEYS = {"flow", "after", "on"}
"""What says which runs start which."""


class ScheduleRoom:
    """Holds the locks of what it is told to change, in the order in which everybody locks."""

    kind: ClassVar[Kind] = Kind.SCHEDULE

    def __init__(
        self,
        connection: Connection,
        settings: Settings,
        *,
        now: datetime,
        names: Collection[tuple[Kind, str]],
        kinds: Collection[Kind],
    ) -> None:
        """`names` are all of the files, `kinds` those that are applied."""
        self._connection = connection
        # Gaps are looked at before anything is locked.
        within = Within(connection)
        self._manager = SchedulerManager(within, settings, refuses_short_gaps=False)
        self._now = now
        self._names = names
        self._kinds = kinds
        self._flows: dict[str, Flow] = {}

    def stored(self, items: Sequence[Item], *, projects: Collection[str]) -> Mapping[str, Stored]:
        chosen: ColumnElement[bool] = ScheduleRow.name.in_([item.name for item in items])
        if projects:  # Of which no index knows.
            chosen = or_(chosen, ScheduleRow.project.in_(projects))
        return {
            each.name: Stored(
                name=each.name,
                project=each.project,
                fields=still_said(fields_of(each, flow=each.flow_name), now=self._now),
                value=each,
            )
            for each in rows.read(self._connection, rows.schedules().where(chosen))
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
        by_name = {item.name: item.fields for item in items}
        return sorted(items, key=lambda item: depth(item.name, by_name))

    def last_first(self, stored: Sequence[Stored]) -> Sequence[Stored]:
        by_name = {each.name: each.fields for each in stored}
        return sorted(stored, key=lambda each: depth(each.name, by_name), reverse=True)

    def lock(self, tasks: Sequence[Task]) -> None:
        """Those of the tasks, and what moves or goes with them."""
        mine = [task for task in tasks if task.step.kind is Kind.SCHEDULE]
        if any(map(_concerns_chains, mine)):
            lock_chains(self._connection)
        there = {task.stored.value.id: task for task in mine if task.stored is not None}
        going = [id_ for id_, task in there.items() if task.item is None]
        calendars = [task.step.name for task in tasks if task.step.kind is Kind.CALENDAR]
        moved = select(ScheduleRow.id).where(ScheduleRow.calendar.in_(calendars))
        moved_ids = self._connection.scalars(moved).all() if calendars else ()
        gone = family(self._connection, schedules=going) if going else ()
        lock_schedules(self._connection, {*there, *gone, *moved_ids})

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
            self._manager.pause(schedule.id, note=fields.get("note"), until=pause_end(fields))

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
        if "flow" in keys:  # Once it follows what it will.
            refuse_circle(self._connection, schedule.id)
        if not {*keys}.isdisjoint(PAUSE_KEYS):
            self._pause_or_resume(item.fields, stored)
        if "project" in keys:
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

    def _pause_or_resume(self, fields: Mapping[str, Any], stored: Stored) -> None:
        schedule: Schedule = stored.value
        if fields["paused"]:
            until = pause_end(fields)
            if until is None and "paused-until" in stored.fields:
                until = schedule.paused_until
            self._manager.pause(schedule.id, note=fields.get("note"), until=until)
        else:
            self._manager.resume(schedule.id)

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
        is_described = (Kind.CALENDAR, name) in self._names
        if name in self._calendars or (is_described and Kind.CALENDAR in self._kinds):
            return
        error = no_calendar(self._connection, name)
        if is_described:
            hint = "--only leaves out the one in the files. First: automagik apply --only calendars"
            raise NotFound(error.message, hint=hint)
        raise error

    @cached_property
    def _calendars(self) -> Collection[str]:
        return set(self._connection.scalars(select(CalendarRow.name)))

    def _resolve_after(self, fields: Fields, schedule: Schedule | None) -> None:
        said = after_of(fields)
        if said is None or (Kind.SCHEDULE, followed(fields)) in self._names:
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


_RESOLVED: Mapping[str, Callable[[ScheduleRoom, Fields, Schedule | None], None]] = {
    "flow": ScheduleRoom._resolve_flow,  # noqa: SLF001 - its own
    "calendar": ScheduleRoom._resolve_calendar,  # noqa: SLF001
    "after": ScheduleRoom._resolve_after,  # noqa: SLF001
}
"""What names something that must be there."""


def _concerns_chains(task: Task) -> bool:
    """Whether it may change who starts whom."""
    if task.item is None:
        return True
    if task.stored is None:
        return "after" in task.item.fields
    return not task.step.keys.isdisjoint(_CHAIN_KEYS)


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
        fields |= {key: stored.fields.get(key) for key in PAUSE_KEYS}
    elif said and is_paused:
        for key in PAUSE_KEYS:
            fields.setdefault(key, stored.fields.get(key))
    elif not said:
        fields["paused"] = False if is_paused else None
