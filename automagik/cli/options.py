"""Options that several commands share. -o, --fields and -q are added to every command by itself."""

import re
from datetime import timedelta
from typing import Annotated, Any

import typer

from automagik.cli import context
from automagik.cli.printer import Output
from automagik.cli.times import parse_duration

Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
InputText = Annotated[
    str | None,
    typer.Option(
        "--input",
        "-i",
        metavar="TEXT|@FILE|-",
        help="Text or JSON for the flow; @file reads a file, - reads stdin.",
    ),
]
Tweaks = Annotated[
    list[str] | None,
    typer.Option(
        "--tweak", metavar="COMP.FIELD=VALUE", help="Set a component's field; repeatable."
    ),
]
Session = Annotated[
    str | None,
    typer.Option("--session", metavar="ID", help="Share the chat memory of this session."),
]
Priority = Annotated[
    int | None,
    typer.Option(
        "--priority",
        help="-1000 to 1000, higher runs first; a point is worth a minute of waiting.",
    ),
]
Queue = Annotated[
    str | None,
    typer.Option("--queue", metavar="QUEUE", help="Where runs wait: for the workers bound to it."),
]
MaxRetries = Annotated[
    int | None, typer.Option("--max-retries", min=0, help="How often a failed run is tried again.")
]
Timeout = Annotated[
    timedelta | None,
    typer.Option(
        "--timeout", parser=parse_duration, metavar="DURATION", help="The deadline of one attempt."
    ),
]
Labels = Annotated[
    list[str] | None,
    typer.Option(
        "--label", metavar="KEY[=VALUE]", help="A word to group it by, as team=ops; repeatable."
    ),
]
Wait = Annotated[bool, typer.Option("--wait", help="Wait for the end of the run.")]


def prepare(command: Any) -> None:
    """Gives a command, or all commands of a group, what every command has."""
    # Rich's help takes 0.3 s to import.
    command.rich_markup_mode = None
    command.help = _EXAMPLE.sub("\n\n\b\nExample", command.help or "")
    if not hasattr(command, "commands"):
        add_output_options(command)
        return
    command.no_args_is_help = True
    for child in command.commands.values():
        prepare(child)


def add_output_options(command: Any) -> None:
    """-o, --fields and -q."""
    shared = typer.Typer(add_completion=False)
    shared.command()(_shared)
    command.params.extend(typer.main.get_command(shared).params)


def _set_output(value: Output | None) -> None:
    if value:
        context.printer().output = value


def _set_fields(value: str | None) -> None:
    if value:
        context.printer().fields = tuple(key.strip() for key in value.split(","))


def _set_quiet(*, value: bool) -> None:
    if value:
        context.printer().quiet = True


# Lines after \b are not joined.
_EXAMPLE = re.compile(r"\n\s*\nExample")


def _shared(
    *,
    output: Annotated[
        Output | None,
        typer.Option(
            "--output",
            "-o",
            callback=_set_output,
            expose_value=False,
            is_eager=True,
            help="By default a table on a terminal, tab-separated in a pipe.",
        ),
    ] = None,
    fields: Annotated[
        str | None,
        typer.Option(
            "--fields",
            metavar="A,B,…",
            callback=_set_fields,
            expose_value=False,
            is_eager=True,
            help="Only these fields, in this order.",
        ),
    ] = None,
    quiet: Annotated[
        bool,
        typer.Option(
            "--quiet",
            "-q",
            callback=_set_quiet,
            expose_value=False,
            is_eager=True,
            help="Say nothing but data and errors.",
        ),
    ] = False,
) -> None:
    """Never called: its options are lent to the commands."""
