"""How schedules look: in a list, as a report, and in the words that follow a change."""

from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

from automagik.cli.marks import marked, state_column
from automagik.cli.printer import Column, Printer
from automagik.cli.times import ago, at, when
from automagik.core.scheduler.cadence import upcoming
from automagik.core.scheduler.exceptions import InvalidCadence
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
FOR_PIPES = (*LIST, Column("id"))


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
    printer: Printer, schedule: "Schedule", *, tasks: Sequence["Task"], grace: timedelta
) -> None:
    """The schedule, its coming runs and its latest tasks; the grace is that of the settings."""
    item = as_item(schedule) | {
        "policies": list(sentences(schedule.policies, grace=grace)),
        "next_runs": next_runs(schedule),
        "recent_tasks": [_task_item(task) for task in tasks],
    }
    columns = _columns(schedule.timezone)
    if printer.for_people:
        columns = [column for column in columns if item[column.key] not in _NOTHING]
    else:
        columns = [column for column in columns if column.key != "recent_tasks"]
    printer.item(item, columns)


def _columns(zone: str) -> list[Column]:
    local = partial(when, zone=zone)
    return [
        Column("name"),
        Column("id", "ID"),
        Column("flow_name", "Flow"),
        Column("source_name", "Source"),
        state_column("status"),
        Column("status_reason", "Reason"),
        Column("rule"),
        Column("timezone"),
        Column("next_runs", format=lambda runs: "\n".join(map(local, runs))),
        Column("last_run_at", "Last run", format=local),
        Column("input_value", "Input"),
        Column("tweaks"),
        Column("session_id", "Session"),
        Column("priority"),
        Column("queue"),
        Column("max_retries"),
        Column("timeout"),
        Column("policies", format="\n".join),
        Column("recent_tasks", format=lambda tasks: "\n".join(map(_task_line, tasks))),
    ]


def say_when(printer: Printer, schedule: "Schedule", *, done: str) -> None:
    """Two lines: what was done with the rule in words, and the next runs."""
    printer.say(f"✓ Schedule {schedule.name} {done}: {rule_in_words(schedule)}")
    runs = next_runs(schedule)
    if not runs:
        printer.say(f"  It is {schedule.status}: no further runs.")
        return
    shown = ", ".join(at(run, zone=schedule.timezone) for run in runs)
    printer.say(f"  Next: {ago(runs[0])} · {shown}")


def next_runs(schedule: "Schedule") -> list[datetime]:
    """None unless it is active; the stored one first."""
    if schedule.next_run_at is None:
        return []
    later = upcoming(schedule.rule, after=schedule.next_run_at, count=NEXT_RUNS - 1)
    return [schedule.next_run_at, *later]


def rule_in_words(schedule: "Schedule") -> str:
    """What is stored may have become invalid; then it is shown as it is."""
    try:
        return schedule.rule.describe()
    except InvalidCadence:
        return f"{schedule.type} {schedule.expr} ({schedule.timezone})"


def _task_item(task: "Task") -> dict[str, Any]:
    keys = ("id", "state", "scheduled_for", "created_at", "finished_at", "error_code")
    return {key: getattr(task, key) for key in keys}


def _task_line(item: dict[str, Any]) -> str:
    return f"{marked(item['state'])}  {ago(item['created_at'])}  {item['id']}"
