"""Connections: there is one for each thread, however many there are."""

from contextlib import ExitStack

from sqlalchemy import text

from automagik.core.config import Settings
from automagik.core.database.session import WAKE, Database, Within, notify


def test_a_pool_gives_more_connections_than_it_keeps(settings: Settings) -> None:
    """A run that had to wait for a connection would lose its lease, or its result."""
    database = Database(settings.require_database_url(), pool_size=1)
    with ExitStack() as stack:
        connections = [stack.enter_context(database.transaction()) for _ in range(5)]
        servers = {c.scalar(text("SELECT pg_backend_pid()")) for c in connections}
    database.dispose()

    assert len(servers) == 5


def test_who_works_within_a_transaction_sees_it_and_leaves_its_pool(settings: Settings) -> None:
    database = Database(settings.require_database_url())
    with database.transaction() as connection:
        within = Within(connection)
        connection.execute(text("CREATE TEMPORARY TABLE here AS SELECT 1 AS one"))
        with within.transaction() as one, within.long_transaction() as two:
            assert one is two is connection
        with within.listen(WAKE) as listener:
            with database.transaction() as other:
                notify(other, WAKE, "hello")
            assert listener.wait(settings.min_interval) == ["hello"]
        within.dispose()
        assert connection.scalar(text("SELECT one FROM here")) == 1
    assert database.engine.pool is within.engine.pool
    database.dispose()
