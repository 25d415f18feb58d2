"""`automagik workers`, as a person types it."""

from collections.abc import Iterator

import pytest

from automagik.core.config import Settings
from automagik.core.database.session import Database
from automagik.core.tasks.states import TaskState
from tests.cli.command_line import Cli
from tests.core.records import add_task, add_worker
from tests.core.tasks.rows import add_flow


@pytest.fixture
def database(settings: Settings) -> Iterator[Database]:
    opened = Database(settings.require_database_url())
    yield opened
    opened.dispose()


def test_a_worker_is_meant_by_its_name_or_its_id(cli: Cli, database: Database) -> None:
    worker = add_worker(database, slots=4, queues=["gpu"])
    add_task(database, add_flow(database), state=TaskState.RUNNING, worker_id=worker.id)

    by_name = cli("workers", "show", "worker@here", "-o", "json")
    by_id = cli("worker", "show", str(worker.id)[:20], "-o", "json")

    assert by_name.json["id"] == by_id.json["id"] == str(worker.id)
    assert (by_name.json["slots"], by_name.json["busy"], by_name.json["queues"]) == (4, 1, ["gpu"])
    assert "automagik tasks list --worker worker@here -s running" in by_name.stderr


def test_of_two_with_one_name_the_newer_is_meant(cli: Cli, database: Database) -> None:
    add_worker(database)
    newer = add_worker(database)

    assert cli("workers", "show", "worker@here", "-o", "json").json["id"] == str(newer.id)


def test_an_unknown_one_ends_with_3_and_the_nearest_name(cli: Cli, database: Database) -> None:
    add_worker(database)
    result = cli("workers", "show", "worker@hree")

    assert (result.exit_code, result.stdout) == (3, "")
    assert "Did you mean 'worker@here'" in result.stderr
    assert "automagik workers list" in cli("workers", "show", "xyz").stderr
