"""How PostgreSQL goes about it, whatever there was before: looked up in its own explanations."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import Connection, text

from automagik.core.config import Settings
from automagik.core.database.session import Database
from automagik.core.flows.values import Flow
from tests.core.tasks.rows import add_flow

_ADD = """
INSERT INTO tasks (id, flow_id, flow_version_id, source_id, max_retries, max_attempts,
    timeout_seconds, state, finished_at)
SELECT gen_random_uuid(), id, version_id, source_id, 0, 1, 1, CAST(:state AS text),
    CASE WHEN :state = 'completed' THEN now() END
FROM flows, generate_series(1, :count)
"""
_EXPLAINED = {"log_min_duration": 0, "log_analyze": "on", "log_nested_statements": "on"}


@pytest.fixture
def database(settings: Settings) -> Iterator[Database]:
    opened = Database(settings.require_database_url())
    yield opened
    opened.dispose()


@pytest.fixture
def flow(database: Database) -> Flow:
    return add_flow(database)


@pytest.fixture
def connection(database: Database, flow: Flow) -> Iterator[Connection]:
    """One transaction, which is rolled back."""
    with database.engine.connect() as opened:
        yield opened


def add(connection: Connection, state: str, *, count: int) -> None:
    connection.execute(text(_ADD), {"state": state, "count": count})


def nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for below in plan.get("Plans", ()):
        yield from nodes(below)


def test_a_backlog_that_has_just_come_is_not_looked_through_for_one_task(
    connection: Connection,
) -> None:
    """Although all that PostgreSQL has ever seen of tasks was completed."""
    add(connection, "completed", count=3_000)
    connection.execute(text("ANALYZE tasks"))
    add(connection, "pending", count=3_000)
    plan = """
        EXPLAIN (FORMAT JSON) SELECT FROM (SELECT id FROM tasks ORDER BY turn_at LIMIT 1) best
        JOIN tasks t USING (id) WHERE t.state IN ('pending', 'waiting')
    """
    [told] = connection.execute(text(plan)).scalar_one()

    used = {node["Index Name"] for node in nodes(told["Plan"]) if "Index Name" in node}
    assert used == {"pk_tasks"}


def test_many_rows_are_not_compared_with_each_other_because_it_was_one_before(
    database: Database, flow: Flow
) -> None:
    """The trigger that records changes plans its joins once in a session."""
    raw: Any = database.engine.raw_connection()
    notices = raw.dbapi_connection.notices
    with raw.cursor() as cursor:
        cursor.execute("LOAD 'auto_explain'")
        for name, value in {**_EXPLAINED, "log_format": "json", "log_level": "notice"}.items():
            cursor.execute(f"SET auto_explain.{name} = '{value}'")
        for count in (1, 300):
            statement = _ADD.replace(":state", "'pending'").replace(":count", str(count))
            cursor.execute(statement)
            del notices[:]
            cursor.execute("UPDATE tasks SET state = 'queued' WHERE state = 'pending'")
    raw.rollback()
    raw.close()

    told = [json.loads(notice.partition("plan:\n")[2]) for notice in notices if "plan:" in notice]
    scans = [
        node
        for each in told
        for node in nodes(each["Plan"])
        if node["Node Type"] == "Named Tuplestore Scan"
    ]
    assert max(node["Actual Loops"] for node in scans) == 1
    assert max(node["Actual Rows"] for node in scans) == 300
