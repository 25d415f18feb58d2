"""What makes a chain, and what makes it follow something else.

`--on-failure FLOW` and the like are chains with names of their own, made with what they follow.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, select

from automagik.core.database.models import ScheduleRow
from automagik.core.exceptions import InvalidInput, NotFound
from automagik.core.flows import flow_rows
from automagik.core.flows.flow_input import FlowInput
from automagik.core.flows.input_check import checked_input
from automagik.core.flows.values import Flow
from automagik.core.scheduler import rows
from automagik.core.scheduler.after import After, AfterText, End, Reaction, default_input
from automagik.core.scheduler.chains import find_after, hold, lock_chains, refuse_circle, remove
from automagik.core.scheduler.names import checked_name, derived_name
from automagik.core.scheduler.rule_text import CadenceText
from automagik.core.scheduler.schedule_type import ScheduleType
from automagik.core.scheduler.values import Schedule, ScheduleChange

Columns = dict[str, Any]


def begin(
    connection: Connection,
    flow: Flow,
    when: CadenceText | AfterText,
    reactions: Mapping[Reaction, Flow],
) -> After | None:
    """Holds what a new schedule and its chains hang on; what it follows, if it is a chain itself.

    Raises NotFound and Ambiguous.
    """
    if isinstance(when, CadenceText) and not reactions:
        return None
    lock_chains(connection)
    after = find_after(connection, when) if isinstance(when, AfterText) else None
    hold(connection, after, [flow.id, *(each.id for each in reactions.values())])
    return after


def add(
    connection: Connection,
    columns: Columns,
    after: After,
    *,
    flow: Flow,
    name: str | None,
    timezone: str,
) -> UUID:
    """A new chain. Raises Conflict when the name is taken, or it would start itself."""
    now = rows.database_now(connection)
    columns = columns | after.new_columns(timezone=timezone, now=now)
    if name is not None:
        schedule_id = rows.add(connection, columns, name=checked_name(name))
    else:
        made_up = derived_name(flow.name, type_=ScheduleType.AFTER, expr=after.name)
        schedule_id = rows.add_numbered(connection, lambda _: columns, name=made_up)
    refuse_circle(connection, schedule_id)
    return schedule_id


def changed(connection: Connection, schedule: Schedule, change: ScheduleChange) -> Columns:
    """What the schedule follows, what follows it, and what that is called.

    Raises InvalidInput, NotFound, Ambiguous and Conflict.
    """
    for option in change.unset:
        if isinstance(option, Reaction):
            _unreact(connection, schedule, option, change)
    if change.name is not None and change.name.strip() != schedule.name:
        _rename_reactions(connection, schedule, change.name.strip())
    columns: Columns = {}
    if change.after is not None or change.on is not None:
        columns = _followed(connection, schedule, change)
    name = schedule.name if change.name is None else change.name.strip()
    hold(connection, None, [each.id for each in change.reactions.values()])
    react(connection, replace(schedule, name=name), change.reactions)
    return columns


def _followed(connection: Connection, schedule: Schedule, change: ScheduleChange) -> Columns:
    """It is written here, to see whether it starts itself."""
    if schedule.after is None:
        raise InvalidInput(
            f"Schedule {schedule.name!r} has a clock and cannot follow anything.",
            hint=f"Make another: automagik schedules create {schedule.flow_name} --after …",
        )
    flow = flow_rows.load(connection, schedule.flow_id)
    end = schedule.after.end if change.on is None else change.on
    after = replace(schedule.after, end=end)
    if change.after is not None:
        after = find_after(connection, AfterText(reference=change.after, end=end))
        hold(connection, after, [flow.id])
    columns = dict(after.columns())
    usual = first_input(schedule.after.end, flow)
    if change.input_value is None and schedule.run_input.input_value == usual:
        columns["input_value"] = first_input(end, flow)
    rows.change(connection, schedule.id, columns)
    refuse_circle(connection, schedule.id)
    return columns


def first_input(end: End, flow: Flow) -> str:
    """What a chain gives its flow unless something else is said."""
    return "" if flow.input_component is None else default_input(end)


def react(connection: Connection, schedule: Schedule, reactions: Mapping[Reaction, Flow]) -> None:
    """Chains after a schedule, by their own flows; each replaces the one that there was.

    Raises InvalidInput, and Conflict when a name is taken or one would start itself.
    """
    now = rows.database_now(connection)
    for reaction, flow in reactions.items():
        name = reaction.name_after(schedule.name)
        there = _reaction(connection, schedule.id, name)
        if there is not None and there.flow_id == flow.id:
            continue
        if there is not None:
            remove(connection, there.id)
        after = After(end=reaction.end, schedule_id=schedule.id, flow_id=None, name=schedule.name)
        run_input = FlowInput(input_value=first_input(reaction.end, flow))
        checked_input(connection, flow, run_input)
        columns = {"flow_id": flow.id, "input_value": run_input.input_value, "tweaks": {}}
        columns |= after.new_columns(timezone=schedule.timezone, now=now)
        refuse_circle(connection, rows.add(connection, columns, name=checked_name(name)))


def _unreact(
    connection: Connection, schedule: Schedule, reaction: Reaction, change: ScheduleChange
) -> None:
    if reaction in change.reactions:
        raise InvalidInput(f"A new {reaction} is given and unset at the same time.")
    there = _reaction(connection, schedule.id, reaction.name_after(schedule.name))
    if there is None:
        raise NotFound(f"Schedule {schedule.name!r} has no {reaction}.")
    remove(connection, there.id)


def _rename_reactions(connection: Connection, schedule: Schedule, name: str) -> None:
    """They are known by its name."""
    for reaction in Reaction:
        there = _reaction(connection, schedule.id, reaction.name_after(schedule.name))
        if there is not None:
            its_name = checked_name(reaction.name_after(name))
            rows.change(connection, there.id, {"name": its_name})


def _reaction(connection: Connection, schedule_id: UUID, name: str) -> Any:
    query = select(ScheduleRow.id, ScheduleRow.flow_id)
    query = query.where(ScheduleRow.after_schedule_id == schedule_id, ScheduleRow.name == name)
    return connection.execute(query).one_or_none()
