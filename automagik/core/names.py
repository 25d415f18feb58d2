"""What there is, by the names that people type: read without SQLAlchemy, which takes its time."""

from enum import StrEnum
from typing import Any

_CONNECT_SECONDS = 2
_STATEMENT_MILLISECONDS = 500
_MANY = 1000


class Kind(StrEnum):
    """What has names or ids."""

    SOURCES = "sources"
    FLOWS = "flows"
    SCHEDULES = "schedules"
    CALENDARS = "calendars"
    QUEUES = "queues"
    WORKERS = "workers"
    TASKS = "tasks"
    BACKFILLS = "backfills"


# Each gives a name and a few words about it. Tasks are found by their key: it sorts by creation.
_QUERIES = {
    Kind.SOURCES: "SELECT name, coalesce('LangFlow ' || version, '') FROM sources ORDER BY name",
    Kind.FLOWS: """
SELECT CASE WHEN count(*) OVER (PARTITION BY flows.name) > 1
        THEN sources.name || '/' || flows.name ELSE flows.name END AS reference,
    CASE WHEN gone_at IS NULL THEN 'of ' ELSE 'gone from ' END || sources.name
FROM flows JOIN sources ON sources.id = source_id
ORDER BY gone_at IS NOT NULL, reference
""",
    Kind.SCHEDULES: """
SELECT schedules.name, schedules.status || ', ' || flows.name
FROM schedules JOIN flows ON flows.id = flow_id
ORDER BY schedules.name
""",
    Kind.CALENDARS: "SELECT name, '' FROM calendars ORDER BY name",
    Kind.QUEUES: """
SELECT name, CASE WHEN paused_at IS NULL THEN '' ELSE 'paused' END
FROM queues FULL JOIN
    (SELECT DISTINCT unnest(queues) AS name FROM workers WHERE status = 'online') bound
    USING (name)
ORDER BY name
""",
    Kind.WORKERS: """
SELECT name, min(hostname) FROM workers GROUP BY name ORDER BY max(heartbeat_at) DESC
""",
    Kind.TASKS: """
SELECT tasks.id::text, state || ', ' || flows.name
FROM (SELECT id, state, flow_id FROM tasks ORDER BY id DESC LIMIT 50) tasks
JOIN flows ON flows.id = flow_id
ORDER BY tasks.id DESC
""",
    Kind.BACKFILLS: """
SELECT backfills.id::text, state || ', ' || schedules.name
FROM backfills JOIN schedules ON schedules.id = schedule_id
ORDER BY backfills.id DESC LIMIT 50
""",
}


def read_names(url: str, kind: Kind) -> list[tuple[str, str]]:
    """At most a thousand. Gives up soon, with one of psycopg2's errors."""
    import psycopg2

    scheme, _, rest = url.partition("://")
    connection: Any = psycopg2.connect(
        f"{scheme.partition('+')[0]}://{rest}",
        connect_timeout=_CONNECT_SECONDS,
        application_name="automagik completion",
    )
    try:
        with connection.cursor() as cursor:
            # Not as an option of the connection: poolers refuse these.
            cursor.execute(f"SET LOCAL statement_timeout = {_STATEMENT_MILLISECONDS}")
            cursor.execute(_QUERIES[kind])
            found: list[tuple[str, str]] = cursor.fetchmany(_MANY)
            return found
    finally:
        connection.close()
