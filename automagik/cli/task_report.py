"""How tasks look: in a list, as a report, and while they go on."""

import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from uuid import UUID

from automagik.cli.marks import colour, marked, state_column
from automagik.cli.printer import Column, Output, Printer, visible
from automagik.cli.times import ago, duration, when
from automagik.core.exceptions import InvalidInput
from automagik.core.tasks.exceptions import NoOutput
from automagik.core.tasks.states import TaskState
from automagik.core.tasks.values import Attempt, Event, LogLine, Task, TaskOutput

if TYPE_CHECKING:
    from automagik.core.flows.flow_input import FlowInput


LIST = (
    Column("id", "Task"),
    state_column("state"),
    Column("flow_name", "Flow"),
    Column("schedule_name", "Schedule"),
    Column("error_code", "Error", wide=True),
    Column("created_at", "Created", format=ago),
    Column("attempt", wide=True),
    Column("ran_for", "Ran", wide=True),
)

_ATTEMPTS = (
    Column("attempt"),
    Column("worker_name", "Worker"),
    Column("started_at", "Started", format=when, wide=True),
    Column("took"),
    state_column("outcome"),
    Column("http_status", "HTTP"),
    Column("error_code", "Error"),
    Column("error_message", "Message"),
)

_LOG = (Column("at"), Column("attempt"), Column("level"), Column("component"), Column("message"))

_STREAM = (
    Column("at"),
    Column("kind"),
    Column("attempt"),
    Column("state"),
    Column("actor"),
    Column("reason"),
    *_LOG[2:],
)

_SHOWN_CHARACTERS = 400


@dataclass(frozen=True, kw_only=True, slots=True)
class Report:
    """All that `tasks show` tells."""

    task: Task
    run_input: "FlowInput"
    attempts: Sequence[Attempt]
    events: Sequence[Event]
    started: Sequence[Task]
    """What its end has started."""


@dataclass(frozen=True, slots=True)
class Stream:
    """Prints what a task goes through while it goes on."""

    printer: Printer
    with_states: bool

    def run(self, entries: Iterable[Event | LogLine]) -> None:
        """Raises InvalidInput for shapes that need to know the end."""
        whole = (Output.CSV, Output.YAML) + (() if self.with_states else (Output.JSON,))
        if self.printer.shape in whole:
            raise InvalidInput(
                f"What goes on cannot be shown as {self.printer.shape}.", hint="Use -o jsonl."
            )
        for entry in entries:
            if self.with_states or isinstance(entry, LogLine):
                self._print(entry)

    def _print(self, entry: Event | LogLine) -> None:
        match self.printer.shape:
            case Output.JSON:
                return
            case Output.TABLE | Output.WIDE:
                self.printer.raw(f"{visible(_line(entry))}\n")
            case _ if self.with_states:
                self.printer.items([_entry_item(entry)], _STREAM, empty="")
            case _:
                self.printer.items([asdict(entry)], _LOG, empty="")
        sys.stdout.flush()


def as_item(task: Task) -> dict[str, Any]:
    """With the two durations that people ask for, of the latest attempt."""
    waited = ran = None
    if task.started_at and task.state is not TaskState.WAITING:
        waited = max(task.started_at - task.run_at, timedelta())
        ran = max((task.finished_at or datetime.now(UTC)) - task.started_at, timedelta())
    return {**asdict(task), "waited_for": waited, "ran_for": ran}


def show(printer: Printer, report: Report) -> None:
    item = as_item(report.task)
    attempts = [_attempt_item(attempt) for attempt in report.attempts]
    if not printer.for_people or printer.fields:
        run_input = asdict(report.run_input)
        events = [asdict(event) for event in report.events]
        started = [_started_item(task) for task in report.started]
        whole = {**item, "input": run_input, "attempts": attempts, "events": events}
        whole["started"] = started
        # Lists of things are for JSON; a line holds one value.
        printer.item(whole, [Column(key) for key in (*item, "input")])
        return
    facts = _facts(item, report)
    printer.item(facts, [Column(key, style=_style(key, report.task)) for key in facts])
    if attempts:
        printer.raw("\n")
        printer.items(attempts, _ATTEMPTS, empty="")


def log(printer: Printer, lines: Sequence[LogLine]) -> None:
    if not printer.for_people:
        printer.items([asdict(line) for line in lines], _LOG, empty="It said nothing.")
        return
    if not lines:
        printer.say("It said nothing.")
    for line in lines:
        printer.raw(f"{visible(_line(line))}\n")


def output(printer: Printer, task_id: UUID, found: TaskOutput) -> None:
    """The text as it is, in pipes too: only JSON carries the full answer. Raises NoOutput."""
    if printer.output in (Output.JSON, Output.JSONL, Output.YAML):
        printer.item({"task_id": task_id, **asdict(found)})
        return
    if found.text is None:
        raise NoOutput(
            f"The answer of task {task_id} has no text.",
            hint=f"See all of it with: automagik tasks output {task_id} -o json",
        )
    is_on_terminal = sys.stdout.isatty()
    printer.raw(visible(found.text) if is_on_terminal else found.text)
    if is_on_terminal and not found.text.endswith("\n"):
        printer.raw("\n")


def ending(printer: Printer, task: Task) -> None:
    if printer.output in (Output.JSON, Output.JSONL, Output.YAML):
        printer.item(as_item(task))
        return
    after = f" after {duration(as_item(task)['ran_for'])}" if task.started_at else ""
    if task.state is TaskState.COMPLETED:
        printer.say(f"✓ completed{after} · output: automagik tasks output {task.id}")
        return
    # In one line: LangFlow puts empty ones between what failed and why.
    why = f": {' '.join(visible(task.error_message).split())}" if task.error_message else ""
    printer.say(f"{marked(task.state)}{after}{why} · more: automagik tasks show {task.id}")


def _facts(item: Mapping[str, Any], report: Report) -> dict[str, Any]:
    """The report for a person, without what is empty; keys become headings."""
    task, run_input = report.task, report.run_input
    facts = {
        "task": str(task.id),
        "state": _with(marked(task.state), task.state_reason),
        "by": task.state_actor,
        "flow": f"{task.flow_name} (version {task.flow_version}, source {task.source_name})",
        "schedule": task.schedule_name,
        "scheduled_for": task.scheduled_for,
        "backfill": task.backfill_id and str(task.backfill_id),
        "follows": task.parent_task_id and f"task {task.parent_task_id}",
        "attempts": f"{task.attempt} of at most {task.max_attempts}",
        "deadline": f"{duration(task.timeout)} for each attempt",
        "created": task.created_at,
        "due": task.run_at,
        "queued": task.queued_at,
        "started": task.started_at,
        "finished": task.finished_at,
        "waited": item["waited_for"],
        "ran": item["ran_for"],
        "priority": task.priority or None,
        "queue": task.queue,
        "at_most_once": task.at_most_once or None,
        "idempotency_key": task.idempotency_key,
        "trace": task.trace_id,
        "session": run_input.session_id,
        "input": _cut(run_input.input_value) or None,
        "tweaks": run_input.tweaks or None,
        "error": _with(task.error_code or "", task.error_message) or None,
        "started_runs": "\n".join(map(_started_line, report.started)) or None,
    }
    return {key: value for key, value in facts.items() if value is not None}


def _style(key: str, task: Task) -> str:
    return {"state": colour(task.state), "error": "red"}.get(key, "")


def _with(first: str, second: str | None) -> str:
    return f"{first} · {second}" if first and second else first or second or ""


def _cut(text: str) -> str:
    if len(text) <= _SHOWN_CHARACTERS:
        return text
    return f"{text[:_SHOWN_CHARACTERS]}… ({len(text):,} characters; all of it with -o json)"


def _started_item(task: Task) -> dict[str, Any]:
    keys = ("id", "schedule_name", "flow_name", "state")
    return {key: getattr(task, key) for key in keys}


def _started_line(task: Task) -> str:
    return f"{marked(task.state)}  {task.schedule_name or task.flow_name}  {task.id}"


def _attempt_item(attempt: Attempt) -> dict[str, Any]:
    took = attempt.finished_at - attempt.started_at if attempt.finished_at else None
    return {**asdict(attempt), "took": took}


def _entry_item(entry: Event | LogLine) -> dict[str, Any]:
    if isinstance(entry, LogLine):
        return {"kind": "log", **asdict(entry)}
    item = asdict(entry)
    return {"kind": "state", **item, "state": item["to_state"]}


def _line(entry: Event | LogLine) -> str:
    local = entry.at.astimezone()
    clock = f"{local:%H:%M:%S}.{local.microsecond // 1000:03} {local.tzname()}"
    if isinstance(entry, LogLine):
        return f"{clock}  {entry.level:<9} {entry.component}: {entry.message}"
    attempt = f" · attempt {entry.attempt}" if entry.attempt else ""
    reason = f" · {entry.reason}" if entry.reason else ""
    return f"{clock}  {marked(entry.to_state)} · {entry.actor}{attempt}{reason}"
