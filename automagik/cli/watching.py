"""Ctrl-C for those who only look: what they look at goes on, and a second one ends at once."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from threading import current_thread, main_thread
from types import FrameType
from typing import NoReturn

import typer

from automagik.cli.context import printer
from automagik.cli.failures import INTERRUPTED


@contextmanager
def leaving(words: str) -> Iterator[None]:
    """Says the words on Ctrl-C and ends with the exit code of that."""
    try:
        with _second_ends():
            yield
    except KeyboardInterrupt:
        printer().say(f"\n{words}")
        raise typer.Exit(INTERRUPTED) from None


@contextmanager
def _second_ends() -> Iterator[None]:
    """Saying goodbye to a database takes as long as that; nobody has to wait for it."""
    if current_thread() is not main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, _first)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _first(_number: int, _frame: FrameType | None) -> NoReturn:
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    raise KeyboardInterrupt
