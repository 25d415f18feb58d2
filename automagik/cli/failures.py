"""How an invocation ends: every error becomes words on stderr and an exit code."""

import os
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import typer
from typer._click.exceptions import ClickException, NoArgsIsHelpError

from automagik.cli import context
from automagik.core.exceptions import AutomagikError, InvalidInput, RedisUnreachable

INTERRUPTED = 130

_POSTGRES = {"sqlalchemy.exc.DBAPIError", "psycopg2.Error"}
_REDIS = {
    "redis.exceptions.ConnectionError",
    "redis.exceptions.TimeoutError",
    "kombu.exceptions.OperationalError",
}


@dataclass
class Outcome:
    """How the invocation ended."""

    exit_code: int = 0


@contextmanager
def ending() -> Iterator[Outcome]:
    """The one place where errors become exit codes."""
    outcome = Outcome()
    try:
        yield outcome
    except NoArgsIsHelpError as help_shown:
        help_shown.show()
        outcome.exit_code = help_shown.exit_code
    except (KeyboardInterrupt, typer.Abort):
        outcome.exit_code = INTERRUPTED
    except BrokenPipeError:
        # The reader has enough, as in `automagik tasks list | head`. Python flushes again at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        outcome.exit_code = 1
    except Exception as error:  # noqa: BLE001 — nothing may reach the user as a traceback
        outcome.exit_code = _report(error)


def _report(error: Exception) -> int:
    if context.shows_tracebacks():
        traceback.print_exception(error)
    known = as_known(error)
    if known:
        context.printer().error(known)
        return known.exit_code
    what = f"{type(error).__name__}: {error}".strip().splitlines()[0]
    hint = "This is a bug in AutoMagik. --debug shows where it happened."
    context.printer().error(AutomagikError(what, hint=hint))
    return AutomagikError.exit_code


def as_known(error: Exception) -> AutomagikError | None:
    """The error in words of ours; None for what nobody expected."""
    if isinstance(error, AutomagikError):
        return error
    if isinstance(error, ClickException):
        return _usage(error)
    # By name: these libraries are not imported just to ask.
    kinds = {f"{kind.__module__}.{kind.__qualname__}" for kind in type(error).__mro__}
    if kinds & _POSTGRES:
        return _trouble_of(error)
    if kinds & _REDIS:
        return RedisUnreachable(f"Redis does not answer: {_first_line(error)}")
    return None


def _usage(error: ClickException) -> InvalidInput:
    command = getattr(getattr(error, "ctx", None), "command_path", "automagik")
    message = error.format_message().replace("Value error, ", "")
    return InvalidInput(message, hint=f"See: {command} --help")


def _trouble_of(error: Any) -> AutomagikError | None:
    from automagik.core.database.trouble import trouble_of

    return trouble_of(error)


def _first_line(error: BaseException) -> str:
    return next(iter(str(error).strip().splitlines()), type(error).__name__)
