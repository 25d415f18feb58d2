"""`automagik flows`: syncing, looking at, running and deleting."""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from threading import Thread
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import select

from automagik.core.config import Settings
from automagik.core.database.models import TaskRow
from automagik.core.database.session import WAKE, Database
from automagik.core.tasks.states import TaskState
from automagik.demo.faults import Fault, answer
from automagik.demo.server import DemoServer
from tests.cli.command_line import Cli
from tests.cli.terminal import Terminal
from tests.core.flows.synced import add_source, add_task, built_in, recorded
from tests.core.records import add_worker
from tests.core.tasks.rows import end, start

MANY = recorded("many_io")["name"]


@pytest.fixture
def database(settings: Settings) -> Iterator[Database]:
    opened = Database(settings.require_database_url())
    yield opened
    opened.dispose()


@pytest.fixture
def faults() -> dict[str, Fault]:
    return {}


@pytest.fixture
def server(
    database: Database, settings: Settings, faults: dict[str, Fault]
) -> Iterator[DemoServer]:
    """The source `demo`, with two flows that are ready and one with choices."""
    there = [built_in("Echo"), built_in("Failing"), recorded("many_io")]
    with DemoServer(flows=there, faults=faults) as running:
        add_source(database, settings, running)
        yield running


@pytest.fixture
def sourced(server: DemoServer, cli: Cli) -> Cli:
    """The command line with the source `demo`."""
    assert server.url
    return cli


@pytest.fixture
def synced(sourced: Cli) -> Cli:
    """The command line after a sync of all flows."""
    assert sourced("flows", "sync").exit_code == 0
    return sourced


class TestSync:
    def test_all_flows_are_synced_and_open_choices_named(self, sourced: Cli) -> None:
        result = sourced("flows", "sync", "-o", "json")

        assert result.exit_code == 0, result.stderr
        assert {f["name"]: f["change"] for f in result.items} == {
            "Echo": "added",
            "Failing": "added",
            MANY: "added",
        }
        assert "3 added" in result.stderr
        assert f"{MANY} has" in result.stderr
        assert "--input-component" in result.stderr
        many = next(f for f in result.items if f["name"] == MANY)
        assert [choice["role"] for choice in many["choices"]] == ["input", "output"]

    def test_a_choice_is_made_by_options(self, synced: Cli) -> None:
        shown = synced("flows", "show", MANY, "-o", "json").json
        chosen = [c["id"] for c in shown["components"] if c["is_input"]][-1]
        result = synced("flows", "sync", MANY, "--input-component", chosen, "-o", "json")

        assert (result.exit_code, result.items[0]["input_component"]) == (0, chosen)

    def test_a_choice_is_asked_of_a_person(
        self, sourced: Cli, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("automagik.cli.person.is_there", lambda: True)
        result = sourced("flows", "sync", MANY, "-o", "json", input="9\n2\n\n")

        assert result.exit_code == 0, result.stderr
        [flow] = result.items
        assert flow["input_component"]
        assert [choice["role"] for choice in flow["choices"]] == ["output"]

    @pytest.mark.usefixtures("server")
    def test_on_a_terminal_it_shows_how_far_it_is_and_makes_room_for_a_question(
        self, terminal: Terminal
    ) -> None:
        answers = {"Which is the input?": "1\r", "Which is the output?": "\r"}
        shown = terminal("flows", "sync", keys=answers, columns=120)
        again = terminal("flows", "sync", "-q", keys=answers)

        assert shown.exit_code == 0
        # The bar is drawn ten times a second; which counts it shows depends on the server.
        counted = re.compile(r"\d flows? · ")
        assert counted.search(shown.text)
        assert "3 added" in shown.text
        assert not counted.search(again.text)

    @pytest.mark.parametrize("answers", ["", "9\n"])
    def test_the_end_of_input_means_to_decide_later_and_the_rest_is_synced(
        self, sourced: Cli, monkeypatch: pytest.MonkeyPatch, answers: str
    ) -> None:
        monkeypatch.setattr("automagik.cli.person.is_there", lambda: True)
        result = sourced("flows", "sync", "-o", "json", input=answers)

        assert result.exit_code == 0
        assert [flow["change"] for flow in result.items] == ["added"] * 3
        assert f"{MANY} has 3 inputs." in result.stderr

    def test_an_interruption_keeps_and_tells_what_is_synced(
        self, sourced: Cli, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def interrupted(_choice: object) -> None:
            raise KeyboardInterrupt

        monkeypatch.setattr("automagik.cli.person.is_there", lambda: True)
        monkeypatch.setattr("automagik.cli.flow_report.ask", interrupted)
        result = sourced("flows", "sync")

        assert result.exit_code == 130
        assert [line[1] for line in result.lines] == ["Echo", "Failing"]
        assert "Bring in the rest with: automagik flows sync" in result.stderr

    def test_one_flow_is_synced_by_name(self, sourced: Cli) -> None:
        result = sourced("flows", "sync", "Echo")

        assert result.lines[0][:3] == ["added", "Echo", "demo"]
        assert len(sourced("flows", "list").lines) == 1

    def test_names_and_all_exclude_each_other(self, sourced: Cli) -> None:
        assert sourced("flows", "sync", "Echo", "--all").exit_code == 2
        assert sourced("flows", "sync", "--all").exit_code == 0

    def test_an_unknown_flow_is_answered_with_the_nearest(self, sourced: Cli) -> None:
        result = sourced("flows", "sync", "Ecko")

        assert result.exit_code == 3
        assert "Did you mean 'Echo'?" in result.stderr

    def test_one_flow_that_fails_stops_no_other_but_shows_in_the_exit_code(
        self, sourced: Cli, faults: dict[str, Fault]
    ) -> None:
        faults[f"/api/v1/flows/{built_in('Echo')['id']}"] = answer(500, '{"detail": "broken"}')
        result = sourced("flows", "sync")

        assert result.exit_code == 5
        assert [line[0] for line in result.lines] == ["failed", "added", "added"]
        assert "broken" in result.stderr

    def test_without_a_source_it_says_what_to_do(self, cli: Cli) -> None:
        result = cli("flows", "sync")

        assert result.exit_code == 3
        assert "automagik sources add" in result.stderr

    def test_the_source_of_the_environment_needs_no_command(
        self, cli: Cli, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with DemoServer() as configured:
            monkeypatch.setenv("LANGFLOW_API_URL", configured.url)
            monkeypatch.setenv("LANGFLOW_API_KEY", configured.api_key)
            result = cli("flows", "sync", "-o", "json")

        assert {flow["source_name"] for flow in result.items} == {"default"}


class TestLook:
    def test_list_shows_what_is_ready(self, synced: Cli) -> None:
        listed = {f["name"]: f for f in synced("flow", "list", "-o", "json").items}

        assert listed["Echo"]["status"] == "ready"
        assert listed[MANY]["status"] == "choice needed"
        assert listed["Echo"]["schedules"] == 0
        assert synced("flows", "list", "--source", "demo", "-o", "name").lines[0] == ["Echo"]

    def test_a_flow_that_went_away_stays_in_the_list(self, synced: Cli, server: DemoServer) -> None:
        server._world.flows.pop(0)
        result = synced("flows", "sync")

        assert "1 gone" in result.stderr
        status = {f["name"]: f["status"] for f in synced("flows", "list", "-o", "json").items}
        assert status["Echo"] == "gone"

    def test_show_names_components_parameters_and_problems(self, synced: Cli) -> None:
        shown = synced("flows", "show", "Failing", "-o", "json").json
        fail = next(c for c in shown["components"] if c["type"] == "FailComponent")
        table = synced("flows", "show", "Failing", "-o", "table").stdout

        assert {"kind", "message"} <= {p["name"] for p in fail["parameters"]}
        assert shown["problems"] == []
        assert "FailComponent-fail.kind" in table
        assert "✓ input" in table

    def test_show_in_a_pipe_leaves_lists_of_things_to_json(self, synced: Cli) -> None:
        shown = dict(synced("flows", "show", "Echo").lines)

        assert shown["name"] == "Echo"
        assert "components" not in shown
        assert "ChatInput" in synced("flows", "show", "Echo", "--fields", "components").stdout

    @pytest.mark.parametrize(
        "name, hint", [("Ecko", "Did you mean 'Echo'?"), ("Nobody", "automagik flows list")]
    )
    def test_an_unknown_flow_is_not_found(self, synced: Cli, name: str, hint: str) -> None:
        result = synced("flows", "show", name)

        assert result.exit_code == 3
        assert hint in result.stderr


class TestRun:
    def test_a_run_is_a_task_and_its_id_is_printed(self, synced: Cli, database: Database) -> None:
        result = synced("flows", "run", "Echo", "--input", "hello", "--priority", "3")
        [task_id] = result.stdout.split()
        task = _task(database, UUID(task_id))

        assert f"automagik tasks watch {task_id}" in result.stderr
        assert (task.input_value, task.state, task.state_actor) == ("hello", "pending", "cli")
        assert (task.priority, task.max_retries) == (3, 3)

    def test_it_says_when_no_worker_is_there_to_run_it(
        self, synced: Cli, database: Database
    ) -> None:
        alone = synced("flows", "run", "Echo")
        add_worker(database)
        together = synced("flows", "run", "Echo")

        assert "No worker is running" in alone.stderr
        assert "No worker is running" not in together.stderr

    def test_input_comes_from_a_file_or_stdin_and_json_says_more(
        self, synced: Cli, database: Database, tmp_path: Path
    ) -> None:
        (tmp_path / "in.json").write_text('{"input": "from file", "session_id": "s1"}')
        first = synced("flows", "run", "Echo", "--input", f"@{tmp_path / 'in.json'}")
        second = synced("flows", "run", "Echo", "--input", "-", "--session", "s2", input="piped")
        ran = [_task(database, UUID(r.stdout.strip())) for r in (first, second)]

        assert [(t.input_value, t.session_id) for t in ran] == [
            ("from file", "s1"),
            ("piped", "s2"),
        ]

    def test_limits_and_tweaks_are_taken_over(self, synced: Cli, database: Database) -> None:
        result = synced(
            *("flows", "run", "Failing", "--tweak", "Fail.kind=KeyError"),
            *("--max-retries", "0", "--timeout", "1m30s", "-o", "json"),
        )
        task = _task(database, UUID(result.json["id"]))

        assert task.tweaks == {"FailComponent-fail": {"kind": "KeyError"}}
        assert (task.max_attempts, task.timeout_seconds) == (1, 90)

    @pytest.mark.parametrize(
        "words",
        [
            ("Failing", "--tweak", "Fail.nothing=1"),
            ("Failing", "--tweak", "nonsense"),
            ("Echo", "--input", '{"broken'),
            (MANY, "--input", "hello"),
        ],
    )
    def test_what_cannot_run_starts_nothing(self, words: tuple[str, ...], synced: Cli) -> None:
        assert synced("flows", "run", *words).exit_code == 2
        assert synced("tasks", "list", "-o", "json").items == []

    def test_wait_prints_the_output_alone(self, synced: Cli, database: Database) -> None:
        with worker(database, lambda task_id: end(database, task_id, output="it says\nhello")):
            result = synced("flows", "run", "Echo", "--wait")

        assert (result.exit_code, result.stdout) == (0, "it says\nhello")

    def test_wait_prints_the_whole_task_as_json(self, synced: Cli, database: Database) -> None:
        with worker(database, lambda task_id: end(database, task_id, output="hello")):
            result = synced("flows", "run", "Echo", "--wait", "-o", "json")

        assert (result.json["state"], result.json["output_text"]) == ("completed", "hello")

    def test_wait_fails_when_the_run_fails(self, synced: Cli, database: Database) -> None:
        failed = TaskState.FAILED
        with worker(database, lambda task_id: end(database, task_id, failed, error="no such city")):
            result = synced("flows", "run", "Echo", "--wait")

        assert (result.exit_code, result.stdout) == (1, "")
        assert "no such city" in result.stderr

    def test_wait_gives_up_and_the_run_goes_on(self, synced: Cli) -> None:
        result = synced("flows", "run", "Echo", "--wait", "--wait-timeout", "0.3s")
        [task] = synced("tasks", "list", "-o", "json").items

        assert result.exit_code == 8
        assert f"automagik tasks watch {task['id']}" in result.stderr
        assert task["state"] == "pending"


class TestIdempotencyKey:
    def test_the_same_key_again_finds_the_same_task_and_says_so(self, synced: Cli) -> None:
        words = ("flows", "run", "Echo", "--input", "hi", "--idempotency-key", "order 4711")
        first, again = synced(*words), synced(*words)
        shown = synced("tasks", "show", "@last", "-o", "table").stdout

        assert (first.exit_code, again.exit_code) == (0, 0)
        assert again.stdout == first.stdout
        assert "before" not in first.stderr
        assert f"'order 4711' has started task {first.stdout.strip()} before" in again.stderr
        assert len(synced("tasks", "list", "-o", "json").items) == 1
        assert "order 4711" in shown

    def test_with_wait_it_brings_the_output_of_the_run_that_was(
        self, synced: Cli, database: Database
    ) -> None:
        words = ("flows", "run", "Echo", "--idempotency-key", "k")
        with worker(database, lambda task_id: end(database, task_id, output="hello")):
            first = synced(*words, "--wait")
        again = synced(*words, "--wait")
        without_waiting = synced(*words)

        assert (first.exit_code, first.stdout) == (0, "hello")
        assert (again.exit_code, again.stdout) == (0, "hello")
        assert "No worker is running" not in again.stderr
        assert "It is completed." in without_waiting.stderr

    def test_for_another_input_it_is_refused(self, synced: Cli) -> None:
        words = ("flows", "run", "Echo", "--idempotency-key", "k", "--input")
        task_id = synced(*words, "hi").stdout.strip()
        refused = synced(*words, "ho")

        assert (refused.exit_code, refused.stdout) == (6, "")
        assert "another input" in refused.stderr
        assert f"automagik tasks show {task_id}" in refused.stderr


class TestUpdate:
    def test_what_counts_for_new_runs_is_set_shown_and_unset(self, synced: Cli) -> None:
        words = (
            "--max-retries",
            "0",
            "--timeout",
            "90s",
            "--max-parallel",
            "2",
            "--priority",
            "-5",
        )
        changed = synced(
            *("flows", "update", "Echo", *words, "--queue", "gpu", "--at-most-once", "-o", "json")
        )
        run = synced("flows", "run", "Echo", "-o", "json").json
        table = synced("flows", "show", "Echo", "-o", "table").stdout
        unset = synced("flows", "update", "Echo", "--unset", "queue", "--no-at-most-once")
        shown = synced("flows", "show", "Echo", "-o", "json").json

        expected = {
            "max_retries": 0,
            "timeout": 90.0,
            "max_parallel_runs": 2,
            "priority": -5,
            "queue": "gpu",
            "at_most_once": True,
        }
        assert {key: changed.json[key] for key in expected} == expected
        assert (run["queue"], run["priority"], run["at_most_once"]) == ("gpu", -5, True)
        facts = {" ".join(line.split()) for line in table.splitlines()}
        assert {"Queue gpu", "Priority -5", "Timeout 1m 30s", "At most once yes"} <= facts
        assert unset.exit_code == 0, unset.stderr
        assert dict(unset.lines)["priority"] == "-5"
        after = {"queue": None, "at_most_once": False}
        assert {key: shown[key] for key in expected} == expected | after

    @pytest.mark.parametrize(
        "words, said",
        [
            ((), "Nothing to change"),
            (("--priority", "1001"), "from -1000 to 1000"),
            (("--max-parallel", "0"), "--max-parallel"),
            (("--queue", "a b"), "'a b'"),
            (("--unset", "name"), "name"),
            (("--queue", "gpu", "--unset", "queue"), "given and unset"),
        ],
    )
    def test_what_cannot_be_is_refused(
        self, synced: Cli, words: tuple[str, ...], said: str
    ) -> None:
        result = synced("flows", "update", "Echo", *words)

        assert (result.exit_code, result.stdout) == (2, "")
        assert said in result.stderr

    def test_a_run_says_its_own(self, synced: Cli) -> None:
        synced("flows", "update", "Echo", "--queue", "gpu", "--priority", "9")
        options = ("--queue", "night", "--priority", "0")
        run = synced("flows", "run", "Echo", *options, "-o", "json").json
        table = synced("tasks", "show", run["id"], "-o", "table").stdout

        assert (run["queue"], run["priority"]) == ("night", 0)
        assert "night" in table


class TestDelete:
    def test_it_must_be_confirmed(self, synced: Cli) -> None:
        assert synced("flows", "delete", "Echo").exit_code == 2
        assert synced("flows", "show", "Echo").exit_code == 0

    def test_a_dry_run_says_what_would_go(self, synced: Cli) -> None:
        tried = synced("flows", "delete", "Echo", "--dry-run")

        assert (tried.exit_code, tried.stdout) == (0, "")
        assert "'Echo' with 0 schedules, 0 tasks" in tried.stderr
        assert synced("flows", "show", "Echo").exit_code == 0

    def test_it_says_what_goes_along(self, synced: Cli) -> None:
        synced("flows", "run", "Echo")
        result = synced("flows", "delete", "Echo", "--yes")

        assert result.exit_code == 0
        assert "0 schedules, 1 task and 0 log lines" in result.stderr
        assert synced("flows", "show", "Echo").exit_code == 3

    def test_it_is_refused_under_a_running_task(
        self, synced: Cli, database: Database, settings: Settings
    ) -> None:
        from automagik.core.flows.manager import FlowManager

        echo = FlowManager(database, settings).get("Echo")
        add_task(database, echo, state=TaskState.RUNNING)

        assert synced("flows", "delete", "Echo", "--yes").exit_code == 6


@contextmanager
def worker(database: Database, finish: Callable[[UUID], None]) -> Iterator[None]:
    """Ends the next task that is created as a worker would."""
    listener = database.listen(WAKE)

    def work() -> None:
        assert listener.wait(timedelta(seconds=30))
        with database.transaction() as connection:
            task_id = connection.scalars(select(TaskRow.id)).one()
        start(database, task_id)
        finish(task_id)

    thread = Thread(target=work)
    thread.start()
    try:
        yield
    finally:
        thread.join()
        listener.close()


def _task(database: Database, task_id: UUID) -> Any:
    columns = TaskRow.__table__.columns
    with database.transaction() as connection:
        return connection.execute(select(*columns).where(TaskRow.id == task_id)).one()
