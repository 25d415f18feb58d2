"""The command line: which commands there are, and how each invocation ends.

A command's module is imported when the command is entered, so that `--help`, `--version` and
completion are quick. Each module in `commands/` has a Typer named `app`.
"""

import os
import sys
from collections.abc import Sequence
from importlib import import_module
from io import TextIOWrapper
from typing import Annotated, Any, NamedTuple

import typer
from typer.core import TyperGroup

from automagik import __version__
from automagik.cli import context
from automagik.cli.failures import ending
from automagik.cli.options import add_output_options, prepare


class Entry(NamedTuple):
    """One word after `automagik`."""

    summary: str
    panel: str
    is_group: bool = True


ENTRIES = {
    "up": Entry("Start everything here: servers, beat and a worker.", "Run", is_group=False),
    "status": Entry("Show on one screen whether all is well.", "Run", is_group=False),
    "doctor": Entry("Check every part and say how to mend it.", "Run", is_group=False),
    "sources": Entry("The LangFlow servers that flows come from.", "Work"),
    "flows": Entry("Sync, look at and run flows.", "Work"),
    "schedules": Entry("Decide when flows run.", "Work"),
    "calendars": Entry("Holidays that schedules heed.", "Work"),
    "calendar": Entry("See what is going to start, by month, week or day.", "Work", is_group=False),
    "apply": Entry("Make sources, calendars and schedules what files say.", "Work", is_group=False),
    "backfills": Entry("Follow runs for stretches of the past.", "Work"),
    "tasks": Entry("Follow runs: state, logs, output; retry and cancel.", "Work"),
    "queues": Entry("What tasks wait in; pause and resume it.", "Servers"),
    "workers": Entry("The processes that run tasks.", "Servers"),
    "db": Entry("Create and migrate the database.", "Servers"),
}


class LazyGroup(TyperGroup):
    """Lists the entries from the table and imports one when it is entered."""

    def __init__(self, **attributes: Any) -> None:
        super().__init__(**attributes)
        for name, entry in ENTRIES.items():
            self.commands[name] = TyperGroup(name=name, help=entry.summary)

    def format_commands(self, _ctx: Any, formatter: Any) -> None:
        for panel in dict.fromkeys(entry.panel for entry in ENTRIES.values()):
            with formatter.section(panel):
                formatter.write_dl([(n, e.summary) for n, e in ENTRIES.items() if e.panel == panel])

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        name, stub, rest = super().resolve_command(ctx, [_plural(args[0]), *args[1:]])
        return (name, load(name), rest) if name else (name, stub, rest)


def load(name: str) -> Any:
    """The real command behind an entry."""
    module = import_module(f"automagik.cli.commands.{name}")
    command: Any = typer.main.get_command(module.app)
    command.name = name
    command.help = command.help or ENTRIES[name].summary
    # Typer offers to install completion on every application; here only the root is one.
    command.params = [p for p in command.params if not str(p.name).endswith("_completion")]
    prepare(command)
    return command


def _plural(word: str) -> str:
    entry = None if word in ENTRIES else ENTRIES.get(f"{word}s")
    return f"{word}s" if entry and entry.is_group else word


def _print_version(*, wanted: bool) -> None:
    if wanted:
        context.printer().raw(f"automagik {__version__}\n")
        raise typer.Exit


app = typer.Typer(
    cls=LazyGroup,
    no_args_is_help=True,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Example: automagik up --demo",
)


@app.callback()
def root(
    *,
    _version: Annotated[
        bool,
        typer.Option("--version", callback=_print_version, is_eager=True, help="Show the version."),
    ] = False,
) -> None:
    """Run LangFlow flows on time and to the end."""


def main(args: Sequence[str] | None = None) -> int:
    """Runs one command; the answer is the exit code of the process."""
    _prepare_streams()
    command = typer.main.get_command(app)
    add_output_options(command)
    with context.invocation(), ending() as outcome:
        outcome.exit_code = command.main(args, prog_name="automagik", standalone_mode=False) or 0
        sys.stdout.flush()
    return outcome.exit_code


def _prepare_streams() -> None:
    """With LC_ALL=C or the like a name or a glyph is escaped; a closed stream is a silent one."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(os.open(os.devnull, os.O_WRONLY), "w"))
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


if __name__ == "__main__":
    sys.exit(main())
