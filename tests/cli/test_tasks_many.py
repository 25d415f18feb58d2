"""`automagik tasks`, `failures` and `stats`: many tasks at a time."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from automagik.cli.commands.stats import sparkline
from automagik.core.config import Settings
from automagik.core.database.session import Database
from automagik.core.tasks.manager import TaskManager
from automagik.core.tasks.states import TaskState
from automagik.core.tasks.values import Task
from tests.cli.command_line import Cli
from tests.core.records import add_schedules, add_task, rows
from tests.core.scheduler import stored
from tests.core.tasks.rows import add_flow

AT = datetime(2026, 1, 5, tzinfo=UTC)


@pytest.fixture
def database(settings: Settings) -> Iterator[Database]:
    opened = Database(settings.require_database_url())
    yield opened
    opened.dispose()


@pytest.fixture
def tasks(database: Database, settings: Settings) -> TaskManager:
    return TaskManager(database, settings)


@pytest.fixture
def some(database: Database, tasks: TaskManager) -> list[Task]:
    """Two failed, one pending and one completed, the oldest first."""
    flow = stored.add_flow(database)
    error = {"error_code": "AM-X", "error_message": "no city 7"}
    ids = [
        add_task(database, flow, state=TaskState.FAILED, input_value="Ulm", **error),
        add_task(database, flow, state=TaskState.FAILED, **error),
        add_task(database, flow),
        add_task(database, flow, state=TaskState.COMPLETED, result={}, output_text="done"),
    ]
    return [tasks.get(task_id) for task_id in ids]


def states(database: Database) -> list[str]:
    return rows(database, "SELECT state FROM tasks ORDER BY id")  # type: ignore[return-value]


class TestRetryMany:
    @pytest.mark.usefixtures("some")
    def test_failed_ones_without_a_word_about_the_state(self, cli: Cli, database: Database) -> None:
        result = cli("tasks", "retry", "--flow", "Echo", "--yes")

        assert (result.exit_code, result.stdout) == (0, "")
        assert "2 task(s) due again" in result.stderr
        assert states(database) == ["pending", "pending", "pending", "completed"]

    def test_a_dry_run_shows_them_and_changes_nothing(
        self, cli: Cli, database: Database, some: list[Task]
    ) -> None:
        result = cli("tasks", "retry", "--since", "1h", "--dry-run", "-o", "name")

        assert result.stdout.split() == [str(some[1].id), str(some[0].id)]
        assert states(database) == [task.state for task in some]

    def test_without_a_yes_nothing_changes(
        self, cli: Cli, database: Database, some: list[Task]
    ) -> None:
        result = cli("tasks", "retry", "--flow", "Echo")

        assert result.exit_code == 2
        assert "--yes" in result.stderr
        assert states(database) == [task.state for task in some]

    @pytest.mark.parametrize("words", [["retry"], ["cancel"], ["cancel", "--yes"]])
    def test_all_tasks_there_are_must_be_said_somehow(self, cli: Cli, words: list[str]) -> None:
        assert cli("tasks", *words).exit_code == 2

    def test_ids_and_options_together_are_refused(self, cli: Cli, some: list[Task]) -> None:
        result = cli("tasks", "retry", str(some[0].id), "--flow", "Echo")

        assert result.exit_code == 2
        assert "not both" in result.stderr


class TestCancelMany:
    def test_all_that_have_not_ended(
        self, cli: Cli, database: Database, some: list[Task], tasks: TaskManager
    ) -> None:
        result = cli("tasks", "cancel", "--flow", "Echo", "--note", "wrong", "--yes")

        assert result.exit_code == 0
        assert states(database) == ["failed", "failed", "cancelled", "completed"]
        assert tasks.get(some[2].id).state_reason == "wrong"

    @pytest.mark.usefixtures("some")
    def test_none_is_like_that(self, cli: Cli) -> None:
        result = cli("tasks", "cancel", "--state", "running", "--yes")

        assert (result.exit_code, result.stderr) == (0, "No task is like that.\n")


class TestDeleteMany:
    def test_those_that_have_ended(self, cli: Cli, database: Database) -> None:
        many(database)
        result = cli("tasks", "delete", "--flow", "Echo", "--yes")

        assert (result.exit_code, result.stdout) == (0, "")
        assert result.stderr.splitlines()[-1] == "✓ 205 task(s) deleted."
        assert states(database) == ["pending", "running"]

    def test_in_batches_it_says_how_far_it_is(self, cli: Cli, database: Database) -> None:
        many(database)
        result = cli("tasks", "delete", "--flow", "Echo", "--state", "failed", "--yes")

        assert result.stderr.splitlines() == [
            "100 of 203 task(s) deleted",
            "200 of 203 task(s) deleted",
            "203 of 203 task(s) deleted",
            "✓ 203 task(s) deleted.",
        ]
        assert "100" not in cli("tasks", "delete", "--since", "1h", "--yes", "-q").stderr

    def test_running_ones_stay_also_when_they_are_named(self, cli: Cli, database: Database) -> None:
        many(database)
        result = cli("tasks", "delete", "--state", "pending,running", "--yes")

        assert "1 had moved on meanwhile and were left alone" in result.stderr
        assert set(states(database)) == {"completed", "failed", "running"}

    @pytest.mark.parametrize("by_id", [True, False])
    def test_a_dry_run_deletes_nothing(
        self, cli: Cli, database: Database, some: list[Task], *, by_id: bool
    ) -> None:
        which = (str(some[0].id),) if by_id else ("--search", "Ulm")
        result = cli("tasks", "delete", *which, "--dry-run", "-o", "name")

        assert (result.exit_code, result.stdout.split()) == (0, [str(some[0].id)])
        assert "1 task(s) would be deleted. Nothing was changed." in result.stderr
        assert states(database) == [task.state for task in some]

    def test_without_a_yes_nothing_goes(
        self, cli: Cli, database: Database, some: list[Task]
    ) -> None:
        assert cli("tasks", "delete", "--flow", "Echo").exit_code == 2
        assert cli("tasks", "delete", "--yes").exit_code == 2
        assert states(database) == [task.state for task in some]

    def test_the_schedule_claims_no_more_that_it_told_of_them(
        self, cli: Cli, database: Database
    ) -> None:
        flow = stored.add_flow(database)
        [first, second] = add_schedules(database, flow, 2, counts_from=AT)
        for hours, schedule_id in ((1, first), (3, first), (2, second)):
            add_task(
                database,
                flow,
                state=TaskState.FAILED,
                schedule_id=schedule_id,
                scheduled_for=AT + timedelta(hours=hours),
            )
        cli("tasks", "delete", "--state", "failed", "--yes")

        told = rows(database, "SELECT counts_from FROM schedules ORDER BY id")
        assert told == [AT + timedelta(hours=3), AT + timedelta(hours=2)]


def many(database: Database) -> None:
    flow = stored.add_flow(database)
    add_task(database, flow)
    add_task(database, flow, state=TaskState.RUNNING)
    for state, count in ((TaskState.COMPLETED, 2), (TaskState.FAILED, 203)):
        rows(
            database,
            """
            INSERT INTO tasks (id, flow_id, flow_version_id, source_id, max_retries, max_attempts,
                timeout_seconds, state, finished_at)
            SELECT gen_random_uuid(), flow_id, flow_version_id, source_id, 3, 4, 20, :state, now()
            FROM generate_series(1, :count),
                (SELECT flow_id, flow_version_id, source_id FROM tasks LIMIT 1) one
            RETURNING 1
            """,
            state=state,
            count=count,
        )


class TestWaiting:
    @pytest.mark.parametrize("words", [["replay"], ["replay", "--wait"]])
    def test_a_replay_is_waited_for_so_long(
        self, cli: Cli, some: list[Task], words: list[str]
    ) -> None:
        result = cli("tasks", *words, str(some[0].id), "--wait-timeout", "0.1s")

        assert result.exit_code == 8
        assert "is still pending" in result.stderr

    def test_so_is_a_run_that_a_schedule_is_asked_for(self, cli: Cli, database: Database) -> None:
        stored.add_flow(database)
        cli("schedules", "create", "Echo", "--name", "hourly", "--every", "1h")
        result = cli("schedules", "trigger", "@last", "--wait-timeout", "0.1s")

        assert result.exit_code == 8
        assert "automagik tasks watch" in result.stderr


class TestReplay:
    def test_the_same_input_and_options_again(
        self, cli: Cli, some: list[Task], tasks: TaskManager
    ) -> None:
        result = cli("tasks", "replay", str(some[0].id))
        made = tasks.get(tasks.resolve(result.stdout.strip()))

        assert result.exit_code == 0
        assert tasks.run_input(made.id).input_value == "Ulm"
        assert (made.state, made.timeout) == (TaskState.PENDING, some[0].timeout)
        assert f"replays task {some[0].id}" in cli("tasks", "why", str(made.id)).stdout

    def test_another_input(self, cli: Cli, some: list[Task], tasks: TaskManager) -> None:
        result = cli("tasks", "replay", str(some[0].id), "--input", "Bonn")

        assert tasks.run_input(tasks.resolve(result.stdout.strip())).input_value == "Bonn"

    def test_a_flow_that_has_changed_since_is_not_run_in_silence(
        self, cli: Cli, database: Database, some: list[Task]
    ) -> None:
        _change_flow(database, some[0])
        refused = cli("tasks", "replay", str(some[0].id))
        accepted = cli("tasks", "replay", str(some[0].id), "--present-version")

        assert refused.exit_code == 6
        assert "has changed since" in refused.stderr
        assert "--present-version" in refused.stderr
        assert accepted.exit_code == 0


def _change_flow(database: Database, task: Task) -> None:
    rows(
        database,
        """
        WITH made AS (
            INSERT INTO flow_versions (id, flow_id, number, content_hash, definition)
            SELECT gen_random_uuid(), flow_id, 2, 'other', definition FROM flow_versions
            WHERE flow_id = :flow_id
            RETURNING id
        )
        UPDATE flows SET version_id = (SELECT id FROM made) WHERE id = :flow_id RETURNING id
        """,
        flow_id=task.flow_id,
    )


class TestExport:
    def test_json_lines_newest_first(self, cli: Cli, some: list[Task]) -> None:
        result = cli("tasks", "export")
        items = [json.loads(line) for line in result.stdout.splitlines()]

        assert [item["id"] for item in items] == [str(task.id) for task in reversed(some)]
        assert "input_value" not in items[0]

    @pytest.mark.usefixtures("some")
    def test_contents_are_there_when_they_are_asked_for(self, cli: Cli) -> None:
        items = [json.loads(x) for x in cli("tasks", "export", "--contents").stdout.splitlines()]

        assert (items[0]["output_text"], items[-1]["input_value"]) == ("done", "Ulm")

    def test_csv_has_one_header(self, cli: Cli, some: list[Task]) -> None:
        result = cli("tasks", "export", "--state", "failed", "-o", "csv", "--fields", "id,state")

        assert result.stdout.splitlines() == [
            "id,state",
            f"{some[1].id},failed",
            f"{some[0].id},failed",
        ]

    def test_shapes_that_need_the_end_are_refused(self, cli: Cli) -> None:
        assert cli("tasks", "export", "-o", "json").exit_code == 2

    def test_nothing_is_no_error(self, cli: Cli) -> None:
        result = cli("tasks", "export")

        assert (result.exit_code, result.stdout) == (0, "")


class TestListOptions:
    def test_states_by_comma_and_pages_by_cursor(self, cli: Cli, some: list[Task]) -> None:
        first = cli("tasks", "list", "--state", "failed,pending", "-n", "2", "-o", "json").json
        second = cli(
            "tasks", "list", "-s", "failed,pending", "--cursor", first["next"], "-o", "json"
        )

        found = [item["id"] for item in [*first["items"], *second.items]]
        assert found == [str(some[2].id), str(some[1].id), str(some[0].id)]
        assert second.json["next"] is None

    def test_an_unknown_state_is_refused_with_those_there_are(self, cli: Cli) -> None:
        result = cli("tasks", "list", "--state", "faild")

        assert result.exit_code == 2
        assert "completed" in result.stderr

    @pytest.mark.parametrize("since", ["1h", "2026-01-01", "2026-01-01T09:00"])
    def test_since_takes_durations_dates_and_instants(
        self, cli: Cli, some: list[Task], since: str
    ) -> None:
        assert len(cli("tasks", "list", "--since", since).lines) == len(some)

    def test_a_time_that_is_none_is_refused(self, cli: Cli) -> None:
        assert cli("tasks", "list", "--since", "yesterdayish").exit_code == 2


class TestFailures:
    def test_one_line_per_cause(self, cli: Cli, some: list[Task]) -> None:
        [failure] = cli("failures", "-o", "json").items

        assert (failure["tasks"], failure["cause"]) == (2, "no city <n>")
        assert failure["last_task_id"] == str(some[1].id)

    @pytest.mark.usefixtures("some")
    @pytest.mark.parametrize("command", ["failures", "stats"])
    def test_since_is_what_it_is_for_lists(self, cli: Cli, command: str) -> None:
        for since in ("1h", "2026-01-01", "2026-01-01T09:00Z"):
            assert len(cli(command, "--since", since, "-o", "json").items) == 1, since
        assert cli(command, "--since", "yesterdayish").exit_code == 2
        future = cli(command, "--since", "2999-01-01")
        assert (future.exit_code, "lies in the future" in future.stderr) == (2, True)

    def test_nothing_failed(self, cli: Cli) -> None:
        assert cli("failures").stderr == "Nothing failed.\n"


class TestStats:
    @pytest.mark.usefixtures("some")
    def test_a_line_per_flow_and_one_for_all(self, cli: Cli, database: Database) -> None:
        other = add_flow(database, "other")
        add_task(database, other, state=TaskState.COMPLETED, result={})
        items = cli("stats", "-o", "json").items

        counts = {item["flow"]: (item["tasks"], item["failed"]) for item in items}
        assert counts == {"Echo": (3, 2), "other": (1, 0), "all": (4, 2)}

    @pytest.mark.usefixtures("some")
    def test_on_a_terminal_it_has_pictures(self, cli: Cli) -> None:
        result = cli("stats", "-o", "table")

        assert result.stdout.startswith("Ended   ")
        assert "█  1h each, at most 3" in result.stdout
        assert "33.33 %" in result.stdout

    def test_a_bar_shows_all_that_is_not_nothing(self) -> None:
        assert sparkline([0, 1, 500, 1000]) == " ▁▄█"
        assert sparkline([0, 0]) == "  "
