"""Chains in the tables: what a new one follows, that none starts itself, who follows whom.

Who changes what follows what holds one lock, so that two of them do not close a circle together.
It is taken first, then schedules in the order of their ids, then flows.
"""

from collections.abc import Collection, Sequence
from contextlib import suppress
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, select, text
from sqlalchemy import delete as delete_from

from automagik.core.database import lookup
from automagik.core.database.models import FlowRow, ScheduleRow
from automagik.core.exceptions import Ambiguous, Conflict, NotFound
from automagik.core.flows.reference import find_flow
from automagik.core.scheduler import rows
from automagik.core.scheduler.after import After, AfterText, End
from automagik.core.scheduler.chain_links import Link, circle
from automagik.core.scheduler.overlap import cancel_buffered
from automagik.core.scheduler.values import Schedule, ScheduleChange

Columns = dict[str, Any]

# The key of an advisory lock, without meaning.
_LOCK = 3_141_592_653

# A chain, what its runs start, and so on: few, however many there are in all.
_LINKS = text("""
WITH RECURSIVE started AS (
    SELECT id, name, flow_id, after_schedule_id, after_flow_id FROM schedules
    WHERE id = :id AND type = 'after'
    UNION
    SELECT s.* FROM started CROSS JOIN LATERAL (
        SELECT id, name, flow_id, after_schedule_id, after_flow_id FROM schedules
        WHERE after_schedule_id = started.id
        UNION ALL
        SELECT id, name, flow_id, after_schedule_id, after_flow_id FROM schedules
        WHERE after_flow_id = started.flow_id
    ) s
)
SELECT s.*, f.name AS flow FROM started s JOIN flows f ON f.id = s.flow_id
""")

# All that goes when some schedules and flows are deleted: the schedules of these flows, their
# followers, and so on.
_FAMILY = text("""
WITH RECURSIVE family AS (
    SELECT id FROM schedules
    WHERE id = ANY(:schedules) OR flow_id = ANY(:flows) OR after_flow_id = ANY(:flows)
    UNION
    SELECT s.id FROM family JOIN schedules s ON s.after_schedule_id = family.id
)
SELECT id FROM family
""")


def lock_chains(connection: Connection) -> None:
    """Nobody else changes what follows what until the transaction ends."""
    connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK})


def find_after(connection: Connection, said: AfterText) -> After:
    """Raises NotFound and Ambiguous."""
    kind, colon, rest = said.reference.partition(":")
    if colon and kind in ("schedule", "flow"):
        return _after(connection, said.end, kind, rest)
    found = []
    for each in ("schedule", "flow"):
        with suppress(NotFound):
            found.append(_after(connection, said.end, each, said.reference))
    if len(found) == 1:
        return found[0]
    if found:
        raise Ambiguous(
            f"There is a schedule {said.reference!r}, and a flow of that name.",
            hint=f"Write schedule:{said.reference} or flow:{said.reference}",
        )
    known = set(connection.scalars(select(ScheduleRow.name)))
    known |= set(connection.scalars(select(FlowRow.name)))
    raise NotFound(
        f"There is neither a schedule nor a flow {said.reference!r}.",
        hint=lookup.nearest(said.reference, known)
        or "See which there are with: automagik schedules list, automagik flows list",
    )


def _after(connection: Connection, end: End, kind: str, reference: str) -> After:
    if kind == "flow":
        flow_id = find_flow(connection, reference)
        name = connection.scalar(select(FlowRow.name).where(FlowRow.id == flow_id))
        return After(end=end, schedule_id=None, flow_id=flow_id, name=str(name))
    schedule_id = lookup.find(connection, ScheduleRow, reference, noun="schedule")
    name = connection.scalar(select(ScheduleRow.name).where(ScheduleRow.id == schedule_id))
    return After(end=end, schedule_id=schedule_id, flow_id=None, name=str(name))


def hold(connection: Connection, after: After | None, flows: Collection[UUID]) -> None:
    """Nobody deletes what a new chain follows, nor these flows. Raises NotFound."""
    wanted = set(flows)
    if after is not None and after.schedule_id is not None:
        query = select(ScheduleRow.id).where(ScheduleRow.id == after.schedule_id)
        if connection.scalar(query.with_for_update(read=True, key_share=True)) is None:
            raise NotFound(f"There is no schedule {after.name!r} any more.")
    if after is not None and after.flow_id is not None:
        wanted.add(after.flow_id)
    if not wanted:
        return
    query = select(FlowRow.id).where(FlowRow.id.in_(wanted)).order_by(FlowRow.id)
    held = connection.scalars(query.with_for_update(read=True, key_share=True))
    if wanted - set(held):
        raise NotFound("A flow was deleted meanwhile.")


def refuse_circle(connection: Connection, schedule_id: UUID) -> None:
    """Once it is written. Raises Conflict."""
    found = connection.execute(_LINKS, {"id": schedule_id}).mappings()
    links = [Link(**row) for row in found]
    start = next((link for link in links if link.id == schedule_id), None)
    way = circle(links, start) if start is not None else ()
    if way:
        raise Conflict(
            f"Schedule {way[0]!r} would start itself: {' → '.join(way)}.",
            hint="A chain has a beginning: let it follow something else.",
        )


def family(
    connection: Connection, *, schedules: Collection[UUID] = (), flows: Collection[UUID] = ()
) -> Sequence[UUID]:
    """The schedules that go when these are deleted, themselves included."""
    arguments = {"schedules": list(schedules), "flows": list(flows)}
    return connection.scalars(_FAMILY, arguments).all()


def lock_schedules(connection: Connection, schedules: Collection[UUID]) -> None:
    """In the order in which everybody locks several."""
    query = select(ScheduleRow.id).where(ScheduleRow.id.in_(schedules)).order_by(ScheduleRow.id)
    connection.execute(query.with_for_update())


def lock_change(connection: Connection, schedule_id: UUID, change: ScheduleChange) -> None:
    """Before the schedule itself is locked. Raises NotFound and Ambiguous."""
    if not change.concerns_chains:
        return
    lock_chains(connection)
    wanted = {*family(connection, schedules=[schedule_id])}
    if change.after is not None:
        after = find_after(connection, AfterText(reference=change.after))
        wanted |= {after.schedule_id} if after.schedule_id is not None else set()
    lock_schedules(connection, wanted)


def delete(connection: Connection, schedule_id: UUID) -> None:
    """With all that follows it. Raises NotFound."""
    lock_chains(connection)
    lock_schedules(connection, family(connection, schedules=[schedule_id]))
    rows.load(connection, schedule_id)
    remove(connection, schedule_id)


def remove(connection: Connection, schedule_id: UUID) -> None:
    """Its tasks stay; those that waited for their turn are cancelled."""
    for each in family(connection, schedules=[schedule_id]):
        cancel_buffered(connection, each)
    connection.execute(delete_from(ScheduleRow).where(ScheduleRow.id == schedule_id))


def lock_with_flows(connection: Connection, flows: Collection[UUID]) -> None:
    """All schedules that go when these flows are deleted, and what follows what, before.

    What waits for its turn in those of other flows is cancelled: it would all start at once.
    """
    lock_chains(connection)
    gone = family(connection, flows=flows)
    lock_schedules(connection, gone)
    of_others = select(ScheduleRow.id).where(
        ScheduleRow.id.in_(gone), ScheduleRow.flow_id.not_in(flows)
    )
    for each in connection.scalars(of_others).all():
        cancel_buffered(connection, each)


def goes_along(
    connection: Connection, *, schedules: Collection[UUID] = (), flows: Collection[UUID] = ()
) -> Sequence[str]:
    """The names of the chains that go when these are deleted, and are not of these flows."""
    gone = set(family(connection, schedules=schedules, flows=flows)) - set(schedules)
    query = select(ScheduleRow.name).where(ScheduleRow.id.in_(gone))
    query = query.where(ScheduleRow.flow_id.not_in(flows)).order_by(ScheduleRow.name)
    return connection.scalars(query).all()


def followers(connection: Connection, schedule: Schedule) -> Sequence[Schedule]:
    """What its runs start, by name: what follows it, and what follows its flow."""
    query = rows.schedules().where(
        (ScheduleRow.after_schedule_id == schedule.id)
        | (ScheduleRow.after_flow_id == schedule.flow_id)
    )
    return rows.read(connection, query.order_by(ScheduleRow.name))
