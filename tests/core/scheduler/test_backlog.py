"""How long a beat waits while due tasks have no place."""

from datetime import timedelta

import pytest

from automagik.core.database.session import Database
from automagik.core.flows.values import Flow
from automagik.core.scheduler import backlog as backlog_module
from automagik.core.scheduler.backlog import LONGEST_WAIT, SHORTEST_WAIT, Backlog
from tests.core.records import add_task, claimed, limit_source
from tests.core.tasks.rows import add_flow

MILLISECOND = timedelta(milliseconds=1)


def full(database: Database, name: str) -> Flow:
    """Its source has one place, which is taken, and a task that is due."""
    flow = add_flow(database, name)
    limit_source(database, flow, 1)
    claimed(database, add_task(database, flow))
    add_task(database, flow)
    return flow


def wait(
    database: Database, backlog: Backlog, *, until_next_task: timedelta | None = None
) -> timedelta:
    with database.transaction() as connection:
        return backlog.wait(connection, until_next_task=until_next_task)


@pytest.fixture
def backlog() -> Backlog:
    return Backlog()


def test_a_beat_that_has_asked_the_workers_looks_seldom(
    database: Database, backlog: Backlog
) -> None:
    full(database, "one")

    waits = [wait(database, backlog) for _ in range(3)]

    assert waits == [SHORTEST_WAIT, LONGEST_WAIT, LONGEST_WAIT]


def test_a_source_that_fills_up_later_is_asked_about_first(
    database: Database, backlog: Backlog
) -> None:
    full(database, "one")
    assert [wait(database, backlog) for _ in range(2)] == [SHORTEST_WAIT, LONGEST_WAIT]

    full(database, "another")

    assert [wait(database, backlog) for _ in range(2)] == [SHORTEST_WAIT, LONGEST_WAIT]


def test_what_waits_for_something_else_is_looked_for_often(
    database: Database, backlog: Backlog
) -> None:
    """A place in the ready-queue, a turn, a minute of the rate: nobody tells of them."""
    full(database, "one")
    add_task(database, add_flow(database, "another"))

    assert [wait(database, backlog) for _ in range(3)] == [SHORTEST_WAIT] * 3


def test_the_next_task_that_comes_due_is_not_late(database: Database, backlog: Backlog) -> None:
    full(database, "one")
    wait(database, backlog)

    assert wait(database, backlog, until_next_task=300 * MILLISECOND) == 300 * MILLISECOND
    assert wait(database, backlog, until_next_task=MILLISECOND) == SHORTEST_WAIT


def test_workers_are_asked_again_before_they_forget(
    database: Database, backlog: Backlog, monkeypatch: pytest.MonkeyPatch
) -> None:
    full(database, "one")
    wait(database, backlog)

    monkeypatch.setattr(backlog_module, "ASK_AGAIN", timedelta())

    assert wait(database, backlog) == SHORTEST_WAIT
