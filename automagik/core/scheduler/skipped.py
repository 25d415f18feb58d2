"""The record of occurrences that did not become tasks."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, TextClause, text

from automagik.core.scheduler.closure import Reason
from automagik.core.scheduler.new_tasks import as_json

LEFT_OUT = tuple(map(str, Reason))
"""Reasons of instants that the rule left out: no occurrences, so these may lie between others."""

REASONS = {
    "misfire": "no beat fired it in time",
    "overlap": "an earlier run of the schedule was unfinished",
    "paused": "the schedule was paused",
    "source-disabled": "the flow's source was disabled",
    "holiday": "it is a holiday in the schedule's calendar",
    "excluded": "the schedule excludes it",
    "quiet-hours": "it lies in the quiet hours",
    "window": "it lay outside the schedule's start and end",
    "max-runs": "the schedule had made as many runs as it may",
    "flow-gone": "its flow was gone from the source",
    "input": "its input could not be made of what the run before had brought; the log of the beat"
    " says why",
    "error": "something went wrong with it; the log of the beat says what",
}
"""The words of the record, for people."""

# The latest stretches of a schedule since it ran last. One that skips for ever has few.
_LATEST = text("""
SELECT DISTINCT ON (s.id, o.kind) s.id AS schedule_id, o.*
FROM schedules s CROSS JOIN LATERAL (
    SELECT id, first_at, last_at, reason,
        CASE WHEN reason = ANY(:left_out) THEN reason ELSE '' END AS kind
    FROM skipped_occurrences
    WHERE schedule_id = s.id AND first_at > greatest(s.counts_from, s.last_run_at)
) o
WHERE s.id = ANY(:schedules) AND s.caught_up_from IS NULL
ORDER BY s.id, o.kind, o.first_at DESC
""")

_GROW = text("""
UPDATE skipped_occurrences o SET last_at = r.last_at, recorded_at = now()
FROM jsonb_to_recordset(CAST(:rows AS jsonb)) AS r (id bigint, last_at timestamptz)
WHERE o.id = r.id
""")

_TELL = text("""
INSERT INTO skipped_occurrences (schedule_id, first_at, last_at, reason)
SELECT schedule_id, first_at, last_at, reason
FROM jsonb_to_recordset(CAST(:rows AS jsonb)) AS r (schedule_id uuid, first_at timestamptz,
    last_at timestamptz, reason text)
""")


def tell_skipped(connection: Connection, rows: Sequence[Mapping[str, Any]]) -> None:
    """Each with `schedule_id`, `first_at`, `last_at` and `reason`: occurrences in a row.

    A stretch goes on with the one before when the reason is the same and nothing ran between. Who
    asks holds the lock of the schedules and has written what ran: `last_run_at`.
    """
    if not rows:
        return
    latest = _latest(connection, {row["schedule_id"] for row in rows})
    new, grown = [], {}
    for row in rows:
        key = row["schedule_id"], _kind(row["reason"])
        before = latest.get(key)
        if before is not None and before.takes(row):
            before.last_at = max(before.last_at, row["last_at"])
            grown[before.id] = before.last_at
        else:
            new.append(row)
            # What follows would go on with this one.
            latest.pop(key, None)
    _write(connection, _GROW, [{"id": each, "last_at": at} for each, at in grown.items()])
    _write(connection, _TELL, new)


def _write(
    connection: Connection, statement: TextClause, rows: Sequence[Mapping[str, Any]]
) -> None:
    if rows:
        connection.execute(statement, {"rows": as_json(rows)})


@dataclass(kw_only=True, slots=True)
class _Stretch:
    id: int
    first_at: datetime
    last_at: datetime
    reason: str

    def takes(self, row: Mapping[str, Any]) -> bool:
        return bool(row["reason"] == self.reason and row["first_at"] >= self.first_at)


def _latest(connection: Connection, schedules: set[UUID]) -> dict[tuple[UUID, str], _Stretch]:
    arguments = {"schedules": list(schedules), "left_out": list(LEFT_OUT)}
    return {
        (row.schedule_id, row.kind): _Stretch(
            id=row.id, first_at=row.first_at, last_at=row.last_at, reason=row.reason
        )
        for row in connection.execute(_LATEST, arguments)
    }


def _kind(reason: str) -> str:
    """What a stretch may go on with is looked for among its own kind."""
    return reason if reason in LEFT_OUT else ""
