"""What is longer than the terminal goes through the pager that the person has chosen."""

import os
import shutil
import subprocess
import sys

_LESS = "FRX"
"""Quit when it fits on one screen, keep colours, leave the text on the screen."""


def show_if_long(text: str) -> None:
    """Onto stdout, by the pager where the terminal is too short for it."""
    if sys.stdout.isatty() and text.count("\n") >= shutil.get_terminal_size().lines:
        show(text)
    else:
        sys.stdout.write(text)


def show(text: str) -> None:
    """Without a pager, or when it cannot be started, straight onto stdout."""
    command = os.environ.get("AUTOMAGIK_PAGER", os.environ.get("PAGER", "less"))
    if not command.strip() or command == "cat" or not shutil.which(command.split()[0]):
        sys.stdout.write(text)
        return
    environment = {"LESS": _LESS, **os.environ}
    # A person who leaves the pager early wants no more of it.
    subprocess.run(
        ["/bin/sh", "-c", command],
        input=text,
        text=True,
        errors="backslashreplace",
        env=environment,
        check=False,
    )
