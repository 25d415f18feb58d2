"""`automagik status`, `doctor` and `workers`: is it well?"""

from collections.abc import Iterator
from datetime import timedelta

import pytest

from automagik.core.config import Settings
from automagik.core.database.session import Database
from automagik.core.flows.flow_input import FlowInput
from automagik.core.queues import QueueManager
from automagik.core.tasks.manager import TaskManager
from automagik.core.tasks.presence import worker_alive
from automagik.core.tasks.states import TaskState
from tests.cli.command_line import Cli
from tests.core.records import add_task, now
from tests.core.tasks.rows import add_beat, add_flow, add_worker, end, start


@pytest.fixture
def database(settings: Settings) -> Iterator[Database]:
    opened = Database(settings.require_database_url())
    yield opened
    opened.dispose()


class TestStatus:
    def test_with_a_beat_and_a_worker_all_is_well(self, cli: Cli, database: Database) -> None:
        add_beat(database)
        add_worker(database)

        result = cli("status", "-o", "table")

        assert result.exit_code == 0
        assert "All is well" in result.stdout
        assert "0 of 10 slots busy" in result.stdout

    def test_a_paused_queue_is_noticed_though_all_is_well(
        self, cli: Cli, database: Database, settings: Settings
    ) -> None:
        add_beat(database)
        add_worker(database)
        QueueManager(database, settings).pause("automagik", reason="night")

        table, lines = cli("status", "-o", "table"), cli("status").lines

        assert table.exit_code == 0
        assert "automagik · paused · 0 due · 0 running" in table.stdout
        assert "! The queue automagik is paused (night)" in table.stdout
        assert [line[0] for line in lines].count("notice") == 1

    def test_each_problem_comes_with_what_to_do_and_exit_1(self, cli: Cli) -> None:
        result = cli("status", "-o", "table")

        assert result.exit_code == 1
        assert "No beat is running" in result.stdout
        assert "celery -A automagik worker" in result.stdout

    def test_the_verdict_comes_first_with_the_reason(self, cli: Cli, database: Database) -> None:
        add_worker(database)

        table, lines = cli("status", "-o", "table"), cli("status").lines

        assert lines[0] == [
            "verdict",
            "✗ Trouble: No beat is running: nothing is fired or dispatched.",
        ]
        assert table.stdout.split()[:3] == ["Verdict", "✗", "Trouble:"]

    def test_a_source_that_is_down_is_trouble(self, cli: Cli, database: Database) -> None:
        add_beat(database)
        add_worker(database)
        add_flow(database)
        assert cli("status").exit_code == 0
        with database.transaction() as connection:
            connection.exec_driver_sql(
                "UPDATE sources SET breaker_opened_at = now(), breaker_probe_at = now(),"
                " breaker_reason = 'connection refused'"
            )

        result = cli("status", "-o", "table")

        assert result.exit_code == 1
        assert "The source source of greeter is down, so its tasks wait" in result.stdout
        assert "LangFlow never reached · down" in result.stdout

    def test_the_last_failures_and_what_waits_longest_are_shown(
        self, cli: Cli, database: Database, settings: Settings
    ) -> None:
        tasks, flow = TaskManager(database, settings), add_flow(database)
        failed = tasks.create(flow, FlowInput(), actor="t")
        start(database, failed.id)
        end(database, failed.id, TaskState.FAILED)
        add_task(database, flow, run_at=now(database) - timedelta(minutes=5))

        document = cli("status", "-o", "json").json["stored"]

        [failure] = document["last_failures"]
        assert (failure["task_id"], failure["flow"]) == (str(failed.id), "greeter")
        assert 300 <= document["queues"][0]["oldest_age"] < 400
        assert "the oldest for 5m" in cli("status", "-o", "table").stdout

    def test_a_pipe_gets_the_problems_as_lines(self, cli: Cli) -> None:
        assert [line[0] for line in cli("status").lines].count("problem") == 2

    def test_json_has_the_facts_and_the_problems(self, cli: Cli, database: Database) -> None:
        add_worker(database)

        document = cli("status", "-o", "json").json

        assert document["is_well"] is False
        assert document["redis"]["ready"] == 0
        assert document["stored"]["workers"][0]["is_live"] is True
        assert len(document["problems"]) == 1

    def test_without_a_database_it_still_tells_about_redis(
        self, cli: Cli, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("DATABASE_URL", "postgresql://nobody@127.0.0.1:1/none")

        result = cli("status", "-o", "table")

        assert result.exit_code == 1
        assert "in the ready-queue" in result.stdout
        assert "PostgreSQL does not answer" in result.stdout


class TestDoctor:
    def test_without_beat_and_worker_it_exits_1_and_says_how_to_start_them(self, cli: Cli) -> None:
        result = cli("doctor")

        broken = {line[1]: line[3] for line in result.lines if line[0] == "error"}
        assert result.exit_code == 1
        assert broken.keys() == {"Beats", "Workers"}
        assert "automagik up" in broken["Beats"]

    def test_json_has_checks_and_settings_with_secrets_masked(
        self, cli: Cli, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("LANGFLOW_API_KEY", "canary-key")

        result = cli("doctor", "-o", "json")

        origin = {setting["name"]: setting["origin"] for setting in result.json["settings"]}
        assert origin["LANGFLOW_API_KEY"] == "environment"
        assert "canary-key" not in result.stdout + result.stderr
        assert {check["verdict"] for check in result.json["checks"]} >= {"ok", "error"}

    def test_wrong_settings_are_a_finding(self, cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("TIMEZONE", "Mars/Olympus")

        result = cli("doctor")

        assert result.exit_code == 1
        assert "Mars/Olympus" in result.stdout

    def test_fix_says_what_it_did_and_a_dry_run_what_it_would(
        self, cli: Cli, database: Database, settings: Settings
    ) -> None:
        lease = timedelta(seconds=settings.lease_seconds)
        add_worker(database, "silent", silent_for=lease * 3)

        planned = cli("doctor", "--fix", "--dry-run", "-o", "json").json
        done = cli("doctor", "--fix")

        repair = {"what": "1 silent worker is marked as lost.", "error": None}
        assert planned["repairs"] == [{**repair, "is_done": False}]
        assert "Silent worker" in [check["name"] for check in planned["checks"]]
        assert "✓ 1 silent worker is marked as lost." in done.stderr
        assert "Silent worker" not in done.stdout
        assert "Nothing can be mended" in cli("doctor", "--fix").stderr

    def test_a_dry_run_of_nothing_is_refused(self, cli: Cli) -> None:
        assert cli("doctor", "--dry-run").exit_code == 2


class TestWorkers:
    def test_live_ones_come_first_and_silent_ones_are_lost(
        self, cli: Cli, database: Database, settings: Settings
    ) -> None:
        lease = timedelta(seconds=settings.lease_seconds)
        add_worker(database, "silent", silent_for=lease * 3)
        add_worker(database, "fresh")

        found = cli("worker", "list", "-o", "json").items

        assert [(w["name"], w["state"]) for w in found] == [("fresh", "online"), ("silent", "lost")]

    def test_a_clock_that_is_far_off_is_seen(self, cli: Cli, database: Database) -> None:
        worker_id = add_worker(database)
        with database.transaction() as connection:
            worker_alive(connection, worker_id, clock_offset=-3600.0)

        assert cli("workers", "list", "-o", "json").items[0]["clock_offset_seconds"] == -3600
        assert "-3600.0s" in cli("workers", "list", "-o", "table").stdout

    def test_an_empty_list_says_how_to_start_one(self, cli: Cli) -> None:
        result = cli("workers", "list")

        assert (result.exit_code, result.stdout) == (0, "")
        assert "automagik up" in result.stderr
