"""What pausing, resuming and updating do to a schedule. Pure; the answers are columns to write."""

from datetime import datetime, timedelta
from typing import Any

from automagik.core.exceptions import Conflict
from automagik.core.scheduler.cadence import Cadence, load_cadence, parse_cadence
from automagik.core.scheduler.exceptions import InvalidCadence
from automagik.core.scheduler.names import checked_name
from automagik.core.scheduler.values import CadenceText, Schedule, ScheduleChange, ScheduleStatus
from automagik.core.tasks.run_options import RunOption, checked_priority, new_columns

Columns = dict[str, Any]


def cadence_columns(given: CadenceText, *, timezone: str, now: datetime) -> Columns:
    """A rule that begins now. Raises InvalidCadence."""
    cadence = parse_cadence(given.type, given.expr, timezone=timezone, now=now)
    return {
        "type": str(cadence.type),
        "expr": cadence.expr,
        "timezone": timezone,
        "anchor_at": now,
        "next_run_at": first_occurrence(cadence, now=now),
    }


def first_occurrence(cadence: Cadence, *, now: datetime) -> datetime:
    """Raises InvalidCadence when there is none."""
    occurrence = cadence.next_after(now)
    if occurrence is None:
        raise InvalidCadence(
            f"{cadence.expr!r} never occurs again.", hint="Look at it: automagik schedules preview"
        )
    return occurrence


def paused(schedule: Schedule, *, reason: str | None) -> Columns:
    """Twice is once; a new reason replaces the old. Raises Conflict."""
    match schedule.status:
        case ScheduleStatus.ACTIVE:
            return {
                "status": ScheduleStatus.PAUSED,
                "status_reason": reason,
                "next_run_at": None,
            }
        case ScheduleStatus.PAUSED:
            return {"status_reason": reason} if reason else {}
    raise Conflict(
        f"Schedule {schedule.name!r} is {_explained(schedule)}: it starts no runs anyway.",
        hint="Only active schedules are paused.",
    )


def resumed(schedule: Schedule, *, now: datetime) -> Columns:
    """Occurrences that passed meanwhile are not made up for. Raises Conflict, InvalidCadence."""
    if schedule.status is ScheduleStatus.ACTIVE:
        return {}
    next_run_at = schedule.cadence.next_after(now)
    if next_run_at is None:
        raise Conflict(
            f"Schedule {schedule.name!r} cannot go on: its time has passed.",
            hint=f"Give it a new one: automagik schedules update {schedule.name} --at …",
        )
    return {
        "status": ScheduleStatus.ACTIVE,
        "status_reason": None,
        "next_run_at": next_run_at,
        "counts_from": now,
    }


def changed(schedule: Schedule, change: ScheduleChange, *, now: datetime) -> Columns:
    """All but the input. Raises InvalidCadence and InvalidInput."""
    columns: Columns = {} if change.name is None else {"name": checked_name(change.name)}
    return columns | _new_options(change) | _new_times(schedule, change, now=now)


def option_columns(
    *, priority: int | None, queue: str | None, max_retries: int | None, timeout: timedelta | None
) -> Columns:
    """Raises InvalidInput."""
    return {
        "priority": checked_priority(priority),
        "queue": queue,
        "max_retries": max_retries,
        "timeout_seconds": timeout and timeout.total_seconds(),
    }


def _new_options(change: ScheduleChange) -> Columns:
    options = option_columns(
        priority=change.priority,
        queue=change.queue,
        max_retries=change.max_retries,
        timeout=change.timeout,
    )
    return new_columns(options, unset={_COLUMN_OF[option]: option for option in change.unset})


_COLUMN_OF = {
    RunOption.PRIORITY: "priority",
    RunOption.QUEUE: "queue",
    RunOption.MAX_RETRIES: "max_retries",
    RunOption.TIMEOUT: "timeout_seconds",
}


def _new_times(schedule: Schedule, change: ScheduleChange, *, now: datetime) -> Columns:
    timezone = change.timezone or schedule.timezone
    if change.cadence is None:
        columns = _in_zone(schedule, timezone, now=now)
    else:
        columns = cadence_columns(change.cadence, timezone=timezone, now=now)
    if _is_same_rule(schedule, columns):
        return {}
    columns["counts_from"] = now
    match schedule.status:
        case ScheduleStatus.COMPLETED:
            columns["status"] = ScheduleStatus.ACTIVE
        case ScheduleStatus.PAUSED | ScheduleStatus.ERROR:
            columns["next_run_at"] = None
    return columns


def _in_zone(schedule: Schedule, timezone: str, *, now: datetime) -> Columns:
    """The stored rule read in another zone. A one-shot stays the instant that it is."""
    if timezone == schedule.timezone:
        return {}
    cadence = load_cadence(
        schedule.type, schedule.expr, timezone=timezone, anchor=schedule.anchor_at
    )
    if schedule.status is ScheduleStatus.COMPLETED:
        return {"timezone": timezone}
    return {"timezone": timezone, "next_run_at": first_occurrence(cadence, now=now)}


def _is_same_rule(schedule: Schedule, columns: Columns) -> bool:
    """An interval that is given again keeps its beat."""
    return all(
        columns.get(key, getattr(schedule, key)) == getattr(schedule, key)
        for key in ("type", "expr", "timezone")
    )


def _explained(schedule: Schedule) -> str:
    reason = f" ({schedule.status_reason})" if schedule.status_reason else ""
    return f"{schedule.status}{reason}"
