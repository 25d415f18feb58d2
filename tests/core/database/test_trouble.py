"""Troubles of the server are told from our own mistakes, and each has its own words."""

from collections.abc import Iterator
from contextlib import suppress

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError, ProgrammingError

from automagik.core.config import Settings
from automagik.core.database.exceptions import (
    ConnectionsExhausted,
    DatabaseBusy,
    DatabaseFull,
    DatabaseReadOnly,
    DatabaseUnreachable,
)
from automagik.core.database.session import Database

RAISED = {
    "25006": DatabaseReadOnly,
    "40001": DatabaseBusy,
    "40P01": DatabaseBusy,
    "53100": DatabaseFull,
    "53300": ConnectionsExhausted,
    "55P03": DatabaseBusy,
    "57014": DatabaseBusy,
    "57P01": DatabaseUnreachable,
    "58030": DatabaseUnreachable,
}


@pytest.fixture
def database(settings: Settings) -> Iterator[Database]:
    opened = Database(settings.require_database_url(), pool_size=1)
    yield opened
    opened.dispose()


@pytest.mark.parametrize(("state", "kind"), RAISED.items())
def test_a_trouble_is_an_error_of_ours(
    database: Database, state: str, kind: type[DatabaseUnreachable]
) -> None:
    with pytest.raises(DatabaseUnreachable) as caught:
        _raise(database, state)

    assert type(caught.value) is kind
    assert caught.value.message == f"{str(kind.__doc__).rstrip('.')}: what the server says"
    assert caught.value.hint


@pytest.mark.parametrize("state", ["23505", "22P02", "42501", "P0001"])
def test_a_mistake_stays_what_it_is(database: Database, state: str) -> None:
    with pytest.raises(DBAPIError):
        _raise(database, state)


def test_wrong_sql_stays_what_it_is(database: Database) -> None:
    with pytest.raises(ProgrammingError), database.transaction() as connection:
        connection.execute(text("SELEC 1"))


def test_a_refused_connection_says_why(settings: Settings) -> None:
    """It has no SQLSTATE."""
    database = Database(f"{settings.require_database_url()}-that-is-not-there")
    with pytest.raises(DatabaseUnreachable, match="does not exist"), database.transaction():
        pass


@pytest.mark.parametrize(("state", "is_new"), [("25006", True), ("57014", True), ("55P03", False)])
def test_what_only_new_connections_escape_ends_the_old_ones(
    database: Database, state: str, *, is_new: bool
) -> None:
    """After a failover, or once somebody has mended a setting of the role."""
    before = _server_process(database)
    with suppress(DatabaseUnreachable):
        _raise(database, state)

    assert (_server_process(database) != before) is is_new


def _raise(database: Database, state: str) -> None:
    raising = f"RAISE EXCEPTION 'what the server says' USING ERRCODE = '{state}'"
    with database.transaction() as connection:
        connection.execute(text(f"DO $$ BEGIN {raising}; END $$"))


def _server_process(database: Database) -> int:
    with database.transaction() as connection:
        return int(connection.execute(text("SELECT pg_backend_pid()")).scalar_one())
