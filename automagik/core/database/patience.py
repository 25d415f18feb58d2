"""How long a client waits for a PostgreSQL that says nothing.

Behind a firewall that has forgotten a connection, a proxy or a frozen host, bytes are confirmed and
never answered: TCP's own means (keepalives, user timeout) see nothing wrong, and a timeout of the
server does not help when the server is not heard. So psycopg2 waits through a callback of ours that
gives up after a silence; psycopg2 then closes the connection, and SQLAlchemy drops it. That costs
about 4 µs a statement, and unlike a thread that closes sockets of others it cannot hit a wrong one.
psycopg2 has one callback per process: connections of others keep their ways.

The server has its own limits, a little shorter for a statement. So nothing that the client has
given up goes on there, and a client that fell silent in a transaction does not keep its locks.
"""

import select
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, cast

import psycopg2
from psycopg2 import extensions
from sqlalchemy import URL, Connection, Engine, create_engine, event, text

PATIENCE = timedelta(seconds=30)
LONG_PATIENCE = timedelta(hours=1)
CONNECT_PATIENCE = timedelta(seconds=10)

_STATEMENT_LIMIT = "25s"
_IDLE_TRANSACTION_LIMIT = "60s"

# What an administrator has set for the role or the database stays.
_LIMIT_SERVER = """
SELECT set_config(name, wanted, false)
FROM (VALUES
    ('statement_timeout', %(statement)s),
    ('idle_in_transaction_session_timeout', %(idle_transaction)s)
) AS limits (name, wanted)
WHERE current_setting(name) = '0'
"""

_CONNECTED = (extensions.STATUS_READY, extensions.STATUS_BEGIN, extensions.STATUS_PREPARED)


class PatientConnection(extensions.connection):
    """Gives up after `patience` without a byte from the server."""

    patience = PATIENCE


_CONNECT_ARGS = {
    "connection_factory": PatientConnection,
    # A host that has vanished is noticed by the kernel, too, and while connecting only by it: then
    # the next host of the URL is tried. The sooner it is, the fewer leases end.
    "keepalives": 1,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 8_000,
    "application_name": "automagik",
    "options": "-c timezone=UTC",
}


def patient_engine(url: URL | str, **options: Any) -> Engine:
    """An engine whose connections give up on silence."""
    extensions.set_wait_callback(_wait)
    return create_engine(url, connect_args=_CONNECT_ARGS, **options)


def limit_server(engine: Engine) -> None:
    """Lets PostgreSQL break off what the client of this engine would give up, too."""

    @event.listens_for(engine, "connect")
    def limit(raw: Any, _: object) -> None:
        raw.autocommit = True
        with raw.cursor() as cursor:
            limits = {"statement": _STATEMENT_LIMIT, "idle_transaction": _IDLE_TRANSACTION_LIMIT}
            cursor.execute(_LIMIT_SERVER, limits)
        raw.autocommit = False


@contextmanager
def long_statements(connection: Connection) -> Iterator[None]:
    """In the block of a transaction: for statements whose time grows with the history."""
    raw = cast("PatientConnection", connection.connection.dbapi_connection)
    connection.execute(text("SET LOCAL statement_timeout = 0"))
    raw.patience = LONG_PATIENCE
    try:
        yield
    finally:
        del raw.patience  # what is left is that of the class


def _wait(connection: Any) -> None:
    # Not select(), which refuses descriptors from 1024 on.
    while (state := connection.poll()) != extensions.POLL_OK:
        ready = select.poll()
        writes = state == extensions.POLL_WRITE
        ready.register(connection.fileno(), select.POLLOUT if writes else select.POLLIN)
        patience = _patience(connection)
        if not ready.poll(patience * 1000):
            raise psycopg2.OperationalError(f"not a byte within {patience:g} s")


def _patience(connection: Any) -> float:
    """In seconds; less than nothing is without end."""
    if connection.status not in _CONNECTED:
        return CONNECT_PATIENCE.total_seconds()
    return connection.patience.total_seconds() if isinstance(connection, PatientConnection) else -1
