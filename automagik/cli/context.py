"""What a command works with: the printer, the settings and the database of this invocation."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

from automagik.cli import times
from automagik.cli.printer import Printer

if TYPE_CHECKING:
    from automagik.core.config import Settings
    from automagik.core.database.session import Database


@dataclass
class Invocation:
    """One run of one command."""

    printer: Printer = field(default_factory=Printer)
    shows_tracebacks: bool = False
    may_ask: bool = True
    profile: str | None = None
    """By --profile; None: as the environment and the files say."""

    @cached_property
    def settings(self) -> "Settings":
        from automagik.core.config import get_settings

        return get_settings(self.profile)

    @cached_property
    def database(self) -> "Database":
        from automagik.core.database.migrate import require_current
        from automagik.core.database.session import Database

        opened = Database(self.settings.require_database_url())
        with opened.transaction() as connection:
            require_current(connection)
        return opened

    def close(self) -> None:
        if "database" in self.__dict__:
            self.database.dispose()


_current: ContextVar[Invocation] = ContextVar("invocation")


@contextmanager
def invocation() -> Iterator[Invocation]:
    """Makes a new invocation the current one."""
    opened = Invocation()
    token = _current.set(opened)
    times.chosen.set(None)
    try:
        yield opened
    finally:
        opened.close()
        _current.reset(token)


def printer() -> Printer:
    return _current.get().printer


def settings() -> "Settings":
    """Raises ConfigurationError."""
    return _current.get().settings


def database() -> "Database":
    """Opened once. Raises ConfigurationError, DatabaseUnreachable, SchemaOutdated."""
    return _current.get().database


def choose_profile(name: str) -> None:
    _current.get().profile = name


def chosen_profile() -> str | None:
    return _current.get().profile


def ask_nothing() -> None:
    _current.get().may_ask = False


def may_ask() -> bool:
    """Not with --no-input."""
    return _current.get().may_ask


def show_tracebacks() -> None:
    _current.get().shows_tracebacks = True


def shows_tracebacks() -> bool:
    """By --debug, or by the environment where nobody types."""
    return _current.get().shows_tracebacks or os.environ.get("AUTOMAGIK_DEBUG") == "1"
