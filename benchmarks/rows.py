"""Rows that benchmarks work on, written as one statement each."""

from datetime import datetime

from sqlalchemy import text

from automagik.core.database.session import Database

_ADD_FLOW = text("""
WITH source AS (
    INSERT INTO sources (id, name, url, max_parallel_runs)
    VALUES (gen_random_uuid(), :name, :url, :parallel) RETURNING id
), flow AS (
    INSERT INTO flows (id, source_id, remote_id, name, version_id)
    SELECT gen_random_uuid(), id, gen_random_uuid()::text, :name, gen_random_uuid() FROM source
    RETURNING id, version_id
)
INSERT INTO flow_versions (id, flow_id, number, content_hash, definition)
SELECT version_id, id, 1, :name, '{}' FROM flow
""")

# Intervals are spread evenly over their length, from `first_at` on. Of cron schedules each has the
# same instant, which is `first_at`.
_ADD_SCHEDULES = text("""
INSERT INTO schedules (id, name, flow_id, type, expr, timezone, anchor_at, next_run_at)
SELECT gen_random_uuid(), CAST(:prefix AS text) || n, f.id, :type, :expr, :timezone, due.at, due.at
FROM flows f, generate_series(0, :count - 1) n
CROSS JOIN LATERAL (
    SELECT CAST(:first_at AS timestamptz) + n * CAST(:step AS interval) AS at
) due
WHERE f.name = :flow
""")


def add_flow(
    database: Database, name: str, *, url: str = "http://127.0.0.1:9", parallel: int = 100_000
) -> None:
    """A source of that name with one flow of that name, and an empty definition."""
    with database.transaction() as connection:
        connection.execute(_ADD_FLOW, {"name": name, "url": url, "parallel": parallel})


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
    timezone: str = "UTC",
) -> None:
    """Schedules whose first occurrences lie `step` apart, beginning with `first_at`."""
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
                "timezone": timezone,
            },
        )


def analyze(database: Database) -> None:
    """What autovacuum would have done by the time that such a table has grown."""
    with database.long_transaction() as connection:
        connection.execute(text("ANALYZE"))
