"""`automagik up`: everything on this machine, from one command."""

import signal
from types import FrameType
from typing import Annotated, NoReturn

import typer

from automagik.cli import context

app = typer.Typer()


@app.command()
def up(
    *,
    demo: Annotated[
        bool, typer.Option("--demo", help="Add a demo server with flows and a schedule that runs.")
    ] = False,
    flower: Annotated[bool, typer.Option("--flower", help="Start Flower, too.")] = False,
) -> None:
    """Start PostgreSQL, Redis, a beat and a worker, and show what happens until Ctrl-C.

    With DATABASE_URL or REDIS_URL set, that server is used instead of one of our own.

    Example: automagik up --demo
    """
    from automagik.cli.happenings import Narrator
    from automagik.core.embedded.application import Application
    from automagik.demo.introduce import introduce

    settings = context.settings()
    narrator = Narrator()
    # SIGINT as well: a shell starts background jobs with it ignored.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _interrupt)
    narrator.begin(settings.home)
    application = Application(
        settings, flower=flower, tell=narrator.tell, beforehand=introduce if demo else None
    )
    with application:
        narrator.all_is_ready(demo=demo)
        try:
            for happening in application.happenings():
                narrator.happened(happening)
        except KeyboardInterrupt:
            # Leaving the block stops everything; it is what the user asked for, not an error.
            narrator.stopping()


def _interrupt(_number: int, _frame: FrameType | None) -> NoReturn:
    """A polite end, as by Ctrl-C."""
    raise KeyboardInterrupt
