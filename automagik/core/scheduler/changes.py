"""What pausing, resuming and updating do to a schedule. Pure; the answers are columns to write."""

from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from automagik.core.exceptions import Conflict, InvalidInput
from automagik.core.scheduler.exceptions import InvalidCadence
from automagik.core.scheduler.names import checked_name
from automagik.core.scheduler.new_rule import canonical, checked_rule, first_occurrence
from automagik.core.scheduler.policy_columns import PolicyOption
from automagik.core.scheduler.rule import DaysOf
from automagik.core.scheduler.rule_text import LIMITS, RuleLimits, RuleOption, RuleText
from automagik.core.scheduler.values import Schedule, ScheduleChange, ScheduleStatus
from automagik.core.scheduler.zones import whole_second
from automagik.core.tasks.run_options import RunOption, checked_priority, new_columns

Columns = dict[str, Any]


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
    if schedule.status is ScheduleStatus.COMPLETED and schedule.is_used_up:
        raise Conflict(
            f"Schedule {schedule.name!r} cannot go on: {schedule.status_reason}.",
            hint=f"Allow it more: automagik schedules update {schedule.name} --max-runs …",
        )
    next_run_at = schedule.rule.next_after(now)
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


def changed(
    schedule: Schedule, change: ScheduleChange, *, now: datetime, days: DaysOf, shortest: timedelta
) -> Columns:
    """All but the input. Raises InvalidCadence, InvalidInput, and NotFound for a calendar."""
    columns: Columns = {} if change.name is None else {"name": checked_name(change.name)}
    columns |= _new_options(change)
    columns |= _new_policies(schedule, change, now=now)
    times = _new_times(schedule, change, now=now, days=days, shortest=shortest)
    if schedule.is_used_up and times.get("status") is ScheduleStatus.ACTIVE:
        # Its new rule begins with a new count.
        columns["runs"] = 0
    return columns | times


def _new_policies(schedule: Schedule, change: ScheduleChange, *, now: datetime) -> Columns:
    """A schedule that had made all of its runs goes on when it may make more."""
    unset = [option for option in change.unset if isinstance(option, PolicyOption)]
    columns = change.policies.columns(unset=unset)
    ended = schedule.status is ScheduleStatus.COMPLETED and schedule.is_used_up
    if not ended or "max_runs" not in columns:
        return columns
    next_run_at = schedule.rule.next_after(now)
    if next_run_at is None:
        return columns
    return columns | {
        "status": ScheduleStatus.ACTIVE,
        "status_reason": None,
        "next_run_at": next_run_at,
        "counts_from": now,
    }


def with_new_days(schedule: Schedule, *, now: datetime) -> Columns:
    """The days of an active schedule's calendar have changed.

    What is due already stays due. A rule that cannot be computed is left to the beats.
    """
    columns: Columns = {"counts_from": now}
    if schedule.next_run_at is None or schedule.next_run_at <= now:
        return columns
    with suppress(InvalidCadence):
        columns["next_run_at"] = schedule.rule.next_after(now)
        if columns["next_run_at"] is None:
            columns |= {
                "status": ScheduleStatus.COMPLETED,
                "status_reason": f"calendar {schedule.limits.calendar} leaves no occurrence",
            }
    return columns


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
    unset = {_COLUMN_OF[each]: each for each in change.unset if isinstance(each, RunOption)}
    return new_columns(options, unset=unset)


_COLUMN_OF = {
    RunOption.PRIORITY: "priority",
    RunOption.QUEUE: "queue",
    RunOption.MAX_RETRIES: "max_retries",
    RunOption.TIMEOUT: "timeout_seconds",
}


def _new_times(
    schedule: Schedule, change: ScheduleChange, *, now: datetime, days: DaysOf, shortest: timedelta
) -> Columns:
    text, name = _new_text(schedule, change, now=now), change.name or schedule.name
    renamed = name != schedule.name and text.depends_on_name
    if text == schedule.rule_text and not renamed:
        return {}
    # An interval that is given again keeps its beat.
    keeps_beat = text.cadences == schedule.rule_text.cadences
    anchor = schedule.anchor_at if keeps_beat else whole_second(now)
    columns = text.columns() | {"anchor_at": anchor, "counts_from": now}
    rule = checked_rule(text, anchor=anchor, name=name, days=days, now=now, shortest=shortest)
    next_run_at = rule.next_after(now)
    is_new = change.cadence is not None or text.limits != schedule.limits
    if next_run_at is None and not is_new and schedule.status is not ScheduleStatus.ACTIVE:
        # Its time has passed, and nobody asks for another.
        return columns
    columns["next_run_at"] = first_occurrence(rule, now=now)
    match schedule.status:
        case ScheduleStatus.COMPLETED:
            columns["status"] = ScheduleStatus.ACTIVE
        case ScheduleStatus.PAUSED | ScheduleStatus.ERROR:
            columns["next_run_at"] = None
    return columns


def _new_text(schedule: Schedule, change: ScheduleChange, *, now: datetime) -> RuleText:
    text = replace(
        schedule.rule_text,
        timezone=change.timezone or schedule.timezone,
        limits=_new_limits(schedule.limits, change),
    )
    if change.cadence is None:
        return text
    text = replace(text, cadences=(change.cadence, *change.more_cadences))
    return canonical(text, now=now, name=change.name or schedule.name)


def _new_limits(limits: RuleLimits, change: ScheduleChange) -> RuleLimits:
    given = {name: value for name in LIMITS if (value := getattr(change, name)) is not None}
    unset = {option.limit: option for option in change.unset if isinstance(option, RuleOption)}
    for name in given.keys() & unset.keys():
        raise InvalidInput(f"A new {unset[name]} is given and unset at the same time.")
    defaults = RuleLimits()
    return replace(limits, **given, **{name: getattr(defaults, name) for name in unset})


def _explained(schedule: Schedule) -> str:
    reason = f" ({schedule.status_reason})" if schedule.status_reason else ""
    return f"{schedule.status}{reason}"
