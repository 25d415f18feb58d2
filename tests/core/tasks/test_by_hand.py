"""What people do to tasks: cancel, retry, delete."""

from datetime import timedelta

import pytest

from automagik.core.database.session import TO_WORKERS, WAKE, Database
from automagik.core.exceptions import Conflict, NotFound
from automagik.core.tasks.manager import TaskManager
from automagik.core.tasks.states import AttemptOutcome, TaskState
from automagik.core.tasks.values import Task
from tests.core.tasks.rows import ended_as, say, start

SOON = timedelta(seconds=5)


class TestCancel:
    def test_a_pending_task_ends_at_once_with_actor_and_reason(
        self, tasks: TaskManager, task: Task
    ) -> None:
        cancelled = tasks.cancel(task.id, actor="cli", reason="wrong input")

        assert cancelled.state is TaskState.CANCELLED
        assert cancelled.finished_at is not None
        assert [(e.to_state, e.actor, e.reason) for e in tasks.events(task.id)][1:] == [
            (TaskState.CANCELLED, "cli", "wrong input")
        ]

    def test_a_running_task_ends_its_attempt_and_tells_its_worker(
        self, database: Database, tasks: TaskManager, task: Task
    ) -> None:
        start(database, task.id)
        with database.listen(TO_WORKERS) as listener:
            tasks.cancel(task.id, actor="cli")

            assert listener.wait(SOON) == [str(task.id)]
        [attempt] = tasks.attempts(task.id)
        assert attempt.outcome is AttemptOutcome.CANCELLED

    def test_twice_is_once(self, tasks: TaskManager, task: Task) -> None:
        first = tasks.cancel(task.id, actor="cli")

        assert tasks.cancel(task.id, actor="other") == first

    @pytest.mark.parametrize("state", [TaskState.COMPLETED, TaskState.FAILED])
    def test_what_has_ended_is_not_cancelled(
        self, database: Database, tasks: TaskManager, task: Task, state: TaskState
    ) -> None:
        ended_as(database, task.id, state)

        with pytest.raises(Conflict, match=f"already {state}"):
            tasks.cancel(task.id, actor="cli")


class TestRetry:
    @pytest.mark.parametrize("state", [TaskState.FAILED, TaskState.CANCELLED])
    def test_it_is_due_again_with_fresh_retries_and_no_trace_of_the_end(
        self, database: Database, tasks: TaskManager, task: Task, state: TaskState
    ) -> None:
        ended_as(database, task.id, state)
        before = tasks.get(task.id)

        with database.listen(WAKE) as listener:
            again = tasks.retry(task.id, actor="cli")
            assert listener.wait(SOON) == [""]

        assert again.state is TaskState.PENDING
        assert again.max_attempts == before.attempt + 1 + task.max_retries
        assert again.attempt == before.attempt
        assert (again.error_code, again.error_message, again.finished_at) == (None, None, None)
        assert again.run_at > task.run_at

    def test_it_goes_on_in_its_trace_unless_the_caller_names_another(
        self,
        database: Database,
        tasks: TaskManager,
        task: Task,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        for given, trace_id in (("1" * 32, "1" * 32), (None, "1" * 32), ("2" * 32, "2" * 32)):
            if given is None:
                monkeypatch.delenv("TRACEPARENT")
            else:
                monkeypatch.setenv("TRACEPARENT", f"00-{given}-{'3' * 16}-01")
            ended_as(database, task.id, TaskState.FAILED)

            assert tasks.retry(task.id, actor="cli").trace_id == trace_id

    @pytest.mark.parametrize("state", [TaskState.COMPLETED, TaskState.PENDING])
    def test_only_failed_and_cancelled_tasks_are_retried(
        self, database: Database, tasks: TaskManager, task: Task, state: TaskState
    ) -> None:
        if state.is_final:
            ended_as(database, task.id, state)

        with pytest.raises(Conflict, match=str(state)):
            tasks.retry(task.id, actor="cli")


class TestDelete:
    def test_it_goes_with_its_history(
        self, database: Database, tasks: TaskManager, task: Task
    ) -> None:
        say(database, task.id, "bye")
        ended_as(database, task.id, TaskState.COMPLETED)

        tasks.delete(task.id)

        with pytest.raises(NotFound):
            tasks.get(task.id)
        assert list(tasks.logs(task.id)) == []
        assert list(tasks.attempts(task.id)) == []

    def test_a_running_task_is_cancelled_first(
        self, database: Database, tasks: TaskManager, task: Task
    ) -> None:
        start(database, task.id)

        with pytest.raises(Conflict) as refusal:
            tasks.delete(task.id)

        assert "tasks cancel" in (refusal.value.hint or "")
        assert tasks.get(task.id).state is TaskState.RUNNING
