"""How backfills look: before they begin, in a list, as a report, and while they go on."""

from collections.abc import Iterable
from dataclasses import asdict
from functools import partial
from typing import TYPE_CHECKING, Any

from automagik.cli.marks import marked, state_column
from automagik.cli.printer import Column, Printer
from automagik.cli.times import at, when

if TYPE_CHECKING:
    from automagik.core.scheduler.backfill_prospect import Prospect
    from automagik.core.scheduler.backfill_rows import Backfill

SHOWN, LISTED = 100, 10_000
"""So many occurrences are shown to a person, and in a pipe."""

LIST = (
    Column("id", "Backfill"),
    state_column("state"),
    Column("schedule_name", "Schedule"),
    Column("begin_at", "From", format=at),
    Column("end_at", "To", format=at),
    Column("progress"),
    Column("failed"),
    Column("created_at", "Created", format=when, wide=True),
)
FOR_PIPES = (*LIST[:5], Column("done"), Column("occurrences"), *LIST[6:])


def as_item(backfill: "Backfill") -> dict[str, Any]:
    return {**asdict(backfill), "done": backfill.done, "progress": _progress(backfill)}


def show(printer: Printer, backfill: "Backfill") -> None:
    local = partial(at, zone=backfill.timezone)
    columns = [
        Column("id", "Backfill"),
        Column("schedule_name", "Schedule"),
        state_column("state"),
        Column("reason"),
        Column("begin_at", "From", format=local),
        Column("end_at", "To", format=local),
        Column("told_until", "Has come to", format=local),
        Column("progress"),
        Column("made"),
        Column("passed_by"),
        Column("unfinished"),
        Column("completed"),
        Column("failed"),
        Column("cancelled"),
        Column("overlap"),
        Column("max_concurrent", "At a time"),
        Column("actor", "By"),
        Column("created_at", "Created"),
        Column("finished_at", "Finished"),
    ]
    item = as_item(backfill)
    if printer.for_people:
        columns = [column for column in columns if item[column.key] is not None]
    printer.item(item, columns)


def preview(printer: Printer, prospect: "Prospect") -> None:
    """What would run and what would not, without the end of a long list."""
    most = SHOWN if printer.for_people else LISTED
    shown = prospect.occurrences[:most]
    columns = [
        Column("at", "Occurrence", format=partial(at, zone=prospect.schedule.timezone)),
        Column("task_id", "Has the task"),
    ]
    items = [{"at": each, "task_id": prospect.tasks.get(each)} for each in shown]
    printer.items(items, columns, empty="")
    if left := len(prospect.occurrences) - len(shown):
        printer.say(f"… and {left:,} more.")
    printer.say(in_words(prospect))


def in_words(prospect: "Prospect") -> str:
    """Such as `24 occurrences from … to …: 20 to run, 4 have a task already`."""
    local = partial(at, zone=prospect.schedule.timezone)
    total, with_task = len(prospect.occurrences), len(prospect.tasks)
    span = f"{_counted(total)} from {local(prospect.begin)} to {local(prospect.end)}"
    if not with_task:
        return f"{span}."
    have = "has a task already" if with_task == 1 else "have a task already"
    return f"{span}: {total - with_task:,} to run, {with_task:,} {have}."


def follow(printer: Printer, states: "Iterable[Backfill]", *, total: int) -> "Backfill | None":
    """Shows the progress until the end, and what became of it."""
    last = None
    with printer.progress(total=total) as tell:
        for last in states:
            tell(last.done, _going_on(last))
    if last is not None:
        ending(printer, last)
    return last


def ending(printer: Printer, backfill: "Backfill") -> None:
    reason = f" ({backfill.reason})" if backfill.reason else ""
    printer.say(f"{marked(backfill.state)}{reason} · {_outcome(backfill)}")
    if backfill.failed:
        more = f"automagik tasks list --backfill {backfill.id} --state failed"
        printer.say(f"  See what failed with: {more}")


def _outcome(backfill: "Backfill") -> str:
    counts = {
        "completed": backfill.completed,
        "failed": backfill.failed,
        "cancelled": backfill.cancelled,
        "unfinished": backfill.unfinished,
        "passed by": backfill.passed_by,
    }
    return ", ".join(f"{count:,} {word}" for word, count in counts.items() if count) or "no runs"


def _going_on(backfill: "Backfill") -> str:
    failed = f", {backfill.failed:,} failed" if backfill.failed else ""
    return f"{backfill.schedule_name}: {_progress(backfill)}{failed}"


def _progress(backfill: "Backfill") -> str:
    return f"{backfill.done:,} of {backfill.occurrences:,}"


def _counted(count: int) -> str:
    return "1 occurrence" if count == 1 else f"{count:,} occurrences"
