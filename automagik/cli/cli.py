"""The command line: which commands there are, and how each invocation ends.

A command's module is imported when the command is entered, so that `--help`, `--version` and
completion are quick. Each module in `commands/` has a Typer named `app`.
"""

import os
import sys
from collections.abc import Sequence
from functools import cache
from importlib import import_module
from io import TextIOWrapper
from typing import Annotated, Any, NamedTuple

import typer
from typer.core import TyperGroup

from automagik import __version__
from automagik.cli import completion, context
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
    "top": Entry("Watch everything that goes on, on the whole screen.", "Run", is_group=False),
    "doctor": Entry("Check every part and say how to mend it.", "Run", is_group=False),
    "help": Entry("Explain a command, a subject or an error.", "Run", is_group=False),
    "completion": Entry("Let a shell complete words.", "Run", is_group=False),
    "sources": Entry("The LangFlow servers that flows come from.", "Work"),
    "flows": Entry("Sync, look at and run flows.", "Work"),
    "schedules": Entry("Decide when flows run.", "Work"),
    "calendars": Entry("Holidays that schedules heed.", "Work"),
    "calendar": Entry("See what is going to start, by month, week or day.", "Work", is_group=False),
    "apply": Entry("Make sources, calendars and schedules what files say.", "Work", is_group=False),
    "backfills": Entry("Follow runs for stretches of the past.", "Work"),
    "tasks": Entry("Follow runs: state, logs, output; retry and cancel.", "Work"),
    "failures": Entry("Show why runs failed, by cause.", "Work", is_group=False),
    "stats": Entry(
        "Show how many runs ended, how, and how long they took.", "Work", is_group=False
    ),
    "queues": Entry("What tasks wait in; pause and resume it.", "Servers"),
    "beats": Entry("The processes that make schedules run.", "Servers"),
    "workers": Entry("The processes that run tasks.", "Servers"),
    "config": Entry("Settings: what counts, and who says so.", "Servers"),
    "metrics": Entry("Figures for Prometheus.", "Servers"),
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
        name, stub, rest = super().resolve_command(ctx, [plural(args[0]), *args[1:]])
        return (name, load(name), rest) if name else (name, stub, rest)


@cache
def load(name: str) -> Any:
    """The real command behind an entry."""
    module = import_module(f"automagik.cli.commands.{name}")
    command: Any = typer.main.get_command(module.app)
    command.name = name
    command.help = command.help or ENTRIES[name].summary
    # Typer offers its own way to install completion on every application.
    command.params = [p for p in command.params if not str(p.name).endswith("_completion")]
    prepare(command)
    return command


def plural(word: str) -> str:
    """`task` means `tasks`."""
    entry = None if word in ENTRIES else ENTRIES.get(f"{word}s")
    return f"{word}s" if entry and entry.is_group else word


def _print_version(*, wanted: bool) -> None:
    if wanted:
        context.printer().raw(f"automagik {__version__}\n")
        raise typer.Exit


app = typer.Typer(
    cls=LazyGroup,
    no_args_is_help=True,
    add_completion=False,
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
    command = whole()
    with context.invocation(), ending() as outcome:
        if completion.LINE in os.environ:
            completion.answer(command)
        else:
            given = command.main(args, prog_name="automagik", standalone_mode=False)
            outcome.exit_code = given or 0
        sys.stdout.flush()
    return outcome.exit_code


def whole() -> Any:
    """The root command, with the entries as they are listed."""
    command: Any = typer.main.get_command(app)
    add_output_options(command)
    return command


def entered(words: Sequence[str]) -> Any:
    """The context of the command of these words, not called. Raises UsageError."""
    command = whole()
    found = command.context_class(command, info_name="automagik", **command.context_settings)
    for word in words:
        if not hasattr(found.command, "resolve_command"):
            found.fail(f"{found.command_path} has no commands")
        name, child, _ = found.command.resolve_command(found, [word])
        found = child.context_class(child, info_name=name, parent=found)
    return found


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
