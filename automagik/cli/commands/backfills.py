"""`automagik backfills`: runs for stretches of the past, once they have begun."""

from datetime import timedelta
from typing import TYPE_CHECKING, Annotated
from uuid import UUID

import typer

from automagik.cli import known, person
from automagik.cli.context import database, printer, settings
from automagik.cli.options import GiveUp, Limit, Yes
from automagik.cli.watching import leaving

if TYPE_CHECKING:
    from automagik.core.scheduler.backfill_manager import BackfillManager
    from automagik.core.scheduler.backfill_rows import Backfill

app = typer.Typer()

_ACTOR = "cli"

Ref = Annotated[
    str,
    typer.Argument(
        metavar="ID", help="An id, the beginning of one, or @last.", autocompletion=known.backfills
    ),
]


@app.command("list")
def list_(
    *,
    schedule: Annotated[
        str | None,
        typer.Option(
            "--schedule",
            metavar="SCHEDULE",
            help="Only of this schedule.",
            autocompletion=known.schedules,
        ),
    ] = None,
    running: Annotated[bool, typer.Option("--running", help="Only those that go on.")] = False,
    limit: Limit = 50,
) -> None:
    """List backfills, the newest first.

    Example: automagik backfills list --running
    """
    from automagik.cli import backfill_report
    from automagik.core.scheduler.manager import SchedulerManager

    schedule_id = SchedulerManager(database(), settings()).resolve(schedule) if schedule else None
    found = manager().list(schedule_id=schedule_id, running=running, limit=limit)
    printer().items(
        [backfill_report.as_item(backfill) for backfill in found],
        backfill_report.LIST if printer().for_people else backfill_report.FOR_PIPES,
        empty="No backfills here. Begin one: automagik schedules backfill SCHEDULE --from TIME",
    )


@app.command()
def show(backfill: Ref) -> None:
    """Show one backfill: how far it has come, and what became of its runs.

    Example: automagik backfills show @last
    """
    from automagik.cli import backfill_report

    backfill_report.show(printer(), manager().get(_resolve(backfill)))


@app.command()
def watch(backfill: Ref, *, timeout: GiveUp = None) -> None:
    """Follow a backfill until its end; Ctrl-C leaves it alone.

    The exit code is 0 if all its runs completed, 1 if not, 8 after the timeout.

    Example: automagik backfills watch @last --timeout 10m
    """
    finish(manager().get(_resolve(backfill)), timeout=timeout)


@app.command()
def cancel(backfill: Ref, *, yes: Yes = False) -> None:
    """Begin no more of its runs. Those that wait are cancelled, those that run go on.

    Example: automagik backfills cancel @last --yes
    """
    found = manager().get(_resolve(backfill))
    person.confirm(f"Cancel the backfill {found.id} of {found.schedule_name}?", yes=yes)
    cancelled = manager().cancel(found.id, actor=_ACTOR)
    goes_on = f"; {cancelled.unfinished} of its runs go on" if cancelled.unfinished else ""
    printer().say(f"✓ Backfill {cancelled.id} cancelled{goes_on}.")


def finish(backfill: "Backfill", *, timeout: timedelta | None = None) -> None:
    """Until its end: the exit code says whether all went well. Raises StillPending."""
    from automagik.cli import backfill_report
    from automagik.cli.waiting import say_if_nobody_works

    if not backfill.state.is_final:
        say_if_nobody_works("its runs wait")
    with leaving(f"The backfill goes on. Come back with: automagik backfills watch {backfill.id}"):
        states = manager().follow(backfill.id, timeout=timeout)
        ended = backfill_report.follow(printer(), states, total=backfill.occurrences)
    if ended is None:
        return
    if printer().output:
        printer().item(backfill_report.as_item(ended))
    if not ended.has_succeeded:
        raise typer.Exit(1)


def manager() -> "BackfillManager":
    from automagik.core.scheduler.backfill_manager import BackfillManager

    return BackfillManager(database())


def _resolve(reference: str) -> UUID:
    return manager().resolve(reference)
