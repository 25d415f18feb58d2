"""`automagik schedules history`: what became of each occurrence."""

from collections.abc import Sequence
from dataclasses import asdict
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

import typer

from automagik.cli import known
from automagik.cli.commands.schedules_read import Name, manager, resolve
from automagik.cli.context import printer
from automagik.cli.marks import colour, marked
from automagik.cli.options import Limit
from automagik.cli.printer import Column
from automagik.cli.times import at
from automagik.cli.words import chosen
from automagik.core.tasks.states import TaskState

if TYPE_CHECKING:
    from automagik.core.scheduler.history import Entry

app = typer.Typer()

_LIMIT = 20


@app.command()
def history(
    schedule: Name,
    *,
    limit: Limit = _LIMIT,
    begin: Annotated[
        str | None, typer.Option("--from", metavar="TIME", help="Not before; a time or a date.")
    ] = None,
    end: Annotated[
        str | None,
        typer.Option("--to", metavar="TIME", help="Only before; a date with all its day."),
    ] = None,
    state: Annotated[
        list[str] | None,
        typer.Option(
            "--state",
            "-s",
            metavar="STATE,…",
            help="Only runs in one of these states; repeatable.",
            autocompletion=known.states,
        ),
    ] = None,
    skipped: Annotated[
        bool, typer.Option("--skipped", help="Only what became no run; with --state that, too.")
    ] = False,
) -> None:
    """List what became of each occurrence, the newest first: its run, or why there was none.

    Runs that were started by hand, by a backfill or by the end of another are among them.

    Example: automagik schedules history greeter-every-5m --from 2026-11-01 --state failed
    """
    from automagik.core.scheduler.as_typed import instant_of
    from automagik.core.scheduler.history import HistoryFilter

    found = manager().get(resolve(schedule))
    zone = found.timezone
    wanted = HistoryFilter(
        since=None if begin is None else instant_of(begin, timezone=zone),
        before=None if end is None else instant_of(end, timezone=zone, whole_day=True),
        states=chosen(state, TaskState, noun="state"),
        tasks=bool(state) or not skipped,
        skipped=skipped or not state,
        limit=limit,
    )
    _print(manager().history(found.id, wanted), zone=zone, limit=limit)


def _print(entries: "Sequence[Entry]", *, zone: str, limit: int) -> None:
    local = partial(at, zone=zone)
    columns = [
        Column("at", "When", format=local),
        Column("origin", "By"),
        Column("became", format=marked, style=colour),
        Column("started_after", "Started after", wide=True),
        Column("ran_for", "Ran"),
        Column("attempts", wide=True),
        Column("note"),
        Column("task_id", "Task"),
    ]
    if not printer().for_people:
        columns += [Column("since"), Column("reason"), Column("error_code")]
    items = [_item(entry, zone) for entry in entries]
    printer().items(items, columns, empty="Nothing is known of that time.")
    if printer().for_people and len(entries) >= limit:
        oldest = entries[-1].at
        printer().say(f"Older ones: add --to {oldest.isoformat()}")


def _item(entry: "Entry", zone: str) -> dict[str, Any]:
    note = entry.error_code
    if entry.reason is not None:
        note = entry.reason_text
        if entry.since != entry.at and entry.since is not None:
            note = f"all since {at(entry.since, zone=zone)}: {note}"
    became = entry.state if entry.state is not None else "skipped"
    return {**asdict(entry), "became": became, "note": note}
