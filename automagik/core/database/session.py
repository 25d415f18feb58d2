"""Connections to PostgreSQL: transactions, and waiting for notifications."""

import os
import select
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, Self

import psycopg2
from sqlalchemy import Connection, Engine, create_engine, text
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError

from automagik.core.database.exceptions import DatabaseUnreachable

WAKE = "automagik_wake"
"""Beats listen: something is due earlier than they think."""
CANCEL = "automagik_cancel"
"""Workers listen: the named running task was cancelled, or the named worker drains."""

# A server that vanished without a word (half-open TCP) is noticed within half a minute.
_CONNECT_ARGS = {
    "connect_timeout": 5,
    "keepalives": 1,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 25_000,
    "application_name": "automagik",
    "options": "-c timezone=UTC",
}


class Database:
    """One PostgreSQL database, with a pool of connections per process."""

    def __init__(self, url: str, *, pool_size: int = 5) -> None:
        self.engine: Engine = create_engine(
            url,
            pool_size=pool_size,
            # The number of threads is the bound: one that waits for a connection loses its lease.
            max_overflow=-1,
            pool_pre_ping=False,
            connect_args=_CONNECT_ARGS,
            # A parameter may hold the input of a flow; errors are logged.
            hide_parameters=True,
        )
        # Sockets must not be shared with forked children, nor closed by them.
        os.register_at_fork(after_in_child=lambda: self.engine.dispose(close=False))

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        """Commits at the end of the block. Raises DatabaseUnreachable."""
        with _translated(), self.engine.begin() as connection:
            yield connection

    @contextmanager
    def glance(self) -> Iterator[Connection]:
        """For one reading statement: without the round trips of a transaction."""
        with _translated(), self.engine.connect() as connection:
            yield connection.execution_options(isolation_level="AUTOCOMMIT")

    def listen(self, channel: str) -> "Listener":
        return Listener(self.engine, channel)

    def dispose(self) -> None:
        self.engine.dispose()


class Listener:
    """A connection of its own that waits for notifications on one channel."""

    def __init__(self, engine: Engine, channel: str) -> None:
        with _translated():
            self._connection = engine.connect()
            self._connection.execution_options(isolation_level="AUTOCOMMIT")
            self._connection.detach()
            self._connection.execute(text(f"LISTEN {channel}"))
        self._raw: Any = self._connection.connection.dbapi_connection

    def wait(self, timeout: timedelta) -> list[str]:
        """The payloads that came, at the latest after the timeout (then none)."""
        with _translated():
            if not self._raw.notifies:
                # Not select(), which refuses descriptors from 1024 on.
                readable = select.poll()
                readable.register(self._raw, select.POLLIN)
                readable.poll(max(0.0, timeout.total_seconds() * 1000))
            self._raw.poll()
            payloads = [notice.payload for notice in self._raw.notifies]
            self._raw.notifies.clear()
        return payloads

    def close(self) -> None:
        self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def notify(connection: Connection, channel: str, payload: str = "") -> None:
    """Wakes the listeners of a channel when the transaction commits."""
    connection.execute(
        text("SELECT pg_notify(:channel, :payload)"), {"channel": channel, "payload": payload}
    )


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except (OperationalError, InterfaceError) as error:
        raise DatabaseUnreachable(_reason(error)) from error
    except DBAPIError as error:
        if error.connection_invalidated:
            raise DatabaseUnreachable(_reason(error)) from error
        raise
    except (psycopg2.OperationalError, psycopg2.InterfaceError) as error:
        raise DatabaseUnreachable(f"PostgreSQL does not answer: {_first_line(error)}") from error


def _reason(error: DBAPIError) -> str:
    return f"PostgreSQL does not answer: {_first_line(error.orig or error)}"


def _first_line(error: BaseException) -> str:
    return next(iter(str(error).strip().splitlines()), type(error).__name__)
