"""The history checker finds each kind of broken promise, and none in a history that kept them."""

from random import Random

import pytest
from sqlalchemy import text

from automagik.core.database.session import Database
from automagik.core.tasks.finish import Finish, decide, finish
from automagik.core.tasks.outcome import Completed
from automagik.core.tasks.values import Task
from automagik.core.tasks.verify import RULES, broken_rules
from tests.core.records import claimed

BREAKS = {
    "an occurrence has one task": """
        ALTER TABLE tasks DROP CONSTRAINT uq_tasks_schedule_id_scheduled_for;
        ALTER TABLE tasks DROP CONSTRAINT fk_tasks_schedule_id;
        UPDATE tasks SET schedule_id = id, scheduled_for = now();
        INSERT INTO tasks (id, flow_id, flow_version_id, source_id, schedule_id, scheduled_for,
            max_retries, max_attempts, timeout_seconds)
        SELECT gen_random_uuid(), flow_id, flow_version_id, source_id, schedule_id, scheduled_for,
            max_retries, max_attempts, timeout_seconds FROM tasks
    """,
    "the last event of a task is its state": "DELETE FROM task_events WHERE to_state = 'completed'",
    "the events of a task are a path": "DELETE FROM task_events WHERE to_state = 'running'",
    "each event is a step that a task may take": """
        INSERT INTO task_events (task_id, attempt, from_state, to_state, actor)
        SELECT id, 1, 'completed', 'running', 'nobody' FROM tasks
    """,
    "a task ends once, and once more for each retry by hand": """
        INSERT INTO task_events (task_id, attempt, from_state, to_state, actor)
        SELECT id, 1, 'completed', 'completed', 'nobody' FROM tasks
    """,
    "the attempts of a task are 1, 2, 3 and so on": "UPDATE tasks SET attempt = 3",
    "each attempt begins with an event of its own": """
        INSERT INTO task_events (task_id, attempt, from_state, to_state, actor)
        SELECT id, 1, 'queued', 'running', 'another' FROM tasks
    """,
    "an attempt begins after the one before has ended": """
        INSERT INTO task_attempts (task_id, attempt, worker_id, worker_name, finished_at, outcome)
        SELECT id, 2, id, 'other', now(), 'failed' FROM tasks;
        UPDATE task_attempts SET finished_at = now() + interval '1 hour' WHERE attempt = 1
    """,
    "only the last attempt of a running task is open": """
        UPDATE task_attempts SET finished_at = NULL, outcome = NULL
    """,
    "a running task has an open attempt": """
        ALTER TABLE tasks DISABLE TRIGGER USER;
        UPDATE tasks SET state = 'running', finished_at = NULL, lease_expires_at = now()
    """,
    "completed tasks have a result and others have none": "UPDATE tasks SET result = NULL",
    "a completed task was completed by its last attempt": """
        UPDATE task_attempts SET outcome = 'failed'
    """,
    "an attempt that completed is the last of a completed task": """
        ALTER TABLE tasks DISABLE TRIGGER USER;
        UPDATE tasks SET state = 'failed', result = NULL
    """,
    "a task that runs at most once has no attempt after a lost worker": """
        UPDATE tasks SET at_most_once = true;
        UPDATE task_attempts SET outcome = 'worker_lost';
        INSERT INTO task_attempts (task_id, attempt, worker_id, worker_name)
        SELECT id, 2, id, 'other' FROM tasks
    """,
    "a run follows an end of the run before": """
        UPDATE tasks SET parent_task_id = id, parent_attempt = 9
    """,
    "a task uses no more attempts than it has": "UPDATE tasks SET max_attempts = 0",
}


@pytest.fixture
def completed(database: Database, task: Task) -> Task:
    claim = claimed(database, task.id)
    outcome = Completed(answer={"outputs": []}, text="hi", http_status=200)
    ending = decide(outcome, claim, random=Random(1))
    with database.transaction() as connection:
        assert finish(connection, Finish(claim, ending), actor="worker@here")
    return task


def broken(database: Database) -> set[str]:
    with database.transaction() as connection:
        return {violation.rule for violation in broken_rules(connection)}


def test_a_kept_history_has_no_violation(database: Database, completed: Task) -> None:
    assert broken(database) == set(), completed


def test_every_rule_is_tried() -> None:
    assert BREAKS.keys() == RULES.keys()


@pytest.mark.parametrize("rule", BREAKS)
def test_a_broken_promise_is_found(database: Database, completed: Task, rule: str) -> None:
    with database.transaction() as connection:
        for statement in BREAKS[rule].split(";"):
            connection.execute(text(statement))

    assert rule in broken(database), completed


def test_what_runs_at_most_once_may_be_tried_again_by_hand(
    database: Database, completed: Task
) -> None:
    rule = "a task that runs at most once has no attempt after a lost worker"
    with database.transaction() as connection:
        for statement in BREAKS[rule].split(";"):
            connection.execute(text(statement))
        connection.execute(
            text(
                "INSERT INTO task_events (task_id, attempt, from_state, to_state, actor)"
                " SELECT id, 1, 'failed', 'pending', 'a person' FROM tasks"
            )
        )

    assert rule not in broken(database), completed
