"""`automagik schedules backfill`: runs for a stretch of the past."""

from typing import TYPE_CHECKING, Annotated

import typer

from automagik.cli.commands import backfills, schedules_read
from automagik.cli.commands.schedules_read import Name
from automagik.cli.context import printer
from automagik.cli.options import Wait, WaitTimeout
from automagik.core.scheduler.policies import Overlap

if TYPE_CHECKING:
    from automagik.core.scheduler.backfill_prospect import Prospect

app = typer.Typer()

_ACTOR = "cli"


@app.command()
def backfill(
    schedule: Name,
    *,
    begin: Annotated[
        str, typer.Option("--from", metavar="TIME", help="The first instant; a time or a date.")
    ],
    end: Annotated[
        str | None,
        typer.Option(
            "--to",
            metavar="TIME",
            help="Up to there; a date with all its day. By default now.",
        ),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show what would run.")] = False,
    overlap: Annotated[
        Overlap,
        typer.Option(
            "--overlap",
            metavar="allow-all|skip|buffer-all",
            help="While a live run of the schedule is unfinished.",
        ),
    ] = Overlap.ALLOW_ALL,
    max_concurrent: Annotated[
        int, typer.Option("--max-concurrent", help="So many of its runs at a time.")
    ] = 1,
    wait: Wait = False,
    wait_timeout: WaitTimeout = None,
) -> None:
    """Run what a schedule would have run in a stretch of the past. Prints the id of the backfill.

    Occurrences that have a task, whatever became of it, are left alone. The others run oldest
    first and after all live runs, also when the schedule is paused, and nothing follows them.

    Example: automagik schedules backfill greeter-every-5m --from 2026-11-01 --dry-run

    Example: automagik schedules backfill greeter-every-5m --from 2026-11-01 --to 2026-11-07 --wait
    """
    from automagik.cli import backfill_report
    from automagik.cli.waiting import say_if_nobody_works

    wanted = _prospect(schedule, begin, end)
    if dry_run:
        backfill_report.preview(printer(), wanted)
        return
    started = backfills.manager().start(
        wanted, actor=_ACTOR, overlap=overlap, max_concurrent=max_concurrent
    )
    printer().say(backfill_report.in_words(wanted))
    if wanted.schedule.status != "active":
        printer().say(f"  Schedule {wanted.schedule.name} stays {wanted.schedule.status}.")
    is_watched = wait or wait_timeout is not None
    if not (is_watched and printer().output):
        printer().made(backfill_report.as_item(started))
    if is_watched:
        backfills.finish(started, timeout=wait_timeout)
    else:
        say_if_nobody_works("its runs wait")
        printer().say(f"Watch it with: automagik backfills watch {started.id}")


def _prospect(schedule: str, begin: str, end: str | None) -> "Prospect":
    from automagik.core.scheduler.as_typed import instant_of

    found = schedules_read.manager().get(schedules_read.resolve(schedule))
    return backfills.manager().prospect(
        found.id,
        begin=instant_of(begin, timezone=found.timezone),
        end=None if end is None else instant_of(end, timezone=found.timezone, whole_day=True),
    )
