"""What schedules should have come to, by the rule alone, and what they did come to."""

from datetime import datetime
from uuid import UUID

from automagik.core.scheduler.cadence import load_cadence
from tests.system.fleet import Fleet

Occurrence = tuple[UUID, datetime]


def expected(fleet: Fleet, *, begun: datetime, end: datetime) -> set[Occurrence]:
    """Every instant of every schedule after its creation and up to the end."""
    instants: set[Occurrence] = set()
    for row in fleet.rows("SELECT id, type, expr, timezone, anchor_at FROM schedules"):
        cadence = load_cadence(row.type, row.expr, timezone=row.timezone, anchor=row.anchor_at)
        instant = cadence.next_after(begun)
        while instant is not None and instant <= end:
            instants.add((row.id, instant))
            instant = cadence.next_after(instant)
    return instants


def fired(fleet: Fleet, *, end: datetime) -> list[Occurrence]:
    query = "SELECT schedule_id, scheduled_for FROM tasks WHERE scheduled_for <= :end"
    return [(row.schedule_id, row.scheduled_for) for row in fleet.rows(query, end=end)]
