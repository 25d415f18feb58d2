"""Rows that benchmarks work on, written as one statement each."""

import json
from datetime import datetime
from pathlib import Path

from sqlalchemy import create_engine, text

from automagik.core.database.session import WAKE, Database, notify

_ADD_FLOW = text("""
WITH source AS (
    INSERT INTO sources (id, name, url, max_parallel_runs)
    VALUES (gen_random_uuid(), :name, :url, :parallel) RETURNING id
), flow AS (
    INSERT INTO flows (id, source_id, remote_id, name, input_component, version_id)
    SELECT gen_random_uuid(), id, gen_random_uuid()::text, :name, :input, gen_random_uuid()
    FROM source RETURNING id, version_id
)
INSERT INTO flow_versions (id, flow_id, number, content_hash, definition)
SELECT version_id, id, 1, :name, CAST(:definition AS jsonb) FROM flow
""")

_ECHO = Path(__file__).parents[1] / "tests/data/langflow/flows/echo.json"
_ECHO_INPUT = "ChatInput-echo1"

# Intervals are spread evenly over their length, from `first_at` on. Of cron schedules each has the
# same instant, which is `first_at`.
_ADD_SCHEDULES = text("""
INSERT INTO schedules (id, name, flow_id, type, expr, timezone, anchor_at, next_run_at)
SELECT gen_random_uuid(), CAST(:prefix AS text) || n, f.id, :type, :expr, :timezone, due.at, due.at
FROM flows f, generate_series(0, :count - 1) n
CROSS JOIN LATERAL (
    SELECT CAST(:first_at AS timestamptz)
        + n / CAST(:together AS int) * CAST(:step AS interval) AS at
) due
WHERE f.name = :flow
""")

# Due since a microsecond after one another, so that they have an order.
_ADD_TASKS = text("""
INSERT INTO tasks (id, flow_id, flow_version_id, source_id, input_value, max_retries, max_attempts,
    timeout_seconds, state_actor, run_at)
SELECT uuidv7(), f.id, f.version_id, f.source_id, :input, 3, 4, 600, 'benchmark',
    now() - (:count - n) * interval '1 microsecond'
FROM flows f, generate_series(1, :count) n WHERE f.name = :flow
""")


def add_flow(
    database: Database, name: str, *, url: str = "http://127.0.0.1:9", parallel: int = 100_000
) -> None:
    """A source of that name with one flow of that name, and an empty definition."""
    _add_flow(database, name, url=url, parallel=parallel, definition={}, input=None)


def add_echo_flow(database: Database, name: str, *, url: str, parallel: int = 100_000) -> None:
    """The same with the definition of the echo flow of LangFlow's, which takes a chat's input."""
    definition = json.loads(_ECHO.read_text())["data"]
    _add_flow(database, name, url=url, parallel=parallel, definition=definition, input=_ECHO_INPUT)


def _add_flow(database: Database, name: str, *, definition: object, **columns: object) -> None:
    arguments = {"name": name, "definition": json.dumps(definition), **columns}
    with database.transaction() as connection:
        connection.execute(_ADD_FLOW, arguments)


def add_tasks(database: Database, flow: str, count: int, *, input_value: str = "") -> None:
    """Runs that are due, in their order; beats hear of them."""
    with database.long_transaction() as connection:
        connection.execute(_ADD_TASKS, {"flow": flow, "count": count, "input": input_value})
        notify(connection, WAKE)


def add_schedules(
    database: Database,
    flow: str,
    count: int,
    *,
    prefix: str,
    type: str,  # noqa: A002  (the column's name)
    expr: str,
    first_at: datetime,
    step: str = "0 s",
    together: int = 1,
    timezone: str = "UTC",
) -> None:
    """Schedules whose first occurrences lie `step` apart, so many together, from `first_at`."""
    with database.long_transaction() as connection:
        connection.execute(
            _ADD_SCHEDULES,
            {
                "flow": flow,
                "count": count,
                "prefix": prefix,
                "type": type,
                "expr": expr,
                "first_at": first_at,
                "step": step,
                "together": together,
                "timezone": timezone,
            },
        )


def analyze(database: Database) -> None:
    """What autovacuum and checkpoints would have done by the time that such a table has grown."""
    # The product's own connections give up on statements that take so long.
    engine = create_engine(database.engine.url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text("VACUUM (ANALYZE)"))
        connection.execute(text("CHECKPOINT"))
    engine.dispose()
