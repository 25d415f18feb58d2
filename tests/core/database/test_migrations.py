"""The migrations: from zero to the models, back to nothing, and what they say of a schema."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from itertools import pairwise

import pytest
from sqlalchemy import Connection, create_engine, text

from automagik.core.config import with_driver
from automagik.core.database import migrate
from automagik.core.database.exceptions import (
    DatabaseBusy,
    DatabaseUnreachable,
    SchemaOutdated,
)


@pytest.fixture
def connection(empty_database_url: str) -> Iterator[Connection]:
    """Commits by itself."""
    engine = create_engine(with_driver(empty_database_url), isolation_level="AUTOCOMMIT")
    with engine.connect() as opened:
        yield opened
    engine.dispose()


def things(connection: Connection) -> set[str]:
    """Tables, sequences, functions and types that the migrations made."""
    query = """
        SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace
        UNION SELECT proname FROM pg_proc WHERE pronamespace = 'public'::regnamespace
        UNION SELECT typname FROM pg_type WHERE typnamespace = 'public'::regnamespace
    """
    return set(connection.scalars(text(query)))


def test_from_zero_they_build_what_the_models_say(empty_database_url: str) -> None:
    migrate.upgrade(empty_database_url)

    assert migrate.differences(empty_database_url) == []


def test_they_go_back_to_nothing_and_forward_again(
    empty_database_url: str, connection: Connection
) -> None:
    migrate.upgrade(empty_database_url)
    built = things(connection)
    migrate.downgrade(empty_database_url, "base")
    left = things(connection)
    migrate.upgrade(empty_database_url)

    assert {name for name in left if "alembic" not in name} == set()
    assert things(connection) == built
    assert migrate.differences(empty_database_url) == []


def test_each_step_can_be_taken_back_and_again(
    empty_database_url: str, connection: Connection
) -> None:
    for revision in revisions():
        migrate.upgrade(empty_database_url, revision)
        migrate.downgrade(empty_database_url, "-1")
        migrate.upgrade(empty_database_url, revision)
        assert migrate.current(connection) == revision


def test_they_are_numbered_without_gaps_and_end_in_one_head() -> None:
    numbers = [int(revision) for revision in revisions()]

    assert numbers[0] == 1
    assert all(later == earlier + 1 for earlier, later in pairwise(numbers))
    assert migrate.head() == revisions()[-1]


def test_a_migration_that_fails_leaves_the_schema_as_it_was(
    empty_database_url: str, connection: Connection
) -> None:
    connection.execute(text("CREATE TABLE task_logs (mine int)"))
    before = things(connection)

    with pytest.raises(Exception, match="task_logs"):
        migrate.upgrade(empty_database_url)
    assert things(connection) == before


def test_require_current_says_what_to_run(empty_database_url: str, connection: Connection) -> None:
    with pytest.raises(SchemaOutdated, match="empty") as empty:
        migrate.require_current(connection)
    migrate.upgrade(empty_database_url)
    migrate.require_current(connection)
    connection.execute(text("UPDATE alembic_version SET version_num = '0000'"))
    with pytest.raises(SchemaOutdated, match=f"0000, this AutoMagik needs {migrate.head()}") as old:
        migrate.require_current(connection)
    connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(SchemaOutdated, match="newer than this AutoMagik knows") as new:
        migrate.require_current(connection)

    assert empty.value.hint == "Run: automagik db init"
    assert old.value.hint == "Run: automagik db upgrade"
    assert new.value.hint == "Upgrade AutoMagik on this host."


def test_a_newer_database_is_not_migrated(empty_database_url: str, connection: Connection) -> None:
    migrate.upgrade(empty_database_url)
    connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))

    with pytest.raises(SchemaOutdated, match="9999, newer than this") as newer:
        migrate.upgrade(empty_database_url)
    assert newer.value.hint == "Upgrade AutoMagik on this host."


def test_a_migration_lets_others_go_first(empty_database_url: str, connection: Connection) -> None:
    """One that waited for a long transaction would make everybody wait behind it."""
    migrate.upgrade(empty_database_url, "0001")
    with ThreadPoolExecutor() as executor:
        with create_engine(with_driver(empty_database_url)).begin() as long:
            long.execute(text("SELECT count(*) FROM tasks"))
            migrated = executor.submit(migrate.upgrade, empty_database_url)
            for _ in range(2):
                assert _longest_wait(connection) < 2 * migrate.LOCK_TIMEOUT
        migrated.result(timeout=60)
    assert migrate.current(connection) == migrate.head()


def test_a_migration_that_finds_no_gap_gives_up(
    empty_database_url: str, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    migrate.upgrade(empty_database_url, "0001")
    monkeypatch.setattr(migrate, "LOCK_PATIENCE", timedelta())
    monkeypatch.setattr(migrate, "LOCK_TIMEOUT", timedelta(milliseconds=100))
    with create_engine(with_driver(empty_database_url)).begin() as long:
        long.execute(text("SELECT count(*) FROM tasks"))
        with pytest.raises(DatabaseBusy, match="Nothing was changed") as blocked:
            migrate.upgrade(empty_database_url)

    assert "pg_stat_activity" in str(blocked.value.hint)
    assert migrate.current(connection) == "0001"


def test_a_missing_database_is_created_once(
    empty_database_url: str, connection: Connection
) -> None:
    url = f"{empty_database_url}-other"
    try:
        assert migrate.create_database(url) is True
        assert migrate.create_database(url) is False
    finally:
        connection.execute(text(f'DROP DATABASE "{url.rpartition("/")[2]}"'))


def test_a_server_that_is_not_there_is_unreachable() -> None:
    nowhere = "postgresql://nobody@127.0.0.1:1/nothing"

    for ask in (migrate.create_database, migrate.upgrade, migrate.differences):
        with pytest.raises(DatabaseUnreachable):
            ask(nowhere)


def revisions() -> list[str]:
    files = (migrate.migrations_folder() / "versions").glob("[0-9]*.py")
    return sorted(file.name[:4] for file in files)


def _longest_wait(connection: Connection) -> timedelta:
    """How long somebody who reads the table waits, as soon as the migration wants it."""
    wanted = text("SELECT count(*) > 0 FROM pg_locks WHERE NOT granted AND locktype = 'relation'")
    end = time.monotonic() + 30
    while not connection.scalar(wanted):
        assert time.monotonic() < end, "the migration never wants the table"
    connection.execute(text("SET lock_timeout = '20s'"))
    begun = time.monotonic()
    connection.execute(text("SELECT count(*) FROM tasks"))
    return timedelta(seconds=time.monotonic() - begun)
