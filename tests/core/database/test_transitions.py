"""The trigger on tasks: the same transitions as in the code, and a record of each."""

from collections.abc import Iterator
from itertools import permutations
from uuid import UUID

import pytest
from sqlalchemy import Connection, insert, select, text, update
from sqlalchemy.exc import IntegrityError

from automagik.core.config import Settings
from automagik.core.database.base import new_id
from automagik.core.database.models import TaskEventRow, TaskRow
from automagik.core.database.session import Database
from automagik.core.flows.values import Flow
from automagik.core.tasks.states import FINAL, TaskState, can_become
from tests.core.tasks.rows import add_flow


@pytest.fixture
def database(settings: Settings) -> Iterator[Database]:
    opened = Database(settings.require_database_url())
    yield opened
    opened.dispose()


@pytest.fixture
def flow(database: Database) -> Flow:
    return add_flow(database)


@pytest.fixture
def connection(database: Database, flow: Flow) -> Iterator[Connection]:
    """One transaction, which is rolled back."""
    with database.engine.connect() as opened:
        yield opened


def add_task(connection: Connection, flow: Flow, state: TaskState) -> UUID:
    task_id = new_id()
    connection.execute(
        insert(TaskRow).values(
            id=task_id,
            flow_id=flow.id,
            flow_version_id=flow.version_id,
            source_id=flow.source_id,
            max_retries=0,
            max_attempts=1,
            timeout_seconds=1,
            state_actor="maker",
            **columns_of(state),
        )
    )
    return task_id


def columns_of(state: TaskState) -> dict[str, object]:
    """The state with what its CHECKs tie to it."""
    return {
        "state": state,
        "finished_at": text("now()") if state in FINAL else None,
        "lease_expires_at": text("now()") if state is TaskState.RUNNING else None,
    }


def is_allowed(connection: Connection, task_id: UUID, target: TaskState) -> bool:
    change = update(TaskRow).where(TaskRow.id == task_id).values(**columns_of(target))
    attempt = connection.begin_nested()
    try:
        connection.execute(change)
    except IntegrityError as error:
        attempt.rollback()
        if "cannot go from" not in str(error.orig):
            raise
        return False
    attempt.rollback()
    return True


def test_the_database_allows_exactly_the_transitions_of_the_code(
    connection: Connection, flow: Flow
) -> None:
    tasks = {state: add_task(connection, flow, state) for state in TaskState}
    pairs = list(permutations(TaskState, 2))
    allowed = {pair for pair in pairs if is_allowed(connection, tasks[pair[0]], pair[1])}

    assert allowed == {pair for pair in pairs if can_become(*pair)}


def test_one_bad_task_refuses_the_whole_statement(connection: Connection, flow: Flow) -> None:
    add_task(connection, flow, TaskState.PENDING)
    add_task(connection, flow, TaskState.COMPLETED)

    with pytest.raises(IntegrityError, match="cannot go from completed to queued"):
        connection.execute(update(TaskRow).values(state="queued", finished_at=None))


def test_creation_and_each_change_are_recorded_with_actor_and_reason(
    connection: Connection, flow: Flow
) -> None:
    tasks = [add_task(connection, flow, TaskState.PENDING) for _ in range(3)]
    connection.execute(
        update(TaskRow).values(state="paused", state_actor="mover", state_reason="why", attempt=2)
    )
    recorded = select(
        TaskEventRow.from_state,
        TaskEventRow.to_state,
        TaskEventRow.actor,
        TaskEventRow.reason,
        TaskEventRow.attempt,
    )

    for task_id in tasks:
        of_task = recorded.where(TaskEventRow.task_id == task_id).order_by(TaskEventRow.id)
        assert [tuple(row) for row in connection.execute(of_task)] == [
            (None, "pending", "maker", None, 0),
            ("pending", "paused", "mover", "why", 2),
        ]


def test_a_change_of_something_else_is_no_event(connection: Connection, flow: Flow) -> None:
    add_task(connection, flow, TaskState.PENDING)
    connection.execute(update(TaskRow).values(state="pending", priority=7))

    assert len(connection.execute(select(TaskEventRow.id)).all()) == 1
