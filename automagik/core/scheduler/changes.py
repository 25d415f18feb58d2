"""What pausing, resuming and updating do to a schedule. Pure; the answers are columns to write."""

from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from automagik.core.exceptions import Conflict, InvalidInput
from automagik.core.scheduler.clock_options import refuse_clock
from automagik.core.scheduler.exceptions import InvalidCadence
from automagik.core.scheduler.idle_options import without_idle
from automagik.core.scheduler.labels import UnsetLabel, changed_labels
from automagik.core.scheduler.names import checked_name
from automagik.core.scheduler.new_rule import canonical, checked_rule, first_occurrence
from automagik.core.scheduler.policy_columns import PolicyOption
from automagik.core.scheduler.rule import DaysOf
from automagik.core.scheduler.rule_text import LIMITS, RuleLimits, RuleOption, RuleText
from automagik.core.scheduler.values import Schedule, ScheduleChange, ScheduleStatus
from automagik.core.scheduler.zones import whole_second
from automagik.core.tasks.run_options import RunOption, checked_priority, new_columns

Columns = dict[str, Any]


class ResumeFrom(StrEnum):
    """Which occurrences a schedule goes on with after a pause."""

    NOW = "now"
    """What the pause held back is skipped."""
    LAST = "last"
    """With the first that the pause held back, as after downtime."""


def paused(
    schedule: Schedule, *, note: str | None, until: datetime | timedelta | None, now: datetime
) -> Columns:
    """Its clock stands from now on. Of a paused one only what is given is set anew.

    Raises Conflict, and InvalidInput for an end that is past.
    """
    ends_at = _end_of_pause(until, now=now)
    match schedule.status:
        case ScheduleStatus.ACTIVE:
            return {
                "status": ScheduleStatus.PAUSED,
                "status_reason": note,
                "paused_until": ends_at,
                "held_from": schedule.next_run_at,
                "next_run_at": None,
            }
        case ScheduleStatus.PAUSED:
            again: Columns = {"status_reason": note} if note else {}
            if ends_at is not None and ends_at != schedule.paused_until:
                again["paused_until"] = ends_at
            return again
    raise Conflict(
        f"Schedule {schedule.name!r} is {_explained(schedule)}: it starts no runs anyway.",
        hint="Only active schedules are paused.",
    )


def _end_of_pause(until: datetime | timedelta | None, *, now: datetime) -> datetime | None:
    if until is None:
        return None
    try:
        ends_at = now + until if isinstance(until, timedelta) else until
    except OverflowError:
        raise InvalidInput(f"A pause of {until} is too long.") from None
    if ends_at <= now:
        raise InvalidInput(
            f"The pause would have ended already, at {ends_at.isoformat()}.",
            hint="For example: --until 2h",
        )
    return ends_at


def resumed(schedule: Schedule, *, since: ResumeFrom, now: datetime) -> Columns:
    """Raises Conflict, InvalidCadence."""
    if schedule.status is ScheduleStatus.ACTIVE:
        return {}
    if schedule.status is ScheduleStatus.COMPLETED and schedule.is_used_up:
        raise Conflict(
            f"Schedule {schedule.name!r} cannot go on: {schedule.status_reason}.",
            hint=f"Allow it more: automagik schedules update {schedule.name} --max-runs …",
        )
    return {
        "status": ScheduleStatus.ACTIVE,
        "status_reason": None,
        "paused_until": None,
        "held_from": None,
        **_clock_again(schedule, since=since, now=now),
    }


def _clock_again(schedule: Schedule, *, since: ResumeFrom, now: datetime) -> Columns:
    if schedule.after is not None:
        return {}
    held_from = schedule.held_from
    if since is ResumeFrom.LAST and held_from is None:
        raise Conflict(
            f"Schedule {schedule.name!r} is {_explained(schedule)}: no occurrence is held back.",
            hint=f"Go on from now: automagik schedules resume {schedule.name}",
        )
    if held_from is not None and (since is ResumeFrom.LAST or held_from > now):
        return {"next_run_at": held_from}
    next_run_at = schedule.rule.next_after(now)
    if next_run_at is None:
        raise Conflict(
            f"Schedule {schedule.name!r} cannot go on: its time has passed.",
            hint=f"Give it a new one: automagik schedules update {schedule.name} --at …",
        )
    # Without a clock nobody knows what became of the time before.
    counts = {"counts_from": now} if held_from is None else {}
    return {"next_run_at": next_run_at} | counts


def held_back(
    schedule: Schedule, columns: Columns, *, now: datetime
) -> tuple[datetime, datetime] | None:
    """What a pause has held back until now and nobody makes up for once these columns are written.

    The first and the last occurrence of it.
    """
    first = schedule.held_from
    if first is None or first > now:
        return None
    if "held_from" not in columns or columns.get("next_run_at") == first:
        return None
    with suppress(InvalidCadence):
        return first, schedule.rule.latest_until(now, after=first) or first
    return first, now


def changed(
    schedule: Schedule,
    change: ScheduleChange,
    *,
    now: datetime,
    days: DaysOf,
    shortest: timedelta | None,
) -> Columns:
    """All but the input. Raises InvalidCadence, InvalidInput, and NotFound for a calendar."""
    if schedule.after is not None:
        refuse_clock(change)
    columns: Columns = {} if change.name is None else {"name": checked_name(change.name)}
    columns |= _new_options(change)
    columns |= _new_labels(schedule, change)
    columns |= _new_policies(schedule, change, now=now)
    if schedule.after is not None:
        return columns
    times = _new_times(schedule, change, now=now, days=days, shortest=shortest)
    if schedule.is_used_up and times.get("status") is ScheduleStatus.ACTIVE:
        # Its new rule begins with a new count.
        columns["runs"] = 0
    return columns | times


def _new_policies(schedule: Schedule, change: ScheduleChange, *, now: datetime) -> Columns:
    """A schedule that had made all of its runs goes on when it may make more."""
    unset = [option for option in change.unset if isinstance(option, PolicyOption)]
    columns = change.policies.columns(present=schedule.policies, unset=unset)
    ended = schedule.status is ScheduleStatus.COMPLETED and schedule.is_used_up
    if not ended or "max_runs" not in columns:
        return columns
    next_run_at = None if schedule.after else schedule.rule.next_after(now)
    if next_run_at is None and schedule.after is None:
        return columns
    return columns | {
        "status": ScheduleStatus.ACTIVE,
        "status_reason": None,
        "next_run_at": next_run_at,
        "counts_from": now,
    }


def _new_labels(schedule: Schedule, change: ScheduleChange) -> Columns:
    unset = [option for option in change.unset if isinstance(option, UnsetLabel)]
    if not (change.labels or unset):
        return {}
    return {"labels": changed_labels(schedule.labels, change.labels, unset)}


def with_new_days(schedule: Schedule, *, now: datetime) -> Columns:
    """The days of an active or a paused schedule's calendar have changed.

    What is due already stays due. A rule that cannot be computed is left to the beats.
    """
    columns: Columns = {"counts_from": now}
    if schedule.status is ScheduleStatus.PAUSED:
        with suppress(InvalidCadence):
            columns["held_from"] = schedule.rule.next_after(now)
        return columns
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
    schedule: Schedule,
    change: ScheduleChange,
    *,
    now: datetime,
    days: DaysOf,
    shortest: timedelta | None,
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
        return columns | _standing_clock(schedule, None)
    first = first_occurrence(rule, now=now)
    match schedule.status:
        case ScheduleStatus.ACTIVE:
            return columns | {"next_run_at": first}
        case ScheduleStatus.COMPLETED:
            return columns | {"next_run_at": first, "status": ScheduleStatus.ACTIVE}
    return columns | _standing_clock(schedule, first)


def _standing_clock(schedule: Schedule, first: datetime | None) -> Columns:
    """What a new rule would begin with, of a schedule that starts no runs."""
    return {"held_from": first} if schedule.status is ScheduleStatus.PAUSED else {}


def _new_text(schedule: Schedule, change: ScheduleChange, *, now: datetime) -> RuleText:
    text = replace(
        schedule.rule_text,
        timezone=change.timezone or schedule.timezone,
        limits=_new_limits(schedule.limits, change),
    )
    if change.cadence is not None:
        text = replace(text, cadences=(change.cadence, *change.more_cadences))
        text = canonical(text, now=now, name=change.name or schedule.name)
    said = {name for name in LIMITS if getattr(change, name) is not None}
    return without_idle(text, said=said)


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
