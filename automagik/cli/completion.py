"""Completion: what may follow the words on a line.

A script in `shells` gives the line up to the cursor in the environment, and gets a line per word:
the word, a tab, and what to show beside it. `:files` alone means that the shell completes a path.
Typer's own scripts are not used: they break names in two at a space and let zsh evaluate names.
"""

import io
import os
from contextlib import redirect_stdout, suppress
from enum import StrEnum
from pathlib import Path
from typing import Any

from typer._click.shell_completion import CompletionItem, ShellComplete, split_arg_string

from automagik.cli import context
from automagik.cli.known import FILES

LINE = "_AUTOMAGIK_LINE"


class Shell(StrEnum):
    """Those that there is a script for."""

    BASH = "bash"
    ZSH = "zsh"
    FISH = "fish"


def script(shell: Shell) -> str:
    return (Path(__file__).with_name("shells") / f"automagik.{shell}").read_text(encoding="utf-8")


def answer(command: Any) -> None:
    """Prints what may follow the line in the environment; nothing when there is any trouble."""
    words = ""
    # Whatever the trouble is: it must not stand in the middle of what somebody types.
    with suppress(Exception), redirect_stdout(io.StringIO()):
        words = _Line(command, {}, "automagik", LINE).complete()
    context.printer().raw(words)


class _Line(ShellComplete):
    """The line, as any of the shells gives it."""

    def source_vars(self) -> dict[str, Any]:
        return {}

    def get_completion_args(self) -> tuple[list[str], str]:
        line = os.environ[LINE]
        _program, *words = split_arg_string(line)
        # A blank at the end begins a new word, unless it belongs to a word in quotes.
        if not words or (line[-1].isspace() and not words[-1][-1:].isspace()):
            return words, ""
        return words[:-1], words[-1]

    def format_completion(self, item: CompletionItem) -> str:
        about = " ".join((item.help or "").split())
        return f"{item.value}\t{about}\n"

    def complete(self) -> str:
        found = self.get_completions(*self.get_completion_args())
        if any(item.help == FILES for item in found):
            return ":files\n"
        # No line of a shell holds a name with a line break.
        return "".join(map(self.format_completion, (i for i in found if i.value.isprintable())))
