"""What happens to all tasks, told once and in order."""

from datetime import timedelta

import pytest
from sqlalchemy import insert

from automagik.core.database.models import TaskRow
from automagik.core.database.session import Database
from automagik.core.tasks import activity as activity_module
from automagik.core.tasks.activity import Activity, Happening
from automagik.core.tasks.states import TaskState
from automagik.core.tasks.values import Task
from tests.core.records import add_task, claimed
from tests.core.tasks.rows import add_flow, end


@pytest.fixture
def activity(database: Database, task: Task) -> Activity:
    """Begins after the task was created."""
    with database.transaction() as connection:
        return Activity(connection)


def news(database: Database, activity: Activity) -> list[Happening]:
    with database.transaction() as connection:
        return activity.news(connection)


def test_what_was_before_is_no_news(database: Database, activity: Activity) -> None:
    assert news(database, activity) == []


def test_a_run_is_told_step_by_step_and_once(
    database: Database, activity: Activity, task: Task
) -> None:
    claimed(database, task.id)
    [started] = news(database, activity)
    end(database, task.id)
    [completed] = news(database, activity)

    assert (started.from_state, started.to_state) == (TaskState.PENDING, TaskState.RUNNING)
    assert (started.flow, started.attempt, started.output) == ("greeter", 1, None)
    assert (completed.to_state, completed.output) == (TaskState.COMPLETED, "hello")
    assert completed.took is not None
    assert news(database, activity) == []


def test_what_is_committed_late_is_told_late(database: Database, activity: Activity) -> None:
    """Its id is smaller than that of what was told before."""
    flow = add_flow(database, "other")
    columns = {"flow_id": flow.id, "flow_version_id": flow.version_id, "source_id": flow.source_id}
    limits = {"max_retries": 0, "max_attempts": 1, "timeout_seconds": 1}
    with database.transaction() as slow:
        late = slow.scalars(insert(TaskRow).values(columns | limits).returning(TaskRow.id)).one()
        early = add_task(database, flow)
        assert [each.task_id for each in news(database, activity)] == [early]

    assert [each.task_id for each in news(database, activity)] == [late]


def test_what_is_long_past_is_forgotten_and_not_told_again(
    database: Database, activity: Activity, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(activity_module, "OVERLAP", timedelta())
    flow = add_flow(database, "other")
    told = []
    for _ in range(5):
        add_task(database, flow)
        told += news(database, activity)

    assert len({each.id for each in told}) == len(told) == 5
    assert len(activity._told) == 1
    assert news(database, activity) == []
