"""`automagik workers`: the processes that run tasks."""

from dataclasses import asdict
from datetime import timedelta
from typing import Annotated, Any

import typer

from automagik.cli import known
from automagik.cli.context import database, printer, settings
from automagik.cli.marks import state_column
from automagik.cli.options import HostChecked, Watch
from automagik.cli.printer import Column
from automagik.cli.times import duration

app = typer.Typer()


@app.callback()
def workers() -> None:
    """The processes that run tasks."""


def _ago(age: timedelta) -> str:
    return f"{duration(age)} ago"


def _seconds(offset: float) -> str:
    return f"{offset:+.1f}s"


def _far_off(offset: float | None) -> str:
    from automagik.core.tasks.host_clock import is_far_off

    return "yellow" if is_far_off(offset) else ""


_COLUMNS = (
    Column("name", "Worker"),
    state_column("state"),
    Column("slots"),
    Column("busy"),
    Column("queues", format=", ".join, wide=True),
    Column("version", wide=True),
    Column("heartbeat_age", "Heartbeat", format=_ago),
    Column("clock_offset_seconds", "Clock", format=_seconds, style=_far_off, wide=True),
    Column("id", wide=True),
)


@app.command("list")
def list_(*, watch: Watch = False) -> None:
    """List live workers, and those that went within the last hour.

    Clock is how far the clock of a worker's host is ahead of PostgreSQL's.

    Example: automagik workers list -o json
    """
    if watch:
        from automagik.cli import live

        live.show_list(_read, lambda _: _COLUMNS, empty=_NOBODY)
    printer().items(_read(), _COLUMNS, empty=_NOBODY)


@app.command()
def show(
    worker: Annotated[
        str,
        typer.Argument(
            metavar="WORKER",
            help="Its name, or its id's beginning.",
            autocompletion=known.workers,
        ),
    ],
) -> None:
    """Show one worker that is there, or was within the last hour.

    Example: automagik workers show celery@host
    """
    from automagik.core.tasks.workers import find_worker

    with database().transaction() as connection:
        found = find_worker(connection, worker, lease=_lease())
    printer().item(_item(found), [*_COLUMNS, *_MORE])
    if found.busy:
        printer().say(f"See what it runs: automagik tasks list --worker {found.name} -s running")


@app.command()
def check(
    worker: Annotated[
        str | None,
        typer.Argument(
            metavar="[WORKER]",
            show_default=False,
            help="Its name; by default any worker on the host will do.",
            autocompletion=known.workers,
        ),
    ] = None,
    *,
    host: HostChecked = None,
) -> None:
    """Fail unless a worker on this host gives signs of life.

    Made for health checks: quick, and it asks PostgreSQL alone, not the workers. Exit 1: it is
    silent; exit 5: PostgreSQL does not answer.

    Example: automagik workers check
    """
    import socket

    from automagik.core.tasks.liveness import worker_of

    found = worker_of(settings(), host=host or socket.gethostname(), name=worker)
    printer().say(f"✓ {found.name}: its last sign of life is {duration(found.age)} old.")


def _read() -> list[dict[str, Any]]:
    from automagik.core.tasks.workers import list_workers

    with database().transaction() as connection:
        return [_item(worker) for worker in list_workers(connection, lease=_lease())]


def _lease() -> timedelta:
    return timedelta(seconds=settings().lease_seconds)


_MORE = (
    Column("hostname", "Host"),
    Column("pid", "PID"),
    Column("pool"),
    Column("started_at", "Started"),
    Column("stopped_at", "Stopped"),
)


_NOBODY = (
    "No worker is running. Start everything with: automagik up,"
    " or a worker with: celery -A automagik worker"
)


def _item(worker: Any) -> dict[str, Any]:
    """`state` is what we know, `status` what was said last: the dead say nothing."""
    said_gone = worker.status in ("stopped", "lost")
    return {**asdict(worker), "state": worker.status if worker.is_live or said_gone else "lost"}
