"""`automagik top`: everything that goes on, on the whole screen."""

from importlib.util import find_spec

import typer

from automagik.cli.context import database, printer, settings
from automagik.core.exceptions import InvalidInput

app = typer.Typer()


@app.command()
def top() -> None:
    """Show throughput, queues, workers, running and coming runs, live on the whole screen.

    Arrows and Enter open a task with its log, q leaves. Needs the extra `top`.

    Example: automagik top
    """
    if find_spec("textual") is None:
        raise InvalidInput(
            "The screen needs Textual, which is not installed.",
            hint="Install it with: uv tool install 'automagik[top]', or pip install textual",
        )
    if not printer().for_people:
        raise InvalidInput("This is for a terminal.", hint="In a pipe: automagik status -o json")
    from automagik.cli.top import Top

    Top(database(), settings()).run()
