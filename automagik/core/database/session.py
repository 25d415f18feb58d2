"""Connections to PostgreSQL: transactions, and waiting for notifications."""

import os
import select
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from typing import Any, Self

from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import DBAPIError

from automagik.core.database.patience import limit_server, long_statements, patient_engine
from automagik.core.database.trouble import forget_stale_connections, translated

WAKE = "automagik_wake"
"""Beats listen: something is due earlier than they think."""
TO_WORKERS = "automagik_workers"
"""Workers listen: the named running task was cancelled, the named worker drains, or a beat wants to
hear when the named source has a free place."""

# So often a listener that hears nothing asks whether anybody is there.
_ASK_EVERY = timedelta(seconds=10)
_MILLISECOND = timedelta(milliseconds=1)


class Database:
    """One PostgreSQL database, with a pool of connections per process."""

    def __init__(self, url: str, *, pool_size: int = 5) -> None:
        self.engine: Engine = patient_engine(
            url,
            pool_size=pool_size,
            # The number of threads is the bound: one that waits for a connection loses its lease.
            max_overflow=-1,
            pool_pre_ping=False,
            # A parameter may hold the input of a flow; errors are logged.
            hide_parameters=True,
        )
        limit_server(self.engine)
        forget_stale_connections(self.engine)
        # Sockets must not be shared with forked children, nor closed by them.
        os.register_at_fork(after_in_child=lambda: self.engine.dispose(close=False))

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        """Commits at the end of the block. Raises DatabaseUnreachable."""
        with translated(), self.engine.begin() as connection:
            yield connection

    @contextmanager
    def long_transaction(self) -> Iterator[Connection]:
        """For statements whose time grows with the history."""
        with self.transaction() as connection, long_statements(connection):
            yield connection

    def listen(self, channel: str) -> "Listener":
        return Listener(self.engine, channel)

    def dispose(self) -> None:
        self.engine.dispose()


class Within(Database):
    """The transaction of somebody else: what is done in it counts when that one commits."""

    def __init__(self, connection: Connection) -> None:  # The pool is there already.
        self._connection = connection
        self.engine = connection.engine

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        """What is raised in it is for the other to undo."""
        with translated():
            yield self._connection

    @contextmanager
    def long_transaction(self) -> Iterator[Connection]:
        """As patient as the other is."""
        with self.transaction() as connection:
            yield connection

    def dispose(self) -> None:
        """Nothing: the pool is that of the other."""


class Listener:
    """A connection of its own that waits for notifications on one channel."""

    def __init__(self, engine: Engine, channel: str) -> None:
        with translated():
            self._connection = engine.connect()
            self._connection.execution_options(isolation_level="AUTOCOMMIT")
            self._connection.detach()
            self._connection.execute(text(f"LISTEN {channel}"))
        self._raw: Any = self._connection.connection.dbapi_connection
        self._heard_at = time.monotonic()

    @property
    def connection(self) -> Connection:
        """For reading between two waits: each statement is a transaction of its own."""
        return self._connection

    def wait(self, timeout: timedelta) -> list[str]:
        """The payloads that came, at the latest after the timeout (then none).

        A dead connection is as quiet as a good one. So at times it is asked for an answer, which
        may make this call as long as the patience with any statement.
        """
        with translated():
            if time.monotonic() - self._heard_at > _ASK_EVERY.total_seconds():
                self._connection.execute(text("SELECT 1"))
                self._heard_at = time.monotonic()
            if not self._raw.notifies and self._is_readable(timeout):
                self._heard_at = time.monotonic()
            self._raw.poll()
            payloads = [notice.payload for notice in self._raw.notifies]
            self._raw.notifies.clear()
        return payloads

    def _is_readable(self, timeout: timedelta) -> bool:
        """Exact to a fraction of a millisecond, which poll() rounds up."""
        # Not select(), which refuses descriptors from 1024 on.
        readable = select.poll()
        readable.register(self._raw, select.POLLIN)
        begun = time.monotonic()
        if readable.poll(max(0, timeout // _MILLISECOND)):
            return True
        rest = timeout.total_seconds() - (time.monotonic() - begun)
        time.sleep(min(max(0.0, rest), _MILLISECOND.total_seconds()))
        return False

    def close(self) -> None:
        """Also when the server has gone, which is when beats and workers close it."""
        with suppress(DBAPIError):  # It cannot roll back any more.
            self._connection.close()
        self._raw.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def notify(connection: Connection, channel: str, payload: str = "") -> None:
    """Wakes the listeners of a channel when the transaction commits."""
    connection.execute(
        text("SELECT pg_notify(:channel, :payload)"), {"channel": channel, "payload": payload}
    )
