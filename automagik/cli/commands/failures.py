"""`automagik failures`: why runs failed."""

from dataclasses import asdict
from typing import Annotated

import typer

from automagik.cli.context import database, printer, settings
from automagik.cli.moments import age
from automagik.cli.printer import Column
from automagik.cli.times import ago

app = typer.Typer()

_COLUMNS = (
    Column("fingerprint", "Cause"),
    Column("tasks"),
    Column("error_code", "Error", style="red"),
    Column("cause", "Message"),
    Column("flows", format=", ".join),
    Column("first_at", "First", format=ago, wide=True),
    Column("last_at", "Last", format=ago),
    Column("last_task_id", "Last task", wide=True),
)


@app.command()
def failures(
    *,
    since: Annotated[
        str,
        typer.Option("--since", metavar="TIME", help="Ended since: 2h, a date or an instant."),
    ] = "1d",
) -> None:
    """Show why runs failed for good: one line per cause, what came oftest first.

    Messages that only differ in ids, numbers, times and quoted texts have the same cause.

    Example: automagik failures --since 7d
    """
    from automagik.core.tasks.manager import TaskManager

    found = TaskManager(database(), settings()).failures(age=age(since))
    printer().items([asdict(each) for each in found], _COLUMNS, empty="Nothing failed.")
