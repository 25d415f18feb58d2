"""What the person at the terminal gives: texts from files or stdin, answers to questions."""

import sys
from pathlib import Path

import typer

from automagik.cli.context import may_ask
from automagik.cli.printer import visible
from automagik.core.exceptions import InvalidInput


def is_there() -> bool:
    """Whether somebody can be asked."""
    return may_ask() and sys.stdin.isatty() and sys.stderr.isatty()


def confirm(question: str, *, yes: bool) -> None:
    """Goes on only when the answer is yes. Raises InvalidInput when there is nobody to ask."""
    if yes:
        return
    if not is_there():
        raise InvalidInput("This needs to be confirmed.", hint="Add --yes.")
    if (ask(f"{question} [y/N]") or "").lower() not in ("y", "yes"):
        typer.echo("Nothing was changed.", err=True)
        raise typer.Exit(1)


def ask(question: str) -> str | None:
    """One line of the person's; None at the end of input, by Ctrl-D."""
    sys.stderr.write(f"{visible(question)}: ")
    sys.stderr.flush()
    line = ""
    try:
        line = sys.stdin.readline()
    finally:
        if not line:
            # After Ctrl-C and Ctrl-D the cursor still stands behind the question.
            sys.stderr.write("\n")
    return line.strip() if line else None


def text_from(value: str | None) -> str | None:
    """The text itself, that of the file for `@file`, that of stdin for `-`."""
    if value == "-":
        return sys.stdin.read()
    if value is None or not value.startswith("@"):
        return value
    path = Path(value[1:])
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise InvalidInput(
            f"Cannot read {path}: {error.strerror}.",
            hint="Give @ and a file that can be read, or - for stdin.",
        ) from error
    except UnicodeDecodeError as error:
        raise InvalidInput(f"{path} is not text in UTF-8.") from error
