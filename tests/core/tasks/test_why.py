"""A task explains itself in one paragraph, from its record."""

from datetime import timedelta

import pytest
from sqlalchemy import func

from automagik.core.database.models import SourceRow, TaskRow
from automagik.core.database.session import Database
from automagik.core.tasks.manager import TaskManager
from automagik.core.tasks.states import TaskState
from automagik.core.tasks.values import Task
from tests.core.records import add_task, limit_source, put, rows
from tests.core.tasks.rows import add_beat, add_flow, add_schedule, end, start

HOUR = timedelta(hours=1)


def test_a_task_that_completed_says_who_made_it_and_when_it_ended(
    database: Database, tasks: TaskManager, task: Task
) -> None:
    start(database, task.id)
    end(database, task.id)

    found = tasks.why(task.id)

    assert found.state is TaskState.COMPLETED
    assert found.text.startswith(f"Task {task.id}, a run of the flow greeter, was made by test at ")
    assert found.text.endswith(" UTC in attempt 1.")
    assert "It completed at " in found.text
    assert (found.error_code, found.obstacle) == (None, None)


def test_a_task_that_failed_says_what_was_tried_and_why_no_more(
    database: Database, tasks: TaskManager, task: Task
) -> None:
    start(database, task.id)
    end(database, task.id, TaskState.FAILED, error="the model said no")
    put(database, TaskRow, task.id, max_attempts=1)

    said = tasks.why(task.id).text

    assert "Attempt 1 on " in said
    assert "failed at " in said
    assert "the model said no" in said
    assert said.endswith("as no more than one attempt was allowed.")


def test_a_failure_that_a_retry_would_not_help_says_so(
    database: Database, tasks: TaskManager, task: Task
) -> None:
    start(database, task.id)
    end(database, task.id, TaskState.FAILED, error="wrong input")

    assert tasks.why(task.id).text.endswith("as trying again would not have helped.")


def test_a_cancelled_task_says_by_whom_and_why(tasks: TaskManager, task: Task) -> None:
    tasks.cancel(task.id, actor="me", reason="wrong input")

    said = tasks.why(task.id).text

    assert "It was cancelled by me at " in said
    assert said.endswith(": wrong input.")


def test_a_retry_by_hand_is_told(tasks: TaskManager, task: Task) -> None:
    tasks.cancel(task.id, actor="me")
    tasks.retry(task.id, actor="you")

    assert "It was retried by you at " in tasks.why(task.id).text


@pytest.mark.parametrize(
    "state, words",
    [
        (TaskState.RUNNING, "It has been running on "),
        (TaskState.QUEUED, "no worker has taken it yet"),
        (TaskState.PAUSED, "It is paused by "),
    ],
)
def test_a_task_that_goes_on_says_where_it_is(
    database: Database, tasks: TaskManager, state: TaskState, words: str
) -> None:
    task_id = add_task(database, add_flow(database), state=state)

    assert words in tasks.why(task_id).text


def test_an_occurrence_names_its_schedule_and_what_it_makes_up_for(
    database: Database, tasks: TaskManager
) -> None:
    flow = add_flow(database)
    task_id = add_task(
        database,
        flow,
        schedule_id=add_schedule(database, flow, "nightly"),
        scheduled_for=func.now(),
        state_reason="makes up for all occurrences since yesterday",
    )

    said = tasks.why(task_id).text

    assert "of the schedule nightly, was made by" in said
    assert "; it makes up for all occurrences since yesterday." in said


class TestObstacles:
    def test_what_is_free_has_none(
        self, database: Database, tasks: TaskManager, task: Task
    ) -> None:
        add_beat(database)

        assert tasks.why(task.id).obstacle is None

    def test_without_a_beat_nothing_is_sent(self, tasks: TaskManager, task: Task) -> None:
        assert tasks.why(task.id).obstacle == "no beat is there that would send it"

    def test_a_task_may_not_be_due(self, database: Database, tasks: TaskManager) -> None:
        task_id = add_task(database, add_flow(database), run_at=func.now() + HOUR)

        assert tasks.why(task_id).obstacle == "it is not due yet"

    def test_its_queue_may_be_paused(
        self, database: Database, tasks: TaskManager, task: Task
    ) -> None:
        rows(
            database,
            "INSERT INTO queues (name, paused_at, pause_reason)"
            " VALUES ('automagik', now(), 'upgrade')"
            " ON CONFLICT (name) DO UPDATE SET paused_at = now(), pause_reason = 'upgrade'"
            " RETURNING 1",
        )

        assert tasks.why(task.id).obstacle == "the queue automagik is paused (upgrade)"

    def test_its_source_may_be_down(
        self, database: Database, tasks: TaskManager, task: Task
    ) -> None:
        opened = {"breaker_opened_at": func.now(), "breaker_probe_at": func.now()}
        put(database, SourceRow, task.source_id, breaker_reason="refused", **opened)

        obstacle = tasks.why(task.id).obstacle

        assert obstacle == "the source source of greeter is down (refused)"

    def test_its_source_may_be_full(self, database: Database, tasks: TaskManager) -> None:
        flow = add_flow(database)
        limit_source(database, flow, 1)
        add_task(database, flow, state=TaskState.RUNNING)
        task_id = add_task(database, flow)

        obstacle = tasks.why(task_id).obstacle

        assert obstacle == "its source has as many runs under way as it may have"

    def test_it_may_wait_for_its_turn(self, database: Database, tasks: TaskManager) -> None:
        flow = add_flow(database)
        schedule_id = add_schedule(database, flow, "nightly")
        first, second = (
            add_task(database, flow, schedule_id=schedule_id, in_turn=True) for _ in range(2)
        )

        assert "waits for its turn" in str(tasks.why(second).obstacle)
        assert "waits for its turn" not in str(tasks.why(first).obstacle)
