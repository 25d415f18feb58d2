"""What the doctor mends by itself, and that a dry run mends nothing."""

import stat
from collections.abc import Iterator
from datetime import timedelta

import pytest
from pydantic import SecretStr
from sqlalchemy import text

from automagik.core.config import Settings
from automagik.core.database import migrate
from automagik.core.database.models import TaskRow
from automagik.core.database.session import Database
from automagik.core.encryption import Keyring
from automagik.core.flows.flow_input import FlowInput
from automagik.core.health.repair import repair
from automagik.core.tasks.manager import TaskManager
from tests.core.records import put, rows, task
from tests.core.tasks.rows import add_flow, add_worker, start


@pytest.fixture
def database(settings: Settings) -> Iterator[Database]:
    opened = Database(settings.require_database_url())
    yield opened
    opened.dispose()


def words(settings: Settings, *, dry_run: bool = False) -> list[str]:
    done = repair(settings, dry_run=dry_run)
    assert all(each.error is None and each.is_done is not dry_run for each in done)
    return [each.what for each in done]


def test_where_all_is_well_nothing_is_done(settings: Settings) -> None:
    assert words(settings) == []


def test_an_old_schema_is_upgraded(database: Database, settings: Settings) -> None:
    migrate.downgrade(settings.require_database_url(), "-1")
    with database.transaction() as connection:
        before = migrate.current(connection)

    told = words(settings, dry_run=True)
    with database.transaction() as connection:
        assert migrate.current(connection) == before
    assert words(settings) == told == [f"The schema is brought from {before} to {migrate.head()}."]

    with database.transaction() as connection:
        migrate.require_current(connection)


def test_a_schema_of_a_newer_version_is_left_alone(database: Database, settings: Settings) -> None:
    with database.transaction() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))

    assert words(settings) == []

    assert rows(database, "SELECT version_num FROM alembic_version") == ["9999"]


def test_silent_workers_are_marked(database: Database, settings: Settings) -> None:
    lease = timedelta(seconds=settings.lease_seconds)
    add_worker(database, "fresh")
    add_worker(database, "silent", silent_for=lease * 3)
    query = "SELECT name FROM workers WHERE status = 'lost'"

    told = words(settings, dry_run=True)
    assert not rows(database, query)

    assert words(settings) == told == ["1 silent worker is marked as lost."]
    assert rows(database, query) == ["silent"]


def test_runs_of_the_dead_are_taken_back(database: Database, settings: Settings) -> None:
    short = settings.model_copy(update={"lease_seconds": 0.000_001})
    worker_id = add_worker(database)
    created = TaskManager(database, settings).create(add_flow(database), FlowInput(), actor="t")
    start(database, created.id, worker_id=worker_id)
    with database.transaction() as connection:
        ago = connection.scalar(text("SELECT now() - interval '1 hour'"))
    put(database, TaskRow, created.id, lease_expires_at=ago)

    told = words(short, dry_run=True)
    assert task(database, created.id)["state"] == "running"

    assert words(short) == told
    assert "1 run is taken back from workers that are gone." in told
    assert task(database, created.id)["state"] == "waiting"


def test_our_files_with_secrets_are_closed(settings: Settings) -> None:
    keyring = Keyring.of(settings.model_copy(update={"secret_key": None}))
    keyring.encrypt(SecretStr("x"))
    keyring.file.chmod(0o644)

    told = words(settings, dry_run=True)
    assert stat.S_IMODE(keyring.file.stat().st_mode) == 0o644

    assert words(settings) == told
    assert len(told) == 1
    assert stat.S_IMODE(keyring.file.stat().st_mode) == 0o600


def test_a_database_that_is_away_is_told_once(settings: Settings) -> None:
    nowhere = SecretStr("postgresql://nobody@127.0.0.1:1/none")
    done = repair(settings.model_copy(update={"database_url": nowhere}))
    assert [each.is_done for each in done] == [False]
