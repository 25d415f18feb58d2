"""What pauses hold back, and the pauses that a beat ends."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, RowMapping, text

from automagik.core.exceptions import AutomagikError
from automagik.core.scheduler import rows
from automagik.core.scheduler.batch import BATCH
from automagik.core.scheduler.calendar_days import days_of
from automagik.core.scheduler.changes import Columns, held_back
from automagik.core.scheduler.new_tasks import as_json
from automagik.core.scheduler.rule import DaysOf, Rule, rule_of
from automagik.core.scheduler.rule_text import RULE_COLUMNS
from automagik.core.scheduler.schedule_type import ScheduleType
from automagik.core.scheduler.skipped import tell_skipped
from automagik.core.scheduler.values import Schedule

logger = logging.getLogger(__name__)

_TINY = datetime.resolution

_ENDED = text(f"""
SELECT id, paused_until, held_from, {", ".join(RULE_COLUMNS)} FROM schedules
WHERE paused_until <= now()
ORDER BY paused_until
FOR NO KEY UPDATE SKIP LOCKED
LIMIT :batch
""")  # noqa: S608  (constants)

# Failures are forgiven that ended before `updated_at`.
_RESUME = text("""
UPDATE schedules SET status = r.status, status_reason = r.status_reason, paused_until = NULL,
    held_from = NULL, next_run_at = r.next_run_at, updated_at = now(),
    counts_from = coalesce(r.counts_from, schedules.counts_from)
FROM jsonb_to_recordset(CAST(:rows AS jsonb)) AS r (id uuid, status text, status_reason text,
    next_run_at timestamptz, counts_from timestamptz)
WHERE schedules.id = r.id
""")


def store(connection: Connection, schedule: Schedule, columns: Columns, *, now: datetime) -> None:
    """Writes a change. What its pause held back and nobody makes up for is told.

    Who asks holds the lock of the schedule. Raises Conflict when a new name is taken.
    """
    held = held_back(schedule, columns, now=now)
    if held is not None:
        tell_skipped(connection, [_skipped(schedule.id, *held)])
    rows.change(connection, schedule.id, columns)


def end_pauses(connection: Connection) -> int:
    """Resumes one batch of schedules whose pause has come to its end; returns how many.

    What a pause held back before its end is skipped, what came since is due.
    """
    ended = connection.execute(_ENDED, {"batch": BATCH}).mappings().all()
    if not ended:
        return 0
    days = days_of(connection, {row["calendar"] for row in ended if row["calendar"] is not None})
    resumed = [_resumed(row, days.__getitem__) for row in ended]
    tell_skipped(connection, [stretch for each in resumed for stretch in each.skipped])
    connection.execute(_RESUME, {"rows": as_json([each.columns for each in resumed])})
    return len(ended)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Resumed:
    skipped: Sequence[Mapping[str, Any]] = ()
    columns: Columns


def _resumed(row: RowMapping, days: DaysOf) -> _Resumed:
    try:
        if row["type"] == ScheduleType.AFTER:
            return _Resumed(columns={"id": row["id"], "status": "active"})
        return _with_clock(row, rule_of(row, days))
    except Exception as error:
        # Whatever is wrong with it: it is set aside with its reason and does not stop the others.
        logger.exception("Schedule %s is set aside", row["name"], extra={"schedule": row["name"]})
        known = isinstance(error, AutomagikError)
        why = str(error) if known else f"{type(error).__name__}: {error}"
        return _Resumed(columns={"id": row["id"], "status": "error", "status_reason": why})


def _with_clock(row: RowMapping, rule: Rule) -> _Resumed:
    """What its pause held back before its end is skipped; the first that comes then is next."""
    held_from, until = row["held_from"], row["paused_until"]
    columns: Columns = {"id": row["id"], "status": "active", "next_run_at": held_from}
    if held_from is not None and held_from >= until:
        return _Resumed(columns=columns)
    columns["next_run_at"] = rule.next_after(until - _TINY)
    if columns["next_run_at"] is None:
        columns |= {
            "status": "completed",
            "status_reason": "its last occurrence was skipped: paused",
        }
    if held_from is None:
        # Nobody knows what became of the time before.
        return _Resumed(columns=columns | {"counts_from": until})
    last = rule.latest_until(until - _TINY, after=held_from) or held_from
    return _Resumed(skipped=[_skipped(row["id"], held_from, last)], columns=columns)


def _skipped(schedule_id: UUID, first: datetime, last: datetime) -> Mapping[str, Any]:
    return {"schedule_id": schedule_id, "first_at": first, "last_at": last, "reason": "paused"}
