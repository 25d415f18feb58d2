"""What PostgreSQL's errors mean: troubles of the server, which pass, told from mistakes of ours."""

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg2
from sqlalchemy import Engine, event
from sqlalchemy.engine import ExceptionContext
from sqlalchemy.exc import DBAPIError

from automagik.core.database.exceptions import (
    ConnectionsExhausted,
    DatabaseBusy,
    DatabaseFull,
    DatabaseReadOnly,
    DatabaseUnreachable,
)

_BY_SQLSTATE: dict[str, type[DatabaseUnreachable]] = {
    "25006": DatabaseReadOnly,
    "25P03": DatabaseBusy,  # idle in a transaction for too long
    "25P04": DatabaseBusy,  # the whole transaction took too long
    "40001": DatabaseBusy,  # serialization
    "40P01": DatabaseBusy,  # deadlock
    "53100": DatabaseFull,
    "53300": ConnectionsExhausted,
    "55P03": DatabaseBusy,  # lock timeout
    "57014": DatabaseBusy,  # statement timeout
}

# A connection that is refused has no SQLSTATE in psycopg2, only the server's words.
_BY_WORDS: dict[str, type[DatabaseUnreachable]] = {
    "too many clients": ConnectionsExhausted,
    "too many connections": ConnectionsExhausted,
    "connection slots are reserved": ConnectionsExhausted,
    "no more connections allowed": ConnectionsExhausted,  # PgBouncer
    "No space left on device": DatabaseFull,
    "session is read-only": DatabaseReadOnly,
}

# Whoever mends these mends them for new connections: a failover, ALTER ROLE … SET, ALTER DATABASE.
_MENDED_BY_CONNECTING_ANEW = ("25006", "57014")


@contextmanager
def translated() -> Iterator[None]:
    """Raises DatabaseUnreachable or one of its kinds for a trouble; other errors as they are."""
    try:
        yield
    except (DBAPIError, psycopg2.Error) as error:
        if (trouble := trouble_of(error)) is not None:
            raise trouble from error
        raise


def trouble_of(error: DBAPIError | psycopg2.Error) -> DatabaseUnreachable | None:
    """The error in words of ours, to be tried again; None for what is no trouble of the server."""
    cause = error.orig if isinstance(error, DBAPIError) else error
    kind = _kind(error, cause)
    if kind is None:
        return None
    return kind(f"{(kind.__doc__ or '').rstrip('.')}: {_first_line(cause or error)}")


def forget_stale_connections(engine: Engine) -> None:
    """Drops all connections of the pool after an error that only new ones may not meet again."""

    @event.listens_for(engine, "handle_error")
    def forget(context: ExceptionContext) -> None:
        if _sqlstate(context.original_exception) in _MENDED_BY_CONNECTING_ANEW:
            context.is_disconnect = True


def _kind(
    error: DBAPIError | psycopg2.Error, cause: BaseException | None
) -> type[DatabaseUnreachable] | None:
    if (state := _sqlstate(cause)) in _BY_SQLSTATE:
        return _BY_SQLSTATE[state]
    is_lost = isinstance(error, DBAPIError) and error.connection_invalidated
    if not is_lost and not isinstance(cause, (psycopg2.OperationalError, psycopg2.InterfaceError)):
        return None
    said = str(cause)
    return next((kind for words, kind in _BY_WORDS.items() if words in said), DatabaseUnreachable)


def _sqlstate(cause: BaseException | None) -> str:
    return getattr(cause, "pgcode", None) or ""


def _first_line(error: BaseException) -> str:
    return next(iter(str(error).strip().splitlines()), type(error).__name__)
