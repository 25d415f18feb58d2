"""Statements that are planned once for each connection."""

from collections.abc import Iterator
from datetime import UTC, datetime
from uuid import uuid4

import pytest
from sqlalchemy import Connection, text

from automagik.core.config import Settings
from automagik.core.database.exceptions import DatabaseUnreachable
from automagik.core.database.prepared import Prepared, plan_once, uuids
from automagik.core.database.session import Database
from tests.core.records import dying, opened

DOUBLED = Prepared(
    "doubled", "SELECT :number * 2 AS twice, :word::text AS said", number="int", word="text"
)
PLANS = "SELECT generic_plans, custom_plans FROM pg_prepared_statements WHERE name = 'doubled'"


@pytest.fixture
def database(settings: Settings) -> Iterator[Database]:
    with opened(settings.require_database_url()) as database:
        plan_once(database.engine)
        yield database


def run(connection: Connection, number: int = 21) -> list[dict[str, object]]:
    return DOUBLED.run(connection, number=number, word="50 % :off")


def test_rows_come_by_the_names_of_their_columns(database: Database) -> None:
    with database.transaction() as connection:
        assert run(connection) == [{"twice": 42, "said": "50 % :off"}]
        assert run(connection, number=4) == [{"twice": 8, "said": "50 % :off"}]


def test_a_statement_without_rows_gives_none(database: Database) -> None:
    make = Prepared("make", "INSERT INTO queues (name) VALUES (:name)", name="text")
    with database.transaction() as connection:
        assert make.run(connection, name="one") == []
        assert connection.scalar(text("SELECT count(*) FROM queues WHERE name = 'one'")) == 1


def test_it_is_planned_once_for_all_arguments(database: Database) -> None:
    with database.transaction() as connection:
        for number in range(10):
            run(connection, number)
        assert connection.execute(text(PLANS)).all() == [(10, 0)]


def test_it_outlives_the_transaction_that_it_was_prepared_in(database: Database) -> None:
    with dying(database) as connection:
        run(connection)
    with database.transaction() as connection:
        run(connection)
        assert connection.execute(text(PLANS)).all() == [(2, 0)]


def test_plans_are_made_anew_after_a_while(database: Database) -> None:
    """What was good for a small table need not be for a large one."""
    look = Prepared("look_up", "SELECT count(*) FROM queues WHERE name = :name", name="text")
    explain = text("EXPLAIN EXECUTE look_up('x')")
    with database.transaction() as connection:
        look.run(connection, name="x")
        connection.execute(text("SET enable_indexonlyscan = off; SET enable_indexscan = off"))
        before = connection.scalars(explain).all()
        connection.info["plans_last_until"] = 0
        look.run(connection, name="x")
        after = connection.scalars(explain).all()

    assert any("Index Only Scan" in line for line in before)
    assert not any("Index Only Scan" in line for line in after)


def test_after_an_error_its_connection_is_not_used_again(database: Database) -> None:
    """The error may be that the server has forgotten the statement, or what it is about."""
    with database.transaction() as connection:
        run(connection)
        server = connection.scalar(text("SELECT pg_backend_pid()"))
        connection.execute(text("DEALLOCATE doubled"))
    with pytest.raises(DatabaseUnreachable), database.transaction() as connection:
        run(connection)
    with database.transaction() as connection:
        assert run(connection)
        assert connection.scalar(text("SELECT pg_backend_pid()")) != server


def test_a_lost_server_is_a_trouble_of_the_database(database: Database) -> None:
    with pytest.raises(DatabaseUnreachable), database.transaction() as connection:
        run_without_server(connection)
    with database.transaction() as connection:
        assert run(connection)


def run_without_server(connection: Connection) -> None:
    server = connection.scalar(text("SELECT pg_backend_pid()"))
    url = connection.engine.url.render_as_string(hide_password=False)
    with opened(url) as another, another.transaction() as there:
        there.execute(text("SELECT pg_terminate_backend(:pid)"), {"pid": server})
    run(connection)


def test_ids_go_as_one_array(database: Database) -> None:
    back = Prepared("back", "SELECT * FROM unnest(:ids) AS id", ids="uuid[]")
    ids = [uuid4() for _ in range(3)]
    with database.transaction() as connection:
        assert [row["id"] for row in back.run(connection, ids=uuids(ids))] == ids
        assert back.run(connection, ids=uuids([])) == []


def test_instants_come_back_with_their_zone(database: Database) -> None:
    then = Prepared("moment", "SELECT :at AS at", at="timestamptz")
    at = datetime(2030, 1, 1, tzinfo=UTC)
    with database.transaction() as connection:
        assert then.run(connection, at=at) == [{"at": at}]
