"""Options that several commands share. Those of output are added to every command by itself."""

import re
from collections.abc import Sequence
from datetime import timedelta
from functools import cache
from typing import Annotated, Any

import typer

from automagik.cli import context, known, times
from automagik.cli.printer import Color, Output
from automagik.cli.times import TimeFormat, parse_duration

Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
InputText = Annotated[
    list[str] | None,
    typer.Option(
        "--input",
        "-i",
        metavar="TEXT|@FILE|-|PATH=VALUE",
        help="Text or JSON; @file reads a file, - stdin; or fields of JSON: a.b=3; repeatable.",
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
    typer.Option(
        "--queue",
        metavar="QUEUE",
        help="Where runs wait: for the workers bound to it.",
        autocompletion=known.queues,
    ),
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
Watch = Annotated[bool, typer.Option("--watch", "-w", help="Show changes until Ctrl-C.")]
HostChecked = Annotated[
    str | None,
    typer.Option("--host", metavar="HOST", help="The host that it runs on; by default this one."),
]
Labels = Annotated[
    list[str] | None,
    typer.Option(
        "--label", metavar="KEY[=VALUE]", help="A word to group it by, as team=ops; repeatable."
    ),
]
Wait = Annotated[bool, typer.Option("--wait", help="Wait for the end of the run.")]
WaitTimeout = Annotated[
    timedelta | None,
    typer.Option(
        "--wait-timeout",
        parser=parse_duration,
        metavar="DURATION",
        help="Wait, but at most so long: then it goes on, and the exit code is 8.",
    ),
]
GiveUp = Annotated[
    timedelta | None,
    typer.Option(
        "--timeout", parser=parse_duration, metavar="DURATION", help="Give up; it goes on."
    ),
]
Limit = Annotated[int, typer.Option("--limit", "-n", min=1, max=10_000, help="How many.")]
Note = Annotated[str | None, typer.Option("--note", metavar="TEXT", help="Kept with it.")]
DryRun = Annotated[
    bool, typer.Option("--dry-run", help="Only say what would be deleted; change nothing.")
]


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
    """-o, --fields, -q and what else says how the answer looks."""
    command.params.extend(_output_parameters())


@cache
def _output_parameters() -> Sequence[Any]:
    """Once for all commands: making them takes longer than all else before a command begins."""
    shared = typer.Typer(add_completion=False)
    shared.command()(_shared)
    return tuple(typer.main.get_command(shared).params)


def _set_output(value: Output | None) -> None:
    if value:
        context.printer().output = value


def _set_fields(value: str | None) -> None:
    if value:
        context.printer().fields = tuple(key.strip() for key in value.split(","))


def _set_quiet(*, value: bool) -> None:
    if value:
        context.printer().quiet = True


def _set_header(*, value: bool) -> None:
    if not value:
        context.printer().has_header = False


def _set_color(value: Color | None) -> None:
    if value:
        context.printer().color = value


def _set_time(value: TimeFormat | None) -> None:
    if value:
        times.chosen.set(value)


def _set_pager(*, value: bool) -> None:
    if not value:
        context.printer().uses_pager = False


def _set_profile(value: str | None) -> None:
    if value:
        context.choose_profile(value)


def _set_no_input(*, value: bool) -> None:
    if value:
        context.ask_nothing()


def _set_debug(*, value: bool) -> None:
    if value:
        context.show_tracebacks()


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
            help="Say nothing but data and errors; of a list only names or ids.",
        ),
    ] = False,
    header: Annotated[
        bool,
        typer.Option(
            "--header/--no-header",
            callback=_set_header,
            expose_value=False,
            is_eager=True,
            hidden=True,
            help="The line with the names of the columns, in tables and CSV.",
        ),
    ] = True,
    color: Annotated[
        Color | None,
        typer.Option(
            "--color",
            callback=_set_color,
            expose_value=False,
            is_eager=True,
            hidden=True,
            help="By default auto: on a terminal, unless NO_COLOR is set.",
        ),
    ] = None,
    time: Annotated[
        TimeFormat | None,
        typer.Option(
            "--time",
            callback=_set_time,
            expose_value=False,
            is_eager=True,
            hidden=True,
            help="How people read instants; by default relative and local.",
        ),
    ] = None,
    pager: Annotated[
        bool,
        typer.Option(
            "--pager/--no-pager",
            callback=_set_pager,
            expose_value=False,
            is_eager=True,
            hidden=True,
            help="Show what is longer than the terminal in $PAGER.",
        ),
    ] = True,
    profile: Annotated[
        str | None,
        typer.Option(
            "--profile",
            metavar="NAME",
            callback=_set_profile,
            expose_value=False,
            is_eager=True,
            hidden=True,
            help="The settings of this profile of automagik.toml or your own config.toml.",
            autocompletion=known.profiles,
        ),
    ] = None,
    no_input: Annotated[
        bool,
        typer.Option(
            "--no-input",
            callback=_set_no_input,
            expose_value=False,
            is_eager=True,
            hidden=True,
            help="Ask nothing, also on a terminal: what would be asked must be an option.",
        ),
    ] = False,
    debug: Annotated[
        bool,
        typer.Option(
            "--debug",
            callback=_set_debug,
            expose_value=False,
            is_eager=True,
            hidden=True,
            help="Show the traceback of an error.",
        ),
    ] = False,
) -> None:
    """Never called: its options are lent to the commands."""
