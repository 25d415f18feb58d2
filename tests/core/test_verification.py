"""All that `automagik db verify` asks, together."""

from collections.abc import Iterator
from datetime import timedelta

import pytest
from pydantic import SecretStr
from sqlalchemy import func

from automagik.core.config import Settings
from automagik.core.database.session import Database
from automagik.core.flows.values import Flow
from automagik.core.scheduler.fire import fire
from automagik.core.tasks.states import TaskState
from automagik.core.verification import COVERAGE, DELIVERY, verify
from tests.core.records import add_schedules, add_task, claimed, now, opened, rows
from tests.core.tasks.rows import add_flow

MINUTE = timedelta(minutes=1)
DAY = timedelta(days=1)


@pytest.fixture
def database(settings: Settings) -> Iterator[Database]:
    with opened(settings.require_database_url()) as database:
        yield database


@pytest.fixture
def flow(database: Database) -> Flow:
    return add_flow(database)


def broken(database: Database, settings: Settings) -> list[str]:
    return [violation.rule for violation in verify(database, settings).violations]


def test_it_says_what_it_has_read(database: Database, settings: Settings, flow: Flow) -> None:
    claimed(database, add_task(database, flow))
    add_schedules(database, flow, late=MINUTE / 2, counts_from=now(database) - DAY / 24)
    with database.transaction() as connection:
        fire(connection, settings=settings, actor="beat@here")

    found = verify(database, settings)

    assert (found.tasks, found.attempts, found.occurrences) == (2, 1, 1)
    assert (found.violations, found.notes) == ([], [])
    assert found.rules > 10


def test_a_lost_occurrence_breaks_a_promise(
    database: Database, settings: Settings, flow: Flow
) -> None:
    add_schedules(database, flow, late=MINUTE / 2, counts_from=now(database) - DAY / 24)
    with database.transaction() as connection:
        fire(connection, settings=settings, actor="beat@here")
    rows(database, "DELETE FROM tasks RETURNING id")

    assert broken(database, settings) == [COVERAGE]


def test_a_lost_delivery_breaks_a_promise(
    database: Database, settings: Settings, flow: Flow
) -> None:
    add_task(database, flow, state=TaskState.QUEUED, queued_at=func.now() - DAY)

    assert broken(database, settings) == [DELIVERY]


@pytest.mark.parametrize("given", [True, False])
def test_without_redis_all_else_is_checked_and_it_is_said(
    database: Database,
    settings: Settings,
    flow: Flow,
    free_port: int,
    given: bool,  # noqa: FBT001
) -> None:
    add_task(database, flow, state=TaskState.QUEUED, queued_at=func.now() - DAY)
    add_task(database, flow, attempt=1)
    away = SecretStr(f"redis://127.0.0.1:{free_port}/0") if given else None

    found = verify(database, settings.model_copy(update={"redis_url": away}))

    rules = [violation.rule for violation in found.violations]
    assert rules == ["the attempts of a task are 1, 2, 3 and so on"]
    [note] = found.notes
    assert note.startswith("The ready-queues were not compared. ")
