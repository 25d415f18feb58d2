"""What beats and workers log, Celery's own lines included, in the form of the settings.

Celery sets its handlers up as it always does, by --loglevel and --logfile; how they write is
changed then.
"""

import contextlib
import logging
import os
import socket
import sys
import threading
import warnings
from types import TracebackType
from typing import Any, TextIO

import click
from celery.signals import (
    after_setup_logger,
    after_setup_task_logger,
    celeryd_init,
    task_postrun,
)
from celery.utils.log import get_multiprocessing_logger

from automagik.core.config import get_settings
from automagik.core.logs.log_format import LogFormat
from automagik.core.logs.redaction import hide_secrets_of
from automagik.core.logs.streams import form_for, log_to_stderr, write_to
from automagik.core.logs.subject import introduce, turn_to

logger = logging.getLogger(__name__)


def begin_with(command: click.Command) -> None:
    """Celery's set-up comes late, and Flower's own one leaves a root alone that has a handler."""
    for parameter in command.params:
        if parameter.name in ("logfile", "tornado_argv"):
            parameter.callback = _begin


def _begin(context: click.Context, _: click.Parameter, value: Any) -> Any:
    """When it is clear what starts, and before it says a word."""
    settings = get_settings()
    if context.info_name == "beat":
        introduce(beat=f"beat@{socket.gethostname()}")
    if context.info_name == "flower":
        log_to_stderr(settings)
    hide_secrets_of(settings)
    if logging.lastResort is not None:
        write_to(sys.stderr, [logging.lastResort], settings)
    warnings.showwarning = _log_warning
    # Whatever reads lines of JSON cannot read a banner.
    if form_for(sys.stdout, get_settings()) is LogFormat.JSON:
        context.obj.quiet = True
    return value


@celeryd_init.connect  # type: ignore[untyped-decorator]
def _begin_worker(sender: str, **_: Any) -> None:
    introduce(worker=sender)
    if form_for(sys.stdout, get_settings()) is LogFormat.JSON:
        from celery.apps import worker

        # What a worker tells whoever has sent it a signal.
        worker.safe_say = _say_at_once


@after_setup_logger.connect  # type: ignore[untyped-decorator]
def _dress_root(**arguments: Any) -> None:
    hide_secrets_of(get_settings())
    sys.excepthook = _log_uncaught
    threading.excepthook = _log_uncaught_of_thread
    _dress(**arguments)
    _dress(**arguments | {"logger": get_multiprocessing_logger()})


@after_setup_task_logger.connect  # type: ignore[untyped-decorator]
def _dress(*, logger: logging.Logger, logfile: str | None, colorize: bool, **_: Any) -> None:
    stream = None if logfile else sys.__stderr__
    write_to(stream, logger.handlers, get_settings(), colors=bool(colorize))


@task_postrun.connect  # type: ignore[untyped-decorator]
def _turn_away(**_: Any) -> None:
    """After the last that Celery says of the run."""
    turn_to(None)


def _log_warning(message: Warning | str, category: type[Warning], *_: Any, **__: Any) -> None:
    """Until Celery has a place for it."""
    logging.getLogger("py.warnings").warning("%s: %s", category.__name__, message)


def _say_at_once(message: str, file: TextIO | None = sys.__stderr__) -> None:
    """Called by handlers of signals, which may have interrupted whoever writes a line."""
    from automagik.core.logs.rendering import formatter

    record = logger.makeRecord("celery.apps.worker", logging.INFO, "", 0, message, (), None)
    line = formatter(LogFormat.JSON).format(record)
    with contextlib.suppress(OSError, ValueError):
        if file is not None:
            os.write(file.fileno(), f"{line}\n".encode())


def _log_uncaught(
    kind: type[BaseException], error: BaseException, traceback: TracebackType | None
) -> None:
    """As one record: by itself Python writes line after line."""
    if not issubclass(kind, Exception):
        sys.__excepthook__(kind, error, traceback)
        return
    logger.critical("Unexpected %s", kind.__name__, exc_info=(kind, error, traceback))


def _log_uncaught_of_thread(died: threading.ExceptHookArgs) -> None:
    if died.exc_value is not None and issubclass(died.exc_type, Exception):
        _log_uncaught(died.exc_type, died.exc_value, died.exc_traceback)
