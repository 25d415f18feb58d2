"""What a backfill would come to, before anything is stored."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from uuid import UUID

from sqlalchemy import Connection, text

from automagik.core.exceptions import InvalidInput
from automagik.core.flows import flow_rows
from automagik.core.flows.input_check import checked_input
from automagik.core.scheduler import rows
from automagik.core.scheduler.backfill_range import between, reaching_back
from automagik.core.scheduler.values import Schedule

MOST = 100_000
"""So many occurrences one backfill may have."""

_CHUNK = 10_000

_WITH_TASK = text("""
SELECT scheduled_for, id FROM tasks WHERE schedule_id = :schedule AND scheduled_for = ANY(:instants)
""")


@dataclass(frozen=True, kw_only=True, slots=True)
class Prospect:
    """What a backfill would come to."""

    schedule: Schedule
    begin: datetime
    end: datetime
    """Not included."""
    occurrences: Sequence[datetime]
    """Oldest first, at least one."""
    tasks: Mapping[datetime, UUID]
    """Of the occurrences that have one: they are passed by."""


def prospect(
    connection: Connection, schedule_id: UUID, *, begin: datetime, end: datetime | None
) -> Prospect:
    """Without an end it goes up to now.

    Raises NotFound, Conflict when the flow is gone, InvalidCadence when its rule is none, and
    InvalidInput for a range that is empty, reaches into the future, has no occurrence or more than
    MOST of them, and when the flow does not take the schedule's input any more.
    """
    schedule = rows.load(connection, schedule_id)
    now = rows.database_now(connection)
    _check_range(begin, end, now=now)
    end = end or now
    instants = _instants(schedule, begin, end)
    checked_input(connection, flow_rows.load(connection, schedule.flow_id), schedule.run_input)
    return Prospect(
        schedule=schedule,
        begin=begin,
        end=end,
        occurrences=instants,
        tasks=dict(_tasks(connection, schedule_id, instants)),
    )


def _check_range(begin: datetime, end: datetime | None, *, now: datetime) -> None:
    if end is not None and end > now:
        raise InvalidInput(
            "A backfill ends in the past: what lies ahead is up to the schedule itself.",
            hint="Without an end it goes up to now.",
        )
    if begin >= (end or now):
        raise InvalidInput(
            "The range of a backfill begins before it ends, and before now.",
            hint="For example: --from 2026-11-01 --to 2026-11-20",
        )


def _instants(schedule: Schedule, begin: datetime, end: datetime) -> Sequence[datetime]:
    rule = reaching_back(schedule.rule, begin)
    found = list(islice(between(rule, begin, end), MOST + 1))
    if len(found) > MOST:
        raise InvalidInput(
            f"Schedule {schedule.name!r} occurs more than {MOST:,} times in that range.",
            hint="Take a shorter range, and the next one when it is done.",
        )
    if not found:
        raise InvalidInput(
            f"Schedule {schedule.name!r} does not occur in that range: {rule.describe()}.",
            hint=f"When it does: automagik schedules preview {schedule.name} --from TIME",
        )
    return found


def _tasks(
    connection: Connection, schedule_id: UUID, instants: Sequence[datetime]
) -> Iterator[tuple[datetime, UUID]]:
    for place in range(0, len(instants), _CHUNK):
        query = {"schedule": schedule_id, "instants": instants[place : place + _CHUNK]}
        for row in connection.execute(_WITH_TASK, query):
            yield row.scheduled_for, row.id
