"""Whether rules of files let runs come too close. It takes a while: before anything is locked."""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from datetime import date, datetime, timedelta

from sqlalchemy import Connection

from automagik.core.exceptions import AutomagikError
from automagik.core.manifest.blame import problem_of
from automagik.core.manifest.plan import Task
from automagik.core.manifest.problems import Problem
from automagik.core.manifest.schedule_fields import limits_of
from automagik.core.manifest.schedule_keys import CADENCE_KEYS, cadence_texts, zone_of
from automagik.core.manifest.values import Action, Item, Kind
from automagik.core.scheduler.calendar_days import days_of
from automagik.core.scheduler.exceptions import InvalidCadence
from automagik.core.scheduler.new_rule import refuse_short_gaps
from automagik.core.scheduler.rule import DaysOf, load_rule
from automagik.core.scheduler.rule_text import RuleLimits, RuleOption, RuleText
from automagik.core.scheduler.zones import whole_second

_RULE_KEYS = {*CADENCE_KEYS, "timezone", *RuleOption}


def days_for(connection: Connection, tasks: Sequence[Task]) -> DaysOf:
    """The days of calendars as they will be."""
    described = {
        task.item.name: frozenset(map(date.fromisoformat, task.item.fields["days"]))
        for task in tasks
        if task.step.kind is Kind.CALENDAR and task.item is not None
    }
    named = {item.fields["calendar"] for item, _ in _rules(tasks) if "calendar" in item.fields}
    return {**days_of(connection, named), **described}.__getitem__


def short_gaps(
    tasks: Sequence[Task], *, days: DaysOf, now: datetime, shortest: timedelta
) -> list[Problem]:
    """Of rules that are new or changed. Whatever else is wrong with them the managers tell."""
    refused: dict[tuple[RuleText, datetime, str], InvalidCadence | None] = {}
    problems = []
    for item, task in _rules(tasks):
        with suppress(AutomagikError):
            text, anchor = _text(item), _anchor(task, now)
            rule = text, anchor, item.name if text.depends_on_name else ""
            if rule not in refused:
                refused[rule] = _refusal(*rule, days=days, now=now, shortest=shortest)
            if error := refused[rule]:
                problems.append(problem_of(task, error))
    return problems


def _rules(tasks: Sequence[Task]) -> Iterator[tuple[Item, Task]]:
    """The schedules with clocks among them whose rules are new or changed."""
    for task in tasks:
        item = task.item
        if item is None or item.kind is not Kind.SCHEDULE or "after" in item.fields:
            continue
        if task.step.action is Action.CREATE or task.step.keys & _RULE_KEYS:
            yield item, task


def _text(item: Item) -> RuleText:
    return RuleText(
        cadences=tuple(cadence_texts(item.fields)),
        timezone=zone_of(item.fields),
        limits=RuleLimits(**limits_of(item.fields)),
    )


def _anchor(task: Task, now: datetime) -> datetime:
    """A rule that is not new keeps its beat."""
    if task.stored is None or task.step.keys.intersection(CADENCE_KEYS):
        return whole_second(now)
    anchor: datetime = task.stored.value.anchor_at
    return anchor


def _refusal(
    text: RuleText,
    anchor: datetime,
    name: str,
    *,
    days: DaysOf,
    now: datetime,
    shortest: timedelta,
) -> InvalidCadence | None:
    rule = load_rule(text, anchor=anchor, name=name, days=days)
    try:
        refuse_short_gaps(rule, after=now, shortest=shortest)
    except InvalidCadence as error:
        return error
    return None
