"""`automagik queues …`: what tasks wait in, and who takes from it."""

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from automagik.cli import context, known
from automagik.cli.options import Note, Watch
from automagik.cli.printer import Column

if TYPE_CHECKING:
    from automagik.core.queues import QueueManager

app = typer.Typer()

Name = Annotated[
    str, typer.Argument(metavar="QUEUE", help="Its name.", autocompletion=known.queues)
]


def _due(count: int) -> str:
    from automagik.core.queues import at_least

    return at_least(count)


_COLUMNS = [
    Column("name", "Queue"),
    Column("due", format=_due),
    Column("queued"),
    Column("running"),
    Column("slots"),
    Column("workers"),
    Column("paused_at", "Paused", style="yellow"),
    Column("pause_reason", "Reason"),
]


@app.command("list")
def list_queues(*, watch: Watch = False) -> None:
    """List the queues, with their tasks and the live workers that take from them.

    A worker takes from the queues that it is started with: celery -A automagik worker -Q gpu

    Example: automagik queues list
    """
    queues = _open_queues()

    def read() -> list[dict[str, Any]]:
        return [asdict(queue) for queue in queues.list()]

    if watch:
        from automagik.cli import live

        live.show_list(read, lambda _: _COLUMNS, empty="")
    context.printer().items(read(), _COLUMNS, empty="")


@app.command()
def show(name: Name) -> None:
    """Show one queue: what waits in it, and who takes from it.

    Example: automagik queues show gpu
    """
    queue = _open_queues().get(name)
    context.printer().item(asdict(queue), [*_COLUMNS, Column("oldest_age", "Longest waiting")])
    if queue.is_deserted:
        context.printer().say(f"! No worker takes from it: celery -A automagik worker -Q {name}")


@app.command()
def pause(
    name: Name,
    *,
    reason: Note = None,
) -> None:
    """Let none of a queue's tasks start until it is resumed; those that run go on.

    Example: automagik queues pause gpu --note "new driver"
    """
    queue = _open_queues().pause(name, reason=reason)
    context.printer().say(f"✓ Queue {queue.name} paused.")
    context.printer().say(f"  Go on with: automagik queues resume {queue.name}")


@app.command()
def resume(name: Name) -> None:
    """Let the tasks of a paused queue start again, at once.

    Example: automagik queues resume gpu
    """
    queue = _open_queues().resume(name)
    context.printer().say(f"✓ Queue {queue.name} resumed · {queue.waiting} due.")


def _open_queues() -> "QueueManager":
    from automagik.core.queues import QueueManager

    return QueueManager(context.database(), context.settings())
