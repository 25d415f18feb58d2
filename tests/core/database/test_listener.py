"""A connection that waits for notifications, and its end."""

from collections.abc import Iterator
from datetime import timedelta

import pytest
from sqlalchemy import text

from automagik.core.config import with_driver
from automagik.core.database.exceptions import DatabaseUnreachable
from automagik.core.database.session import WAKE, Database, Listener

SECOND = timedelta(seconds=1)


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    database = Database(with_driver(database_url))
    yield database
    database.dispose()


def test_a_listener_whose_server_has_gone_can_be_closed(database: Database) -> None:
    """A beat closes it before it tries again; an error here would be its end."""
    listener = database.listen(WAKE)
    with database.transaction() as connection:
        others = "datname = current_database() AND pid <> pg_backend_pid()"
        connection.execute(
            text(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {others}")
        )
    with pytest.raises(DatabaseUnreachable):
        _wait_often(listener)
    listener.close()
    with database.listen(WAKE) as listener:
        assert listener.wait(timedelta()) == []


def _wait_often(listener: Listener) -> None:
    for _ in range(10):
        listener.wait(SECOND)
