"""Schedules, and the sources and calendars that they need, as files that can be applied."""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, Select, select

from automagik.core.config import Settings
from automagik.core.database.models import CalendarRow, FlowRow, ScheduleRow, SourceRow
from automagik.core.database.session import Database
from automagik.core.exceptions import Ambiguous
from automagik.core.flows import source_rows
from automagik.core.flows.reference import find_flow
from automagik.core.flows.values import Source
from automagik.core.manifest.calendars import days_by_calendar
from automagik.core.manifest.schedule_fields import after_text, fields_of
from automagik.core.manifest.sources import fields_of_source
from automagik.core.manifest.writing import yaml_text
from automagik.core.scheduler import rows
from automagik.core.scheduler.values import Schedule

_Documents = dict[str | None, dict[str, dict[str, Any]]]
"""By project, then by kind, then by name."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Export:
    """What came out."""

    text: str
    without_key: Sequence[str]
    """The sources whose keys are stored, and are not written."""
    left_out: Sequence[str]
    """The schedules that nobody could make anew: no run of theirs is to come."""


def export(
    database: Database,
    settings: Settings,
    *,
    schedules: Collection[UUID] | None = None,
    flow_id: UUID | None = None,
) -> Export:
    """One document for each project. Without a choice all that there is is written.

    Raises DatabaseUnreachable, and InvalidCadence for a schedule that is none any more.
    """
    with database.transaction() as connection:
        chosen = rows.read(connection, _query(schedules, flow_id))
        ended = _ended(chosen, now=rows.database_now(connection))
        found = [each for each in chosen if each.id not in ended]
        is_all = schedules is None and flow_id is None
        documents: _Documents = defaultdict(lambda: defaultdict(dict))
        sources = _sources(connection, None if is_all else {each.source_name for each in found})
        for source, project in sources:
            documents[project]["sources"][source.name] = fields_of_source(source)
        calendars = {each.limits.calendar for each in found if each.limits.calendar}
        _add_calendars(connection, documents, None if is_all else calendars)
        _add_schedules(connection, documents, found, zone=settings.timezone)
    return Export(
        text=yaml_text([_document(documents[key], key, settings.timezone) for key in documents]),
        without_key=[source.name for source, _ in sources if source.has_api_key],
        left_out=sorted(each.name for each in chosen if each.id in ended),
    )


def _query(schedules: Collection[UUID] | None, flow_id: UUID | None) -> Select[Any]:
    query = rows.schedules()
    if schedules is not None:
        query = query.where(ScheduleRow.id.in_(schedules))
    return query if flow_id is None else query.where(ScheduleRow.flow_id == flow_id)


def _ended(schedules: Sequence[Schedule], *, now: datetime) -> Collection[UUID]:
    """Those whose times have passed, and the chains that follow them."""
    ended = {
        each.id for each in schedules if each.after is None and each.rule.next_after(now) is None
    }
    followers: defaultdict[UUID | None, list[UUID]] = defaultdict(list)
    for each in schedules:
        if each.after is not None:
            followers[each.after.schedule_id].append(each.id)
    waiting = [*ended]
    while waiting:
        going = followers[waiting.pop()]
        ended.update(going)
        waiting += going
    return ended


def _sources(
    connection: Connection, names: Collection[str] | None
) -> Sequence[tuple[Source, str | None]]:
    query = select(SourceRow.id, SourceRow.project)
    project_of = {row.id: row.project for row in connection.execute(query)}
    return [
        (source, project_of[source.id])
        for source in source_rows.load_all(connection)
        if names is None or source.name in names
    ]


def _add_calendars(
    connection: Connection, documents: _Documents, names: Collection[str] | None
) -> None:
    query = select(CalendarRow.name, CalendarRow.project).order_by(CalendarRow.name)
    if names is not None:
        query = query.where(CalendarRow.name.in_(names))
    found = connection.execute(query).all()
    days = days_by_calendar(connection, [row.name for row in found])
    for row in found:
        documents[row.project]["calendars"][row.name] = {
            "days": {day: title or None for day, title in days[row.name].items()}
        }


def _add_schedules(
    connection: Connection, documents: _Documents, schedules: Sequence[Schedule], *, zone: str
) -> None:
    flows = {each.flow_id for each in schedules}
    flows |= {each.after.flow_id for each in schedules if each.after and each.after.flow_id}
    references = {flow_id: _reference(connection, flow_id) for flow_id in flows}
    for each in sorted(schedules, key=lambda each: each.name):
        fields = fields_of(each, flow=references[each.flow_id])
        if each.after is not None:
            by_flow = each.after.flow_id
            fields["after"] = f"flow:{references[by_flow]}" if by_flow else after_text(each.after)
        if fields.get("timezone") == zone:
            del fields["timezone"]
        documents[each.project]["schedules"][each.name] = fields


def _reference(connection: Connection, flow_id: UUID) -> str:
    """By its name where that means it alone."""
    query = select(FlowRow.name, SourceRow.name.label("source"))
    query = query.join(SourceRow, SourceRow.id == FlowRow.source_id).where(FlowRow.id == flow_id)
    row = connection.execute(query).one()
    for reference in (row.name, f"{row.source}/{row.name}"):
        if _means(connection, reference, flow_id):
            return str(reference)
    return str(flow_id)


def _means(connection: Connection, reference: str, flow_id: UUID) -> bool:
    try:
        return reference == reference.strip() and find_flow(connection, reference) == flow_id
    except Ambiguous:
        return False


def _document(kinds: Mapping[str, Any], project: str | None, timezone: str) -> dict[str, Any]:
    head = {} if project is None else {"project": project}
    return {**head, "timezone": timezone, **kinds}
