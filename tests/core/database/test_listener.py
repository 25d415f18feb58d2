"""A connection that waits for notifications, and its end."""

import time
from collections.abc import Iterator
from datetime import timedelta

import pytest
from sqlalchemy import text

from automagik.core.config import with_driver
from automagik.core.database.exceptions import DatabaseUnreachable
from automagik.core.database.session import WAKE, Database, Listener, notify

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


@pytest.mark.parametrize("length", [timedelta(milliseconds=2.7), timedelta(microseconds=300)])
def test_a_wait_without_news_is_never_too_short(database: Database, length: timedelta) -> None:
    """A beat wakes when a schedule is due, not a moment earlier: it would find nothing."""
    with database.listen(WAKE) as listener:
        for _ in range(20):
            began = time.monotonic()
            assert listener.wait(length) == []
            assert time.monotonic() - began >= length.total_seconds()


def test_a_listener_reads_between_its_waits_and_misses_nothing(database: Database) -> None:
    with database.listen(WAKE) as listener:
        with database.transaction() as connection:
            notify(connection, WAKE, "hello")
        assert listener.connection.scalar(text("SELECT 1")) == 1
        assert listener.wait(SECOND) == ["hello"]


def _wait_often(listener: Listener) -> None:
    for _ in range(10):
        listener.wait(SECOND)
