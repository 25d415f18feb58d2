"""What an idle beat costs: 10,000 schedules that are all hours away.

    uv run python benchmarks/idle.py [--schedules 10000] [--seconds 60]

Starts its own PostgreSQL and Redis in a temporary folder, one beat and one worker, waits until they
have settled, then counts their processor time and every row that is written. Prints JSON.
"""

import argparse
import json
import os
import sys
import tempfile
import time
from pathlib import Path

import psutil
from cryptography.fernet import Fernet
from sqlalchemy import text

from automagik.core.config import with_driver
from automagik.core.database.migrate import upgrade
from automagik.core.database.session import Database
from automagik.core.embedded.postgres import EmbeddedPostgres
from automagik.core.embedded.processes import ChildProcess
from automagik.core.embedded.redis_server import EmbeddedRedis

SETTLE_SECONDS = 10

# One source and one flow are enough: idle schedules are never joined with them.
FILL = """
WITH source AS (
    INSERT INTO sources (id, name, url) VALUES (gen_random_uuid(), 'idle', 'http://127.0.0.1:9')
    RETURNING id
), flow AS (
    INSERT INTO flows (id, source_id, remote_id, name, version_id)
    SELECT gen_random_uuid(), id, 'idle', 'idle', gen_random_uuid() FROM source
    RETURNING id, version_id
), version AS (
    INSERT INTO flow_versions (id, flow_id, number, content_hash, definition)
    SELECT version_id, id, 1, 'idle', '{}' FROM flow
)
INSERT INTO schedules (id, name, flow_id, type, expr, timezone, anchor_at, next_run_at)
SELECT gen_random_uuid(), 'idle-' || n, flow.id, 'interval', '1d', 'UTC', now(),
    now() + interval '5 hours' + n * interval '1 second'
FROM flow, generate_series(1, :schedules) n
"""

WRITES = """
SELECT relname, n_tup_ins + n_tup_upd + n_tup_del AS written FROM pg_stat_user_tables
WHERE n_tup_ins + n_tup_upd + n_tup_del > 0
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--schedules", type=int, default=10_000)
    parser.add_argument("--seconds", type=float, default=60.0)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="automagik-benchmark-") as folder:
        home = Path(folder)
        home.chmod(0o711)
        postgres, redis = EmbeddedPostgres(home), EmbeddedRedis(home)
        try:
            measured = measure(postgres.start(), redis.start(), home, arguments)
        finally:
            redis.stop()
            postgres.stop()
    print(json.dumps(measured, indent=2))


def measure(
    database_url: str, redis_url: str, home: Path, arguments: argparse.Namespace
) -> dict[str, object]:
    upgrade(database_url)
    database = Database(with_driver(database_url))
    with database.transaction() as connection:
        connection.execute(text(FILL), {"schedules": arguments.schedules})
        connection.execute(text("ANALYZE"))
    children = [start(name, database_url, redis_url, home) for name in ("worker", "beat")]
    try:
        time.sleep(SETTLE_SECONDS)
        processes = {child.name: psutil.Process(child.pid) for child in children}
        before = {name: cpu_seconds(p) for name, p in processes.items()}
        written_before = written(database)
        time.sleep(arguments.seconds)
        # PostgreSQL publishes its counters with a delay.
        time.sleep(1)
        span = arguments.seconds + 1
        return {
            "schedules": arguments.schedules,
            "seconds": span,
            "core_percent": {
                name: round(100 * (cpu_seconds(p) - before[name]) / span, 3)
                for name, p in processes.items()
            },
            "memory_mb": {
                name: round(p.memory_info().rss / 1e6, 1) for name, p in processes.items()
            },
            "rows_written": {
                table: count - written_before.get(table, 0)
                for table, count in written(database).items()
                if count != written_before.get(table, 0)
            },
        }
    finally:
        for child in reversed(children):
            child.stop()
        database.dispose()


def start(name: str, database_url: str, redis_url: str, home: Path) -> ChildProcess:
    child = ChildProcess(
        name,
        (sys.executable, "-m", "celery", "-A", "automagik", name, "--loglevel", "WARNING"),
        log_path=home / f"{name}.log",
        env=os.environ
        | {
            "DATABASE_URL": database_url,
            "REDIS_URL": redis_url,
            "AUTOMAGIK_HOME": str(home),
            "AUTOMAGIK_SECRET_KEY": Fernet.generate_key().decode(),
        },
    )
    child.start()
    return child


def cpu_seconds(process: psutil.Process) -> float:
    times = process.cpu_times()
    return times.user + times.system


def written(database: Database) -> dict[str, int]:
    with database.transaction() as connection:
        return {row.relname: row.written for row in connection.execute(text(WRITES))}


if __name__ == "__main__":
    main()
