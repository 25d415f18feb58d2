"""`automagik db`: from nothing to the newest schema and back, and what it says about it."""

import re
from contextlib import closing
from typing import Any

import psycopg2
import pytest

from automagik.core.database import migrate
from automagik.core.scheduler import retention
from tests.cli.command_line import Cli

HEAD = migrate.head()


@pytest.fixture
def empty(cli: Cli, empty_database_url: str, monkeypatch: pytest.MonkeyPatch) -> Cli:
    """The command line over a database without tables."""
    monkeypatch.setenv("DATABASE_URL", empty_database_url)
    return cli


def test_init_migrates_an_empty_database_and_may_be_repeated(empty: Cli) -> None:
    first, second = empty("db", "init"), empty("db", "init")

    assert (first.exit_code, first.stderr) == (0, f"✓ Schema: base → {HEAD}.\n")
    assert (second.exit_code, second.stderr) == (0, f"✓ Schema: already at {HEAD}.\n")


def test_init_creates_the_database_when_it_is_missing(
    empty: Cli, empty_database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_capitals = f"{empty_database_url}_New"
    monkeypatch.setenv("DATABASE_URL", with_capitals)
    try:
        result = empty("db", "init")
        check = empty("db", "check")
    finally:
        _drop(empty_database_url, with_capitals)

    assert result.stderr.startswith("✓ Database created.\n")
    assert (result.exit_code, check.exit_code) == (0, 0)


def test_current_shows_what_is_there_and_what_is_known(empty: Cli) -> None:
    before = empty("db", "current", "-o", "json").json
    empty("db", "upgrade")
    after = empty("db", "current", "-o", "json").json

    assert before == {"schema_version": 1, "revision": None, "head": HEAD, "is_current": False}
    assert after == {"schema_version": 1, "revision": HEAD, "head": HEAD, "is_current": True}


def test_check_refuses_an_old_schema_and_says_what_to_run(empty: Cli) -> None:
    result = empty("db", "check")

    assert result.exit_code == 6
    assert "automagik db init" in result.stderr


def test_check_finds_tables_that_were_changed_by_hand(cli: Cli, database_url: str) -> None:
    assert cli("db", "check").exit_code == 0
    with psycopg2.connect(database_url) as connection, connection.cursor() as cursor:
        cursor.execute("ALTER TABLE sources DROP COLUMN version")
    connection.close()

    result = cli("db", "check")

    assert result.exit_code == 6
    assert re.search(r"not as they should be.*version", result.stderr)


def test_downgrade_asks_first_and_without_a_terminal_wants_a_flag(cli: Cli) -> None:
    refused = cli("db", "downgrade", "base")
    done = cli("db", "downgrade", "base", "--yes")

    assert (refused.exit_code, "--yes" in refused.stderr) == (2, True)
    assert (done.exit_code, done.stderr) == (0, "✓ The schema is at revision base.\n")
    assert cli("schedules", "list").exit_code == 6


def test_an_unknown_revision_is_an_error_of_the_caller(cli: Cli) -> None:
    result = cli("db", "upgrade", "9999")

    assert result.exit_code == 2
    assert "9999" in result.stderr


def test_an_unreachable_database_is_said_so(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://nobody@127.0.0.1:1/nothing")

    for command in ("init", "upgrade", "current", "check"):
        result = cli("db", command)
        assert (result.exit_code, result.stdout) == (5, "")
        assert "AM-DB" in result.stderr


def _drop(server_url: str, url: str) -> None:
    connection = psycopg2.connect(server_url)
    connection.autocommit = True
    with connection.cursor() as cursor:
        cursor.execute(f'DROP DATABASE IF EXISTS "{url.rpartition("/")[2]}"')
    connection.close()


def test_verify_says_that_every_promise_was_kept(cli: Cli) -> None:
    kept = cli("db", "verify")

    assert (kept.exit_code, kept.stdout) == (0, "")
    assert kept.stderr.startswith("✓ Every promise was kept")
    assert kept.stderr.endswith("rules checked on 0 tasks, 0 attempts and 0 occurrences.\n")


def test_verify_without_redis_checks_the_rest_and_says_so(
    cli: Cli, monkeypatch: pytest.MonkeyPatch, free_port: int
) -> None:
    monkeypatch.setenv("REDIS_URL", f"redis://127.0.0.1:{free_port}/0")

    kept = cli("db", "verify", "-o", "json")

    assert (kept.exit_code, kept.items) == (0, [])
    assert [note.split(".")[0] for note in kept.json["notes"]] == [
        "The ready-queues were not compared"
    ]
    assert "! The ready-queues were not compared. Redis does not answer" in kept.stderr


def test_verify_names_the_task_of_a_broken_promise(cli: Cli, database_url: str) -> None:
    task_id = _add_task(database_url, "attempt = 1")
    broken = cli("db", "verify", "-o", "json")

    assert broken.exit_code == 1
    [item] = broken.items
    assert item["rule"] == "the attempts of a task are 1, 2, 3 and so on"
    assert item["details"] == {"task_id": str(task_id), "attempt": 1}
    assert broken.json["checked"] | {"rules": 0} == {
        "rules": 0,
        "tasks": 1,
        "attempts": 0,
        "occurrences": 0,
    }


@pytest.mark.usefixtures("old")
class TestPrune:
    @pytest.fixture
    def old(self, database_url: str) -> str:
        """A task that failed ten days ago."""
        ended = "state = 'failed', finished_at = now() - interval '10 days'"
        return _add_task(
            database_url,
            "state = 'running', lease_expires_at = now()",
            f"""
            lease_expires_at = NULL, {ended}
        """,
        )

    def test_without_any_age_it_says_what_to_give(self, cli: Cli) -> None:
        result = cli("db", "prune", "--yes")

        assert (result.exit_code, result.stdout) == (2, "")
        assert "--completed 30d" in result.stderr
        assert "AUTOMAGIK_RETENTION_COMPLETED" in result.stderr
        assert len(cli("tasks", "list").lines) == 1

    @pytest.mark.parametrize("age", ["10", "1.5d", "soon", "-1d"])
    def test_an_age_needs_a_unit(self, cli: Cli, age: str) -> None:
        result = cli("db", "prune", f"--failed={age}", "--yes")

        assert result.exit_code == 2
        assert f"{age!r} is no age, such as 30d" in result.stderr
        assert "--failed" in result.stderr
        assert len(cli("tasks", "list").lines) == 1

    def test_a_dry_run_tells_what_would_go_and_deletes_nothing(self, cli: Cli) -> None:
        result = cli("db", "prune", "--failed", "9d", "--completed", "1h", "--dry-run", "-ojson")

        completed, failed = result.items
        assert (completed["outcome"], completed["tasks"], completed["oldest"]) == (
            "completed",
            0,
            None,
        )
        assert (failed["outcome"], failed["tasks"], failed["events"]) == ("failed", 1, 3)
        assert failed["oldest"] == failed["newest"] < failed["before"]
        assert (result.exit_code, result.stderr) == (0, "1 task would go.\n")
        assert len(cli("tasks", "list").lines) == 1

    def test_it_asks_first_and_then_deletes_what_is_old_enough(self, cli: Cli) -> None:
        refused = cli("db", "prune", "--failed", "9d")
        younger = cli("db", "prune", "--failed", "11d", "--yes")
        done = cli("db", "prune", "--failed", "9d", "--yes", "--fields", "outcome,deleted")

        assert (refused.exit_code, "--yes" in refused.stderr) == (2, True)
        assert (younger.exit_code, younger.stderr) == (0, "✓ No task is that old.\n")
        assert (done.exit_code, done.lines) == (0, [["failed", "1"]])
        assert done.stderr == "✓ 1 task deleted.\n"
        assert cli("tasks", "list").lines == []

    def test_without_options_the_settings_count(
        self, cli: Cli, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("AUTOMAGIK_RETENTION_CANCELLED", "1d")
        given = cli("db", "prune", "--completed", "1d", "--dry-run", "--fields", "outcome")
        monkeypatch.setenv("AUTOMAGIK_RETENTION_FAILED", "9d")
        done = cli("db", "prune", "--yes", "--fields", "outcome,deleted")

        assert given.lines == [["completed"]], "what is given counts alone"
        assert done.lines == [["failed", "1"], ["cancelled", "0"]]

    def test_a_long_deletion_goes_in_batches_and_says_how_far_it_is(
        self, cli: Cli, monkeypatch: pytest.MonkeyPatch, database_url: str
    ) -> None:
        monkeypatch.setattr(retention, "BATCH", 2)
        _execute(database_url, _NINE_MORE)

        done = cli("db", "prune", "--failed", "9d", "--yes")

        assert done.stderr.splitlines() == [
            *(f"failed: {done} of 10 deleted" for done in (2, 4, 6, 8, 10)),
            "✓ 10 tasks deleted.",
        ]


def _add_task(url: str, *changes: str) -> str:
    """With an event for each change of its state."""
    [[task_id]] = _execute(url, _FLOW_WITH_A_TASK)
    for change in changes:
        _execute(url, f"UPDATE tasks SET {change} WHERE id = '{task_id}' RETURNING id")
    return str(task_id)


def _execute(url: str, statement: str) -> list[tuple[Any, ...]]:
    with closing(psycopg2.connect(url)) as connection, connection, connection.cursor() as cursor:
        cursor.execute(statement)
        return cursor.fetchall()


_NINE_MORE = """
INSERT INTO tasks (id, flow_id, flow_version_id, source_id, max_retries, max_attempts,
    timeout_seconds, state, finished_at)
SELECT gen_random_uuid(), flow_id, flow_version_id, source_id, 0, 1, 60, state, finished_at
FROM tasks, generate_series(1, 9) RETURNING id
"""


_FLOW_WITH_A_TASK = """
WITH source AS (
    INSERT INTO sources (id, name, url) VALUES (gen_random_uuid(), 's', 'http://127.0.0.1:9')
    RETURNING id
), flow AS (
    INSERT INTO flows (id, source_id, remote_id, name, version_id)
    SELECT gen_random_uuid(), id, 'r', 'f', gen_random_uuid() FROM source
    RETURNING id, source_id, version_id
), version AS (
    INSERT INTO flow_versions (id, flow_id, number, content_hash, definition)
    SELECT version_id, id, 1, 'h', '{}' FROM flow
)
INSERT INTO tasks (id, flow_id, flow_version_id, source_id, max_retries, max_attempts,
    timeout_seconds)
SELECT gen_random_uuid(), id, version_id, source_id, 0, 1, 60 FROM flow RETURNING id
"""
