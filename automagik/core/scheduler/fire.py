"""Due schedules become tasks: one transaction per batch, one task per occurrence."""

import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, RowMapping, text

from automagik.core.config import Settings
from automagik.core.database.base import new_id
from automagik.core.exceptions import AutomagikError
from automagik.core.scheduler.batch import BATCH
from automagik.core.scheduler.cadence import Cadence, load_cadence
from automagik.core.scheduler.exceptions import FlowGone

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True, slots=True)
class Firing:
    """What a due schedule comes to: the occurrence that runs now, and the next one."""

    occurrence: datetime
    next_run_at: datetime | None
    missed_since: datetime | None = None
    """The first of the occurrences that this run makes up for."""
    missed_until: datetime | None = None
    """The last of them."""


def plan(cadence: Cadence, *, due: datetime, now: datetime, grace: timedelta) -> Firing:
    """The misfire rule.

    Occurrences up to `grace` late run one by one. One run of the latest makes up for older ones,
    so that a beat that was down for a day does not cause a storm.
    """
    latest = cadence.latest_until(now, after=due) if now - due > grace else None
    if latest is None:
        return Firing(occurrence=due, next_run_at=cadence.next_after(due))
    before = cadence.latest_until(latest - datetime.resolution, after=due)
    return Firing(
        occurrence=latest,
        next_run_at=cadence.next_after(latest),
        missed_since=due,
        missed_until=before or due,
    )


_DUE = text("""
SELECT s.id, s.name, s.type, s.expr, s.timezone, s.anchor_at, s.next_run_at, f.gone_at, now() AS now
FROM schedules s JOIN flows f ON f.id = s.flow_id
WHERE s.status = 'active' AND s.next_run_at <= now()
ORDER BY s.next_run_at
FOR UPDATE OF s SKIP LOCKED
LIMIT :batch
""")

# One statement for the whole batch. Inputs, which may be large, do not leave the database.
_INSERT_TASKS = text("""
INSERT INTO tasks (id, flow_id, flow_version_id, source_id, schedule_id, scheduled_for, run_at,
    input_value, tweaks, session_id, priority, queue, at_most_once, max_retries, max_attempts,
    timeout_seconds, state_actor, state_reason)
SELECT r.id, f.id, f.version_id, f.source_id, s.id, r.scheduled_for, r.scheduled_for,
    s.input_value, s.tweaks, s.session_id, coalesce(s.priority, f.priority, 0),
    coalesce(s.queue, f.queue, :queue), f.at_most_once, limits.retries, limits.retries + 1,
    coalesce(s.timeout_seconds, f.timeout_seconds, :timeout_seconds), :actor, r.state_reason
FROM jsonb_to_recordset(CAST(:rows AS jsonb)) AS r (id uuid, schedule_id uuid,
    scheduled_for timestamptz, state_reason text)
JOIN schedules s ON s.id = r.schedule_id
JOIN flows f ON f.id = s.flow_id
CROSS JOIN LATERAL (SELECT coalesce(s.max_retries, f.max_retries, :max_retries)) limits (retries)
ON CONFLICT (schedule_id, scheduled_for) DO NOTHING
""")

_TELL_SKIPPED = text("""
INSERT INTO skipped_occurrences (schedule_id, first_at, last_at, reason)
SELECT schedule_id, first_at, last_at, reason
FROM jsonb_to_recordset(CAST(:rows AS jsonb)) AS r (schedule_id uuid, first_at timestamptz,
    last_at timestamptz, reason text)
""")

_MOVE_CLOCKS = text("""
UPDATE schedules SET next_run_at = r.next_run_at, last_run_at = coalesce(r.ran_at, last_run_at),
    status = r.status, status_reason = r.status_reason
FROM jsonb_to_recordset(CAST(:rows AS jsonb)) AS r (id uuid, next_run_at timestamptz,
    ran_at timestamptz, status text, status_reason text)
WHERE schedules.id = r.id
""")


def fire(connection: Connection, *, settings: Settings, actor: str) -> int:
    """Turns one batch of due schedules into tasks; returns how many schedules were due."""
    due = connection.execute(_DUE, {"batch": BATCH}).mappings().all()
    if not due:
        return 0
    grace = timedelta(seconds=settings.misfire_grace_seconds)
    moves = [_move(row, grace) for row in due]
    tasks = [move.task for move in moves if move.task is not None]
    if tasks:
        arguments = {
            "rows": _as_json(tasks),
            "actor": actor,
            "queue": settings.queue,
            "max_retries": settings.max_retries,
            "timeout_seconds": settings.run_timeout_seconds,
        }
        connection.execute(_INSERT_TASKS, arguments)
    if skipped := [move.skipped for move in moves if move.skipped is not None]:
        connection.execute(_TELL_SKIPPED, {"rows": _as_json(skipped)})
    connection.execute(_MOVE_CLOCKS, {"rows": _as_json([move.clock for move in moves])})
    return len(due)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Move:
    """The rows that a due schedule comes to; each of its occurrences is in one of the first two."""

    task: dict[str, Any] | None = None
    skipped: dict[str, Any] | None = None
    clock: dict[str, Any]


def _move(row: RowMapping, grace: timedelta) -> _Move:
    try:
        firing = _plan_row(row, grace)
    except Exception as error:
        # Whatever is wrong with it: it is set aside with its reason and does not stop the others.
        logger.exception("Schedule %s is set aside", row["name"])
        known = isinstance(error, AutomagikError)
        reason = str(error) if known else f"{type(error).__name__}: {error}"
        return _Move(
            skipped=_skipped(row, "error", until=row["next_run_at"]),
            clock={"id": row["id"], "status": "error", "status_reason": reason},
        )
    clock = {
        "id": row["id"],
        "next_run_at": firing.next_run_at,
        "ran_at": firing.occurrence,
        "status": "completed" if firing.next_run_at is None else "active",
    }
    missed = firing.missed_until
    skipped = None if missed is None else _skipped(row, "misfire", until=missed)
    return _Move(task=_task(row, firing), skipped=skipped, clock=clock)


def _skipped(row: RowMapping, reason: str, *, until: datetime) -> dict[str, Any]:
    """From the occurrence that is due on."""
    first_at = row["next_run_at"]
    return {"schedule_id": row["id"], "first_at": first_at, "last_at": until, "reason": reason}


def _plan_row(row: RowMapping, grace: timedelta) -> Firing:
    if row["gone_at"] is not None:
        raise FlowGone
    cadence = load_cadence(
        row["type"], row["expr"], timezone=row["timezone"], anchor=row["anchor_at"]
    )
    return plan(cadence, due=row["next_run_at"], now=row["now"], grace=grace)


def _task(row: RowMapping, firing: Firing) -> dict[str, Any]:
    reason = None
    if firing.missed_since is not None:
        reason = f"makes up for all occurrences since {firing.missed_since.isoformat()}"
    return {
        "id": new_id(),
        "schedule_id": row["id"],
        "scheduled_for": firing.occurrence,
        "state_reason": reason,
    }


def _as_json(rows: Sequence[Mapping[str, Any]]) -> str:
    return json.dumps(rows, default=_jsonable)


def _jsonable(value: datetime | UUID) -> str:
    return value.isoformat() if isinstance(value, datetime) else str(value)
