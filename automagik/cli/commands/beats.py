"""`automagik beats`: the processes that make schedules run."""

import typer

from automagik.cli.context import printer, settings
from automagik.cli.options import HostChecked
from automagik.cli.times import duration

app = typer.Typer()


@app.callback()
def beats() -> None:
    """The processes that make schedules run."""


@app.command()
def check(*, host: HostChecked = None) -> None:
    """Fail unless a beat on this host gives signs of life.

    Made for health checks: quick, and it asks PostgreSQL alone. Exit 1: it is silent;
    exit 5: PostgreSQL does not answer.

    Example: automagik beats check
    """
    import socket

    from automagik.core.tasks.liveness import beat_of

    found = beat_of(settings(), host=host or socket.gethostname())
    printer().say(f"✓ {found.name}: its last sign of life is {duration(found.age)} old.")
