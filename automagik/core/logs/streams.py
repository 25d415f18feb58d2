"""Logs of a process whose handlers nobody else sets up."""

import logging
import os
import sys
from collections.abc import Iterable
from typing import TextIO

from automagik.core.config import Settings
from automagik.core.logs.log_format import LogFormat
from automagik.core.logs.redaction import hide_secrets_of

RENDERED = "_rendered"
"""Where a record keeps its line until it is written."""


def log_to_stderr(settings: Settings) -> None:
    """In the form of the settings; the level stays."""
    hide_secrets_of(settings)
    root = logging.getLogger()
    root.addHandler(logging.StreamHandler())
    write_to(sys.stderr, root.handlers, settings)


def write_to(
    stream: TextIO | None,
    handlers: Iterable[logging.Handler],
    settings: Settings,
    *,
    colors: bool = True,
) -> None:
    """Makes handlers write what fits the stream at their end; None: a file."""
    # Who only asks for help, or for the state of workers, need not wait for it.
    from automagik.core.logs.rendering import formatter

    colors = colors and is_terminal(stream) and not os.environ.get("NO_COLOR")
    lines = _Beforehand(formatter(form_for(stream, settings), colors=colors))
    for handler in handlers:
        handler.filters = [each for each in handler.filters if not isinstance(each, _Beforehand)]
        handler.setFormatter(lines)
        handler.addFilter(lines)


class _Beforehand(logging.Formatter):
    """Makes the line before the handler takes its lock, for which all threads of a worker queue."""

    def __init__(self, lines: logging.Formatter) -> None:
        super().__init__()
        self._lines = lines

    def filter(self, record: logging.LogRecord) -> bool:
        record.__dict__[RENDERED] = self._lines.format(record)
        return True

    def format(self, record: logging.LogRecord) -> str:
        line = record.__dict__.pop(RENDERED, None)
        return self._lines.format(record) if line is None else str(line)


def form_for(stream: TextIO | None, settings: Settings) -> LogFormat:
    """JSON or console."""
    return settings.log_format.on(terminal=is_terminal(stream))


def is_terminal(stream: TextIO | None) -> bool:
    return stream is not None and stream.isatty()
