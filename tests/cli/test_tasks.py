"""`automagik tasks`: what it prints, what it changes and how it ends."""

import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest

from automagik.core.config import Settings
from automagik.core.database.session import Database
from automagik.core.flows.flow_input import FlowInput
from automagik.core.tasks.manager import TaskManager
from automagik.core.tasks.states import TaskState
from automagik.core.tasks.values import Task
from tests.cli.command_line import Cli
from tests.core.records import rows
from tests.core.tasks.rows import add_flow, end, say, start

LONG = "word " * 500


@pytest.fixture
def database(settings: Settings) -> Iterator[Database]:
    opened = Database(settings.require_database_url())
    yield opened
    opened.dispose()


@pytest.fixture
def tasks(database: Database, settings: Settings) -> TaskManager:
    return TaskManager(database, settings)


@pytest.fixture
def pending(database: Database, tasks: TaskManager) -> Task:
    given = FlowInput(input_value=LONG, tweaks={"A": {"b": 1}})
    return tasks.create(add_flow(database), given, actor="test")


@pytest.fixture
def completed(database: Database, pending: Task) -> Task:
    start(database, pending.id)
    say(database, pending.id, "thinking", level="debug")
    say(database, pending.id, "odd", level="warning")
    end(database, pending.id, output="line\twith tab\nand ä")
    return pending


@pytest.fixture
def failed(database: Database, tasks: TaskManager) -> Task:
    task = tasks.create(add_flow(database, "broken"), FlowInput(), actor="test")
    start(database, task.id)
    end(database, task.id, TaskState.FAILED, error="no such city")
    return task


class TestList:
    def test_an_empty_list_says_on_stderr_what_to_do(self, cli: Cli) -> None:
        result = cli("tasks", "list")

        assert (result.exit_code, result.stdout) == (0, "")
        assert "flows run" in result.stderr

    def test_a_pipe_gets_one_whole_line_per_task_newest_first(
        self, cli: Cli, completed: Task, failed: Task
    ) -> None:
        lines = cli("task", "list").lines

        assert [line[:3] for line in lines] == [
            [str(failed.id), "failed", "broken"],
            [str(completed.id), "completed", "greeter"],
        ]

    def test_it_is_narrowed_by_flow_and_state_and_paged(
        self, cli: Cli, completed: Task, failed: Task
    ) -> None:
        def names(*options: str) -> list[str]:
            return cli("tasks", "list", "-o", "name", *options).stdout.split()

        assert names("--flow", "greeter") == [str(completed.id)]
        assert names("--state", "failed", "--state", "pending") == [str(failed.id)]
        assert names("--limit", "1", "--cursor", str(failed.id)) == [str(completed.id)]

    def test_json_neither_carries_input_nor_output(self, cli: Cli, completed: Task) -> None:
        [item] = cli("tasks", "list", "-o", "json").items

        assert (item["id"], item["state"]) == (str(completed.id), "completed")
        assert item["timeout"] == completed.timeout.total_seconds()
        assert {"input_value", "output_text", "result"}.isdisjoint(item)


class TestShow:
    def test_the_report_has_flow_attempts_input_and_error(self, cli: Cli, failed: Task) -> None:
        report = cli("tasks", "show", str(failed.id), "-o", "table").stdout

        for part in ("broken", "✗ failed", "worker@here", "AM-SRC-RUN", "no such city", "500"):
            assert part in report

    def test_a_long_input_is_cut_for_people_only(self, cli: Cli, pending: Task) -> None:
        report = cli("tasks", "show", str(pending.id)[:13], "-o", "table").stdout
        document = cli("tasks", "show", "@last", "-o", "json").json

        assert "2,500 characters" in report
        assert document["input"]["input_value"] == LONG
        assert document["input"]["tweaks"] == {"A": {"b": 1}}
        assert [event["to_state"] for event in document["events"]] == ["pending"]

    def test_the_trace_is_told_if_there_is_one(
        self,
        cli: Cli,
        database: Database,
        tasks: TaskManager,
        pending: Task,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        trace_id = "0af7651916cd43dd8448eb211c80319c"
        without = cli("tasks", "show", str(pending.id), "-o", "table").stdout
        monkeypatch.setenv("TRACEPARENT", f"00-{trace_id}-b7ad6b7169203331-01")
        tasks.create(add_flow(database, "other"), FlowInput(), actor="test")

        assert "Trace" not in without
        assert trace_id in cli("tasks", "show", "@last", "-o", "table").stdout
        assert cli("tasks", "show", "@last", "-o", "json").json["trace_id"] == trace_id
        assert cli("tasks", "show", str(pending.id), "-o", "json").json["trace_id"] is None

    def test_an_unknown_task_is_exit_3(self, cli: Cli) -> None:
        assert cli("tasks", "show", "deadbeef").exit_code == 3


class TestLogs:
    def test_they_come_from_a_level_on(self, cli: Cli, completed: Task) -> None:
        everything = cli("tasks", "logs", str(completed.id))
        grave = cli("tasks", "logs", str(completed.id), "--level", "warning")

        assert [line[-1] for line in everything.lines] == ["thinking", "odd"]
        assert [line[-1] for line in grave.lines] == ["odd"]

    @pytest.mark.parametrize("words", [(), ("--follow",)])
    def test_they_come_from_a_time_on(
        self, cli: Cli, database: Database, completed: Task, words: tuple[str, ...]
    ) -> None:
        rows(
            database,
            "UPDATE task_logs SET at = at - interval '1 hour' WHERE level = 'debug' RETURNING 1",
        )

        def said(since: str) -> list[str]:
            found = cli("tasks", "logs", str(completed.id), "--since", since, *words)
            assert found.exit_code == 0, found.stderr
            return [line[-1] for line in found.lines]

        assert said("10m") == ["odd"]
        assert said("2h") == said("2026-01-01") == ["thinking", "odd"]

    def test_following_ends_with_the_task(self, cli: Cli, completed: Task) -> None:
        result = cli("tasks", "logs", str(completed.id), "--follow", "-o", "jsonl")

        assert result.exit_code == 0
        assert len(result.stdout.splitlines()) == 2

    def test_an_unknown_level_and_an_endless_document_are_refused(
        self, cli: Cli, completed: Task
    ) -> None:
        assert cli("tasks", "logs", str(completed.id), "--level", "loud").exit_code == 2
        assert cli("tasks", "logs", str(completed.id), "-f", "-o", "json").exit_code == 2


class TestOutput:
    def test_the_text_goes_out_as_it_is(self, cli: Cli, completed: Task) -> None:
        assert cli("tasks", "output", str(completed.id)).stdout == "line\twith tab\nand ä"

    def test_json_has_the_full_answer(self, cli: Cli, completed: Task) -> None:
        document = cli("tasks", "output", str(completed.id), "-o", "json").json

        assert document["answer"] == {"outputs": ["line\twith tab\nand ä"]}

    def test_without_output_it_says_why_and_exits_1_or_8(
        self, cli: Cli, failed: Task, pending: Task
    ) -> None:
        after_failure = cli("tasks", "output", str(failed.id))
        too_early = cli("tasks", "output", str(pending.id))

        assert (after_failure.exit_code, too_early.exit_code) == (1, 8)
        assert "tasks show" in after_failure.stderr
        assert "tasks watch" in too_early.stderr


class TestChanges:
    def test_cancel_and_retry_say_what_they_did(
        self, cli: Cli, tasks: TaskManager, pending: Task
    ) -> None:
        cancelled = cli("tasks", "cancel", "@last", "--note", "wrong")
        assert cancelled.exit_code == 0
        assert (tasks.get(pending.id).state, tasks.get(pending.id).state_reason) == (
            TaskState.CANCELLED,
            "wrong",
        )

        retried = cli("tasks", "retry", "@last")
        assert str(pending.id) in retried.stderr
        assert tasks.get(pending.id).state is TaskState.PENDING
        assert [e.actor for e in tasks.events(pending.id)] == ["test", "cli", "cli"]

    def test_one_refusal_stops_no_other(
        self, cli: Cli, tasks: TaskManager, completed: Task, failed: Task
    ) -> None:
        result = cli("tasks", "retry", str(completed.id), str(failed.id), "-o", "json")

        assert result.exit_code == 6
        assert [item["id"] for item in result.items] == [str(failed.id)]
        assert tasks.get(failed.id).state is TaskState.PENDING

    def test_a_slip_in_one_id_changes_nothing(
        self, cli: Cli, tasks: TaskManager, pending: Task
    ) -> None:
        assert cli("tasks", "cancel", str(pending.id), "deadbeef").exit_code == 3
        assert tasks.get(pending.id).state is TaskState.PENDING

    def test_delete_wants_a_yes_and_refuses_running_tasks(
        self, cli: Cli, database: Database, tasks: TaskManager, completed: Task, failed: Task
    ) -> None:
        assert cli("tasks", "delete", str(failed.id)).exit_code == 2
        assert cli("tasks", "delete", str(failed.id), "--yes").exit_code == 0
        running = tasks.create(add_flow(database, "slow"), FlowInput(), actor="test")
        start(database, running.id)

        assert cli("tasks", "delete", "@last", "--yes").exit_code == 6
        assert {task.id for task in tasks.list().tasks} == {completed.id, running.id}


class TestWatch:
    def test_it_ends_as_the_task_ended(self, cli: Cli, completed: Task, failed: Task) -> None:
        good = cli("tasks", "watch", str(completed.id))
        bad = cli("tasks", "watch", str(failed.id))

        assert (good.exit_code, bad.exit_code) == (0, 1)
        assert [line[3] for line in good.lines if line[1] == "state"] == [
            "pending",
            "running",
            "completed",
        ]
        assert "no such city" in bad.stderr

    def test_json_is_the_ended_task(self, cli: Cli, completed: Task) -> None:
        assert cli("tasks", "watch", str(completed.id), "-o", "json").json["state"] == "completed"

    def test_the_timeout_is_exit_8(self, cli: Cli, pending: Task) -> None:
        assert cli("tasks", "watch", str(pending.id), "--timeout", "0.01").exit_code == 8

    def test_control_c_leaves_the_task_alone_and_says_so(
        self, tasks: TaskManager, pending: Task
    ) -> None:
        with subprocess.Popen(
            [sys.executable, "-m", "automagik.cli.cli", "tasks", "watch", "@last"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as watching:
            assert watching.stdout
            assert "pending" in watching.stdout.readline()
            watching.send_signal(signal.SIGINT)
            _, stderr = watching.communicate(timeout=10)

        assert watching.returncode == 130
        assert "The task goes on" in stderr
        assert tasks.get(pending.id).state is TaskState.PENDING
