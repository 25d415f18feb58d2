"""From schedules that are stored to fields of a file, and back to what a manager takes. Pure."""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import fields as fields_of_class
from datetime import datetime, timedelta
from typing import Any

from automagik.core.duration import duration_text, parse_grace
from automagik.core.flows.flow_input import FlowInput
from automagik.core.manifest.schedule_keys import (
    CADENCE_KEYS,
    Fields,
    cadence_texts,
    input_unless_said,
    key_and_text,
    without_defaults,
    zone_of,
)
from automagik.core.manifest.times import day_text
from automagik.core.scheduler.after import After, AfterText, End
from automagik.core.scheduler.as_typed import instant_of
from automagik.core.scheduler.dst import Fold, Gap
from automagik.core.scheduler.holidays import OnHoliday
from automagik.core.scheduler.labels import UnsetLabel
from automagik.core.scheduler.policies import CatchUpOrder, Misfire, Overlap
from automagik.core.scheduler.policy_columns import PolicyChange, PolicyOption
from automagik.core.scheduler.rule_text import RuleOption
from automagik.core.scheduler.values import Schedule, ScheduleChange, ScheduleStatus
from automagik.core.tasks.run_options import RunOption

_WORDS = {
    "on-holiday": OnHoliday,
    "dst-gap": Gap,
    "dst-fold": Fold,
    "overlap": Overlap,
    "misfire": Misfire,
    "catch-up-order": CatchUpOrder,
}
_DURATIONS = ("misfire-grace", "catch-up", "jitter", "spread", "timeout")
_INPUT = ("input", "tweaks", "session", "on")
"""Which end counts decides what a chain hands on unless something is said."""
_IN_ZONE = ("at", "start", "end")
"""Their text means another instant in another zone."""


def fields_of(schedule: Schedule, *, flow: str) -> Fields:
    """What a file says of it; `flow` is the reference. Raises InvalidCadence."""
    limits, zone = schedule.limits, schedule.timezone
    fields: Fields = {
        "flow": flow,
        **_start_of(schedule),
        "timezone": zone if schedule.after is None else None,
        "exclude": limits.exclusions,
        "calendar": limits.calendar,
        "on-holiday": limits.on_holiday.value,
        "quiet-hours": limits.quiet_hours and limits.quiet_hours.strip(),
        "start": limits.starts_at and day_text(limits.starts_at, zone, is_last=False),
        "end": limits.ends_at and day_text(limits.ends_at, zone, is_last=True),
        "dst-gap": limits.dst_gap.value,
        "dst-fold": limits.dst_fold.value,
        **{option.value: _plain(_policy(schedule, option)) for option in PolicyOption},
        "priority": schedule.priority,
        "queue": schedule.queue,
        "max-retries": schedule.max_retries,
        "timeout": _plain(schedule.timeout),
        "input": schedule.run_input.input_value,
        "tweaks": dict(schedule.run_input.tweaks),
        "session": schedule.run_input.session_id,
        "labels": dict(schedule.labels),
    }
    if schedule.status is ScheduleStatus.PAUSED:
        until = schedule.paused_until and day_text(
            schedule.paused_until, zone_of(without_defaults(fields)), is_last=False
        )
        fields |= {"paused": True, "paused-until": until, "note": schedule.status_reason}
    return without_defaults(fields)


def input_of(fields: Mapping[str, Any]) -> FlowInput:
    return FlowInput(
        input_value=fields.get("input", input_unless_said(fields)),
        tweaks=fields.get("tweaks", {}),
        session_id=fields.get("session"),
    )


def after_of(fields: Mapping[str, Any]) -> AfterText | None:
    if "after" not in fields:
        return None
    return AfterText(reference=fields["after"], end=End(fields.get("on", End.COMPLETED)))


def after_text(after: After) -> str:
    """Says of which kind it is: a schedule and a flow may have the same name."""
    return f"{'schedule' if after.flow_id is None else 'flow'}:{after.name}"


def limits_of(fields: Mapping[str, Any]) -> dict[str, Any]:
    """By the names in RuleLimits. Raises InvalidCadence."""
    zone = zone_of(fields)
    found = {each.limit: _typed(each, fields[each]) for each in RuleOption if each in fields}
    for key, name in (("start", "starts_at"), ("end", "ends_at")):
        if key in fields:
            found[name] = instant_of(fields[key], timezone=zone, whole_day=key == "end")
    return found


def pause_end(fields: Mapping[str, Any]) -> datetime | None:
    """Raises InvalidCadence."""
    text = fields.get("paused-until")
    return None if text is None else instant_of(text, timezone=zone_of(fields))


def policies_of(fields: Mapping[str, Any]) -> PolicyChange:
    names = [each.name for each in fields_of_class(PolicyChange)]
    keys = {name: name.replace("_", "-") for name in names}
    return PolicyChange(
        **{name: _typed(key, fields[key]) for name, key in keys.items() if key in fields}
    )


def run_options_of(fields: Mapping[str, Any]) -> dict[str, Any]:
    """By the names of SchedulerManager's arguments."""
    options = {each.replace("-", "_"): each for each in RunOption}
    return {name: _typed(key, fields[key]) for name, key in options.items() if key in fields}


def change_to(fields: Mapping[str, Any], *, keys: Collection[str]) -> ScheduleChange:
    """Makes these keys of a stored schedule what the fields say. Raises InvalidCadence."""
    if "timezone" in keys:
        keys = {*keys, *(key for key in _IN_ZONE if key in fields)}
    said = {key: value for key, value in fields.items() if key in keys or key == "timezone"}
    cadence, *more = cadence_texts(fields) if {*keys} & {*CADENCE_KEYS} else (None,)
    run_input = input_of(fields) if {*keys} & {*_INPUT} else None
    after = after_of(fields) if {*keys} & {"after", "on"} else None
    return ScheduleChange(
        cadence=cadence,
        more_cadences=tuple(each for each in more if each is not None),
        after=after.reference if after else None,
        on=after.end if after else None,
        timezone=fields["timezone"] if "timezone" in keys else None,
        **limits_of(said),
        **run_options_of(said),
        policies=policies_of(said),
        input_value=run_input.input_value if run_input else None,
        tweaks=run_input.tweaks if run_input else None,
        session_id=run_input.session_id or "" if run_input else None,
        labels=fields.get("labels", {}) if "labels" in keys else {},
        unset=[*_unset(fields, keys)],
    )


def _unset(
    fields: Mapping[str, Any], keys: Collection[str]
) -> Iterator[RunOption | RuleOption | PolicyOption | UnsetLabel]:
    for option in (*RunOption, *RuleOption, *PolicyOption):
        if option in keys and option not in fields:
            yield option
    if "labels" in keys:
        yield UnsetLabel(key=None)


def _start_of(schedule: Schedule) -> Fields:
    if schedule.after is not None:
        return {"after": after_text(schedule.after), "on": schedule.after.end.value}
    found: Fields = {}
    for cadence in schedule.rule_text.cadences:
        key, text = key_and_text(cadence, timezone=schedule.timezone)
        found[key] = (*found.get(key, ()), text)
    return found


def _policy(schedule: Schedule, option: PolicyOption) -> Any:
    return getattr(schedule.policies, option.replace("-", "_"))


def _plain(value: Any) -> Any:
    if isinstance(value, timedelta):
        return duration_text(value)
    return value if value is None or isinstance(value, bool | int) else str(value)


def _typed(key: str, value: Any) -> Any:
    if key in _DURATIONS:
        return parse_grace(value)
    return _WORDS[key](value) if key in _WORDS else value
