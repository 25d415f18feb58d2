"""`automagik queues`: list, pause and resume."""

from collections.abc import Iterator

import pytest

from automagik.core.config import Settings
from automagik.core.database.session import Database
from automagik.core.queues import ensure_queue
from tests.cli.command_line import Cli
from tests.core.records import add_task, add_worker
from tests.core.tasks.rows import add_flow


@pytest.fixture
def database(settings: Settings) -> Iterator[Database]:
    """With a queue called gpu beside the default one."""
    opened = Database(settings.require_database_url())
    with opened.transaction() as connection:
        ensure_queue(connection, "gpu")
    yield opened
    opened.dispose()


def test_the_list_has_what_waits_and_who_takes_it(cli: Cli, database: Database) -> None:
    add_worker(database, slots=4)
    add_task(database, add_flow(database), queue="gpu")

    default, gpu = cli("queues", "list", "-o", "json").items

    assert (default["name"], default["slots"], default["workers"]) == ("automagik", 4, 1)
    assert (gpu["name"], gpu["due"], gpu["slots"], gpu["paused_at"]) == ("gpu", 1, 0, None)
    assert "GPU" not in cli("queues", "list", "-o", "table").stdout


def test_pausing_says_how_to_go_on_and_resuming_how_much_waits(
    cli: Cli, database: Database
) -> None:
    add_task(database, add_flow(database), queue="gpu")

    paused = cli("queue", "pause", "gpu", "--note", "new driver")
    assert (paused.exit_code, paused.stdout) == (0, "")
    assert "automagik queues resume gpu" in paused.stderr
    gpu = cli("queues", "list", "-o", "json").items[1]
    assert gpu["paused_at"]
    assert gpu["pause_reason"] == "new driver"

    assert "1 due" in cli("queues", "resume", "gpu").stderr
    assert cli("queues", "list", "-o", "json").items[1]["paused_at"] is None


@pytest.mark.parametrize("verb", ["show", "pause", "resume"])
def test_an_unknown_queue_ends_with_3_and_the_nearest_name(
    cli: Cli, database: Database, verb: str
) -> None:
    result = cli("queues", verb, "gpuu")

    assert (result.exit_code, result.stdout) == (3, "")
    assert "Did you mean 'gpu'" in result.stderr


def test_one_queue_says_when_nobody_takes_from_it(cli: Cli, database: Database) -> None:
    add_worker(database)
    add_task(database, add_flow(database), queue="gpu")

    shown = cli("queues", "show", "gpu", "-o", "json")
    usual = cli("queues", "show", "automagik", "-o", "json")

    assert (shown.json["name"], shown.json["due"], shown.json["workers"]) == ("gpu", 1, 0)
    assert "celery -A automagik worker -Q gpu" in shown.stderr
    assert (usual.json["workers"], usual.stderr) == (1, "")
