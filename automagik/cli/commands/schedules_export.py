"""`automagik schedules export`: schedules as a file that `automagik apply` reads."""

from typing import Annotated

import typer

from automagik.cli import known
from automagik.cli.commands.schedules_read import resolve
from automagik.cli.context import database, printer, settings

app = typer.Typer()


@app.command("export")
def export_(
    names: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[SCHEDULE]…",
            help="Their names; without any all of them.",
            autocompletion=known.schedules,
        ),
    ] = None,
    *,
    flow: Annotated[
        str | None,
        typer.Option(
            "--flow", metavar="FLOW", help="Only of this flow.", autocompletion=known.flows
        ),
    ] = None,
) -> None:
    """Write schedules, with the sources and calendars that they need, as YAML for apply.

    API keys are not written, nor are schedules whose times have passed.

    Example: automagik schedules export > automagik.yaml
    """
    from automagik.core.flows.manager import FlowManager
    from automagik.core.manifest.export import export

    found = export(
        database(),
        settings(),
        schedules=[resolve(name) for name in names] if names else None,
        flow_id=FlowManager(database(), settings()).get(flow).id if flow else None,
    )
    printer().raw(found.text)
    if found.left_out:
        left_out = ", ".join(found.left_out)
        printer().say(f"Left out, for no run of theirs is to come: {left_out}.")
    for source in found.without_key:
        printer().say(
            f"The API key of source {source} is not written. Where it is made anew, add:"
            f" api-key: env:NAME"
        )
