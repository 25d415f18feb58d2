"""Many runs at once, as one statement: workers must not be faster than the test."""

from sqlalchemy import text

from tests.system.fleet import Fleet

_ADD = text("""
INSERT INTO tasks (id, flow_id, flow_version_id, source_id, max_retries, max_attempts,
    timeout_seconds, tweaks)
SELECT gen_random_uuid(), id, version_id, source_id, 0, 1, 60,
    jsonb_build_object(
        'SleepComponent-slow', jsonb_build_object('seconds', CAST(:seconds AS float8)))
FROM flows, generate_series(1, :count) WHERE name = 'Slow'
""")


def add_slow_runs(fleet: Fleet, count: int, *, seconds: float) -> None:
    """Without a retry. It does with the schema of the previous version, too."""
    with fleet.database.transaction() as connection:
        connection.execute(_ADD, {"count": count, "seconds": seconds})
