"""How schedules look: in a list, as a report, and in the words that follow a change."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

from automagik.cli.marks import marked, state_column
from automagik.cli.printer import Column, Printer
from automagik.cli.times import ago, at, when
from automagik.core.scheduler.cadence import upcoming
from automagik.core.scheduler.exceptions import InvalidCadence
from automagik.core.scheduler.labels import in_words
from automagik.core.scheduler.policies import sentences

if TYPE_CHECKING:
    from automagik.core.scheduler.values import Schedule
    from automagik.core.tasks.values import Task

NEXT_RUNS = 3
_NOTHING: tuple[Any, ...] = (None, {}, [], "")


LIST = (
    Column("name"),
    state_column("status"),
    Column("rule"),
    Column("flow_name", "Flow"),
    Column("next_run_at", "Next run", format=when),
    Column("last_run_at", "Last run", format=ago, wide=True),
)
_IF_ANY = (
    Column("labels", format=in_words, wide=True),
    Column("paused_until", "Paused until", format=when, wide=True),
    Column("status_reason", "Note", wide=True),
)


def columns(printer: Printer, items: Sequence[Mapping[str, Any]]) -> tuple[Column, ...]:
    """Of a list of schedules; in a table without columns that would be empty."""
    if not printer.for_people:
        return (*LIST, Column("id"), *_IF_ANY)
    used = [each for each in _IF_ANY if any(item[each.key] not in _NOTHING for item in items)]
    return (*LIST, *used)


def as_item(schedule: "Schedule") -> dict[str, Any]:
    """With the rule in words; its limits and its input flat."""
    fields = asdict(schedule)
    del fields["holidays"]
    return {
        "id": fields.pop("id"),
        "name": fields.pop("name"),
        "flow_id": fields.pop("flow_id"),
        "flow_name": fields.pop("flow_name"),
        "source_name": fields.pop("source_name"),
        "rule": rule_in_words(schedule),
        **fields.pop("limits"),
        **fields.pop("policies"),
        **fields.pop("run_input"),
        **fields,
    }


def show(
    printer: Printer,
    schedule: "Schedule",
    *,
    tasks: Sequence["Task"],
    followers: Sequence["Schedule"],
    grace: timedelta,
) -> None:
    """The schedule, its coming runs, its latest tasks, and what follows it.

    The grace is that of the settings.
    """
    item = as_item(schedule) | {
        "policies": list(
            sentences(schedule.policies, grace=grace if schedule.after is None else None)
        ),
        "next_runs": next_runs(schedule),
        "recent_tasks": [_task_item(task) for task in tasks],
        "followers": [_follower_item(each) for each in followers],
    }
    columns = _columns(schedule.timezone)
    if printer.for_people:
        columns = [column for column in columns if item[column.key] not in _NOTHING]
    else:
        columns = [column for column in columns if column.key not in _LISTS]
    printer.item(item, columns)


def _columns(zone: str) -> list[Column]:
    local = partial(when, zone=zone)
    return [
        Column("name"),
        Column("id", "ID"),
        Column("flow_name", "Flow"),
        Column("source_name", "Source"),
        state_column("status"),
        Column("status_reason", "Note"),
        Column("paused_until", "Paused until", format=local),
        Column("held_from", "Held back from", format=local),
        Column("rule"),
        Column("timezone"),
        Column("next_runs", format=lambda runs: "\n".join(map(local, runs))),
        Column("last_run_at", "Last run", format=local),
        Column("input_value", "Input"),
        Column("tweaks"),
        Column("labels", format=in_words),
        Column("session_id", "Session"),
        Column("priority"),
        Column("queue"),
        Column("max_retries"),
        Column("timeout"),
        Column("policies", format="\n".join),
        Column("recent_tasks", format=lambda tasks: "\n".join(map(_task_line, tasks))),
        Column("followers", format=lambda found: "\n".join(map(_follower_line, found))),
    ]


_LISTS = ("recent_tasks", "followers")
"""Lists of things are for JSON; a line holds one value."""


def say_when(printer: Printer, schedule: "Schedule", *, done: str) -> None:
    """Two lines: what was done with the rule in words, and the next runs."""
    printer.say(f"✓ Schedule {schedule.name} {done}: {rule_in_words(schedule)}")
    runs = next_runs(schedule)
    if schedule.after is not None:
        printer.say(f"  Its input: {schedule.run_input.input_value or 'none'}")
        return
    if not runs:
        printer.say(f"  It is {schedule.status}: no further runs.")
        return
    shown = ", ".join(at(run, zone=schedule.timezone) for run in runs)
    printer.say(f"  Next: {ago(runs[0])} · {shown}")


def say_followers(printer: Printer, followers: Sequence["Schedule"]) -> None:
    """What was just made to follow."""
    for each in followers:
        printer.say(f"  {each.name}: {each.flow_name}, {rule_in_words(each)}")


def next_runs(schedule: "Schedule") -> list[datetime]:
    """None unless it is active; the stored one first."""
    if schedule.next_run_at is None:
        return []
    later = upcoming(schedule.rule, after=schedule.next_run_at, count=NEXT_RUNS - 1)
    return [schedule.next_run_at, *later]


def rule_in_words(schedule: "Schedule") -> str:
    """What is stored may have become invalid; then it is shown as it is."""
    try:
        return schedule.describe()
    except InvalidCadence:
        return f"{schedule.type} {schedule.expr} ({schedule.timezone})"


def _follower_item(schedule: "Schedule") -> dict[str, Any]:
    return {
        "id": schedule.id,
        "name": schedule.name,
        "flow_name": schedule.flow_name,
        "status": schedule.status,
        "rule": rule_in_words(schedule),
    }


def _follower_line(item: dict[str, Any]) -> str:
    return f"{marked(item['status'])}  {item['name']} ({item['flow_name']}): {item['rule']}"


def _task_item(task: "Task") -> dict[str, Any]:
    keys = ("id", "state", "scheduled_for", "created_at", "finished_at", "error_code")
    return {key: getattr(task, key) for key in keys}


def _task_line(item: dict[str, Any]) -> str:
    return f"{marked(item['state'])}  {ago(item['created_at'])}  {item['id']}"
