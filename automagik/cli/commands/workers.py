"""`automagik workers`: the processes that run tasks."""

from dataclasses import asdict
from datetime import timedelta
from typing import Any

import typer

from automagik.cli.context import database, printer, settings
from automagik.cli.marks import state_column
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
def list_() -> None:
    """List live workers, and those that went within the last hour.

    Clock is how far the clock of a worker's host is ahead of PostgreSQL's.

    Example: automagik workers list -o json
    """
    from automagik.core.tasks.workers import list_workers

    lease = timedelta(seconds=settings().lease_seconds)
    with database().transaction() as connection:
        found = list_workers(connection, lease=lease)
    printer().items([_item(worker) for worker in found], _COLUMNS, empty=_NOBODY)


_NOBODY = (
    "No worker is running. Start everything with: automagik up,"
    " or a worker with: celery -A automagik worker"
)


def _item(worker: Any) -> dict[str, Any]:
    """`state` is what we know, `status` what was said last: the dead say nothing."""
    said_gone = worker.status in ("stopped", "lost")
    return {**asdict(worker), "state": worker.status if worker.is_live or said_gone else "lost"}
