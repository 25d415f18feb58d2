"""Connections: there is one for each thread, however many there are."""

from contextlib import ExitStack

from sqlalchemy import text

from automagik.core.config import Settings
from automagik.core.database.session import Database


def test_a_pool_gives_more_connections_than_it_keeps(settings: Settings) -> None:
    """A run that had to wait for a connection would lose its lease, or its result."""
    database = Database(settings.require_database_url(), pool_size=1)
    with ExitStack() as stack:
        connections = [stack.enter_context(database.transaction()) for _ in range(5)]
        servers = {c.scalar(text("SELECT pg_backend_pid()")) for c in connections}
    database.dispose()

    assert len(servers) == 5
