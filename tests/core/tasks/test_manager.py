"""TaskManager against a real PostgreSQL."""

from datetime import timedelta
from threading import Thread
from typing import Any

import pytest
from sqlalchemy import text

from automagik.core.config import Settings
from automagik.core.database.base import new_id
from automagik.core.database.session import WAKE, Database
from automagik.core.exceptions import InvalidInput, NotFound, StillPending
from automagik.core.flows.flow_input import FlowInput
from automagik.core.flows.manager import FlowManager
from automagik.core.flows.values import FlowChange
from automagik.core.tasks.exceptions import NoOutput
from automagik.core.tasks.manager import TaskManager
from automagik.core.tasks.states import AttemptOutcome, TaskState
from automagik.core.tasks.values import Event, LogLine, Task
from tests.core.records import rows
from tests.core.tasks.rows import add_flow, end, ended_as, say, start

SOON = timedelta(seconds=5)


class TestCreate:
    def test_a_new_task_is_pending_due_and_recorded(
        self, database: Database, tasks: TaskManager
    ) -> None:
        flow = add_flow(database)

        task = tasks.create(flow, FlowInput(input_value="hi"), actor="cli", priority=5)

        assert (task.state, task.attempt, task.priority) == (TaskState.PENDING, 0, 5)
        assert (task.flow_name, task.flow_version, task.source_name) == (
            "greeter",
            1,
            "source of greeter",
        )
        assert task.run_at == task.created_at
        assert [(e.from_state, e.to_state, e.actor) for e in tasks.events(task.id)] == [
            (None, TaskState.PENDING, "cli")
        ]

    def test_input_tweaks_and_session_are_kept_as_they_were_given(
        self, database: Database, tasks: TaskManager
    ) -> None:
        given = FlowInput(input_value="ä\n", tweaks={"A-1": {"x": [1, None]}}, session_id="s")

        task = tasks.create(add_flow(database), given, actor="cli")

        assert tasks.run_input(task.id) == given

    def test_retries_and_timeout_come_from_the_call_then_the_flow_then_the_settings(
        self, database: Database, tasks: TaskManager, settings: Settings
    ) -> None:
        minute = timedelta(minutes=1)
        own = add_flow(database, "own", max_retries=0, timeout=minute)
        plain = add_flow(database, "plain")

        from_call = tasks.create(
            own, FlowInput(), actor="cli", max_retries=7, timeout=timedelta(seconds=2)
        )
        from_flow = tasks.create(own, FlowInput(), actor="cli")
        from_settings = tasks.create(plain, FlowInput(), actor="cli")

        assert (from_call.max_retries, from_call.max_attempts) == (7, 8)
        assert from_call.timeout == timedelta(seconds=2)
        assert (from_flow.max_attempts, from_flow.timeout) == (1, minute)
        assert from_settings.max_retries == settings.max_retries
        assert from_settings.timeout == timedelta(seconds=settings.run_timeout_seconds)

    def test_priority_and_queue_come_from_the_call_then_the_flow_then_the_settings(
        self, database: Database, tasks: TaskManager, settings: Settings
    ) -> None:
        plain = add_flow(database, "plain")
        change = FlowChange(priority=7, queue="gpu", at_most_once=True)
        own = FlowManager(database, settings).update(add_flow(database, "own"), change)

        from_call = tasks.create(own, FlowInput(), actor="cli", priority=0, queue="night")
        from_flow = tasks.create(own, FlowInput(), actor="cli")
        from_settings = tasks.create(plain, FlowInput(), actor="cli")

        made = [(t.priority, t.queue, t.at_most_once) for t in (from_call, from_flow)]
        assert made == [(0, "night", True), (7, "gpu", True)]
        assert (from_settings.priority, from_settings.queue) == (0, settings.queue)
        assert not from_settings.at_most_once
        assert {"gpu", "night"} <= set(rows(database, "SELECT name FROM queues"))

    @pytest.mark.parametrize("wrong", [{"priority": 1001}, {"priority": -1001}, {"queue": "a b"}])
    def test_a_priority_out_of_range_and_a_queue_that_no_name_fits_are_refused(
        self, database: Database, tasks: TaskManager, wrong: dict[str, Any]
    ) -> None:
        flow = add_flow(database)

        with pytest.raises(InvalidInput, match=next(iter(wrong))):
            tasks.create(flow, FlowInput(), actor="cli", **wrong)

        assert tasks.list().tasks == []

    def test_beats_are_woken(self, database: Database, tasks: TaskManager) -> None:
        flow = add_flow(database)
        with database.listen(WAKE) as listener:
            tasks.create(flow, FlowInput(), actor="cli")

            assert listener.wait(SOON) == [""]


class TestResolve:
    def test_a_task_is_found_by_its_id_the_beginning_of_it_and_as_the_last(
        self, tasks: TaskManager, task: Task
    ) -> None:
        assert tasks.resolve(str(task.id)) == task.id
        assert tasks.resolve(str(task.id)[:13]) == task.id
        assert tasks.resolve("@last") == task.id

    def test_what_is_not_there_is_not_found(self, tasks: TaskManager) -> None:
        for reference in ("@last", "deadbeef", "no id at all"):
            with pytest.raises(NotFound):
                tasks.resolve(reference)
        with pytest.raises(NotFound):
            tasks.get(new_id())


class TestOutput:
    def test_a_completed_task_has_text_and_answer(
        self, database: Database, tasks: TaskManager, task: Task
    ) -> None:
        ended_as(database, task.id, TaskState.COMPLETED)

        found = tasks.output(task.id)

        assert (found.text, found.answer) == ("hello", {"outputs": ["hello"]})

    def test_there_is_none_before_the_end_and_after_a_failure(
        self, database: Database, tasks: TaskManager, task: Task
    ) -> None:
        with pytest.raises(StillPending):
            tasks.output(task.id)

        ended_as(database, task.id, TaskState.FAILED)

        with pytest.raises(NoOutput):
            tasks.output(task.id)


class TestHistory:
    def test_attempts_are_in_order_with_their_outcome(
        self, database: Database, tasks: TaskManager, task: Task
    ) -> None:
        start(database, task.id)
        end(database, task.id, TaskState.WAITING, error="boom")
        with database.transaction() as connection:
            connection.execute(text("UPDATE tasks SET state = 'queued'"))
        start(database, task.id)

        first, second = tasks.attempts(task.id)

        assert (first.attempt, first.outcome, first.error_message) == (
            1,
            AttemptOutcome.FAILED,
            "boom",
        )
        assert (second.attempt, second.outcome, second.finished_at) == (2, None, None)

    def test_logs_come_in_order_across_pages_from_a_level_on(
        self,
        database: Database,
        tasks: TaskManager,
        task: Task,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setattr("automagik.core.tasks.history.PAGE", 2)
        for number, level in enumerate(["info", "debug", "error", "warning", "info"]):
            say(database, task.id, str(number), level=level)

        assert [line.message for line in tasks.logs(task.id)] == ["0", "1", "2", "3", "4"]
        assert [line.message for line in tasks.logs(task.id, level="warning")] == ["2", "3"]

    def test_following_brings_each_entry_once_and_ends_with_the_task(
        self, database: Database, tasks: TaskManager, task: Task
    ) -> None:
        seen = tasks.follow(task.id, timeout=SOON)

        assert _word(next(seen)) == "pending"
        start(database, task.id)
        assert _word(next(seen)) == "running"
        say(database, task.id, "working")
        assert _word(next(seen)) == "working"
        say(database, task.id, "done")
        end(database, task.id)
        assert [_word(entry) for entry in seen] == ["done", "completed"]

    def test_following_gives_up_after_the_timeout(self, tasks: TaskManager, task: Task) -> None:
        with pytest.raises(StillPending):
            list(tasks.follow(task.id, timeout=timedelta(milliseconds=1)))


class TestWait:
    def test_it_returns_the_ended_task(
        self, database: Database, tasks: TaskManager, task: Task
    ) -> None:
        worker = Thread(target=ended_as, args=(database, task.id, TaskState.FAILED))
        worker.start()

        ended = tasks.wait(task.id, SOON)

        worker.join()
        assert (ended.state, ended.error_message) == (TaskState.FAILED, "no")

    def test_the_timeout_leaves_the_task_alone(self, tasks: TaskManager, task: Task) -> None:
        with pytest.raises(StillPending):
            tasks.wait(task.id, timedelta(milliseconds=1))

        assert tasks.get(task.id).state is TaskState.PENDING


def _word(entry: Event | LogLine) -> str:
    return entry.message if isinstance(entry, LogLine) else entry.to_state.value
