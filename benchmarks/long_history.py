"""Fills a database with tasks of 60 days, each with attempt, events and log, as fast as it can."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import partial

from sqlalchemy import Connection, Engine, Index, create_engine, text

from automagik.core.database.models import metadata
from automagik.core.database.session import Database
from benchmarks.report import say
from benchmarks.rows import analyze

FLOWS, SCHEDULES, WORKERS = 50, 200, 8
DAYS = timedelta(days=60)
_CHUNK = 50_000
_AT_ONCE = 2
_NUMBERS = {"flows": FLOWS, "schedules": SCHEDULES, "workers": WORKERS}

_BEGIN = """
INSERT INTO sources (id, name, url, max_parallel_runs)
VALUES (gen_random_uuid(), 'history', 'http://127.0.0.1:9', 1000000);
INSERT INTO flows (id, source_id, remote_id, name, version_id)
SELECT gen_random_uuid(), s.id, n, 'flow-' || n, gen_random_uuid()
FROM sources s, generate_series(1, :flows) n;
INSERT INTO flow_versions (id, flow_id, number, content_hash, definition)
SELECT version_id, id, 1, 'history', '{}' FROM flows;
INSERT INTO schedules (id, name, flow_id, type, expr, timezone, anchor_at, status)
SELECT gen_random_uuid(), 'schedule-' || n, f.id, 'interval', '5m', 'UTC', now(), 'paused'
FROM generate_series(1, :schedules) n JOIN flows f ON f.name = 'flow-' || (1 + n % :flows);
INSERT INTO workers (id, name, hostname, pid, pool, slots, queues, version)
SELECT gen_random_uuid(), 'worker@host-' || n, 'host-' || n, n, 'threads', 10, '{automagik}', '0'
FROM generate_series(1, :workers) n
"""
_NUMBERED = """
CREATE TABLE numbered_{nouns} AS
SELECT row_number() OVER (ORDER BY {order}) {shift} AS number, * FROM {nouns}
"""
_ORDERS = {
    "flows": ("length(name), name", ""),
    "schedules": ("name", "- 1"),
    "workers": ("name", "- 1"),
}
# Ids are UUIDv7 of the instant of creation. Flow 1 has half of the tasks, flow 50 next to none. One
# of a thousand was paused and forgotten.
_TASKS = """
WITH made AS (
    INSERT INTO tasks (id, flow_id, flow_version_id, source_id, schedule_id, scheduled_for,
        input_value, tweaks, max_retries, max_attempts, timeout_seconds, state, run_at, attempt,
        worker_id, result, output_text, error_code, error_message, created_at, queued_at,
        started_at, finished_at)
    SELECT (lpad(to_hex((extract(epoch FROM d.at) * 1000)::bigint), 12, '0') || '7'
            || lpad(to_hex(n % 4096), 3, '0') || '8' || lpad(to_hex(n), 15, '0'))::uuid,
        f.id, f.version_id, f.source_id, s.id, CASE WHEN s.id IS NOT NULL THEN d.at END,
        'Tell me something about number ' || n, '{}', 3, 4, 600, d.state, d.at,
        CASE WHEN d.state = 'paused' THEN 0 ELSE 1 END,
        CASE WHEN d.state <> 'paused' THEN w.id END,
        CASE WHEN d.state = 'completed'
            THEN jsonb_build_object('outputs', repeat(md5(n::text), 6)) END,
        CASE WHEN d.state = 'completed' THEN repeat(md5(n::text), 3) END,
        CASE WHEN d.state = 'failed'
            THEN (ARRAY['AM-SRC', 'AM-TIMEOUT', 'worker_lost'])[1 + n % 3] END,
        CASE WHEN d.state = 'failed' THEN 'There is no city number ' || n END,
        d.at, d.at, CASE WHEN d.state <> 'paused' THEN d.at + interval '50 ms' END,
        CASE WHEN d.state <> 'paused'
            THEN d.at + interval '50 ms' + n % 9000 * interval '1 ms' END
    FROM generate_series(CAST(:first AS bigint), CAST(:last AS bigint)) n
    CROSS JOIN LATERAL (
        SELECT CAST(:begin AS timestamptz) + n * CAST(:step AS interval) AS at,
            CASE WHEN n % 1000 = 0 THEN 'paused' WHEN n % 100 < 7 THEN 'failed'
                WHEN n % 100 < 10 THEN 'cancelled' ELSE 'completed' END AS state,
            -- Half of what is left goes to the next flow.
            least(:flows, 1 + floor(-log(2, 1 - random()::numeric))) AS flow
    ) d
    JOIN numbered_flows f ON f.number = d.flow
    LEFT JOIN numbered_schedules s ON s.number = n % (2 * :schedules)
    JOIN numbered_workers w ON w.number = abs(hashint8(n)) % :workers
    RETURNING id, attempt, worker_id, state, created_at, started_at, finished_at
), attempted AS (
    INSERT INTO task_attempts (task_id, attempt, worker_id, worker_name, started_at, finished_at,
        outcome)
    SELECT id, 1, worker_id, 'worker', started_at, finished_at, state FROM made WHERE attempt = 1
), told AS (
    INSERT INTO task_events (task_id, attempt, from_state, to_state, actor, at)
    SELECT m.id, m.attempt, e.former, e.latter, 'history', m.created_at
    FROM made m CROSS JOIN LATERAL (VALUES (1, NULL, 'pending'), (1, 'pending', 'queued'),
        (1, 'queued', 'running'), (1, 'running', m.state), (0, NULL, 'pending'),
        (0, 'pending', 'paused')) e (attempt, former, latter)
    WHERE e.attempt = m.attempt
)
INSERT INTO task_logs (task_id, attempt, at, level, component, message)
SELECT m.id, 1, m.created_at, 'info', 'flow', 'line ' || line || ' of what it said'
FROM made m CROSS JOIN generate_series(1, :lines) line
"""
_FAST = ("SET session_replication_role = replica", "SET maintenance_work_mem = '1GB'")


def fill(database: Database, *, tasks: int, lines: int) -> None:
    """Unless there are any. Indexes come last, and no trigger fires: what is there then counts."""
    with _engine(database) as engine, engine.connect() as connection:
        if connection.scalar(text("SELECT EXISTS (SELECT FROM tasks)")):
            say("found what was filled before")
            return
        _begin(connection)
        for index in _indexes():
            index.drop(connection)
        _insert_all(engine, tasks=tasks, lines=lines)
        for index in _indexes():
            say(f"index {index.name}")
            index.create(connection)
    analyze(database)


@contextmanager
def _engine(database: Database) -> Iterator[Engine]:
    """The product's own connections give up on statements that take so long."""
    engine = create_engine(database.engine.url, isolation_level="AUTOCOMMIT")
    try:
        with _without_autovacuum(engine):
            yield engine
    finally:
        engine.dispose()


@contextmanager
def _without_autovacuum(engine: Engine) -> Iterator[None]:
    with engine.connect() as connection:
        connection.execute(text("ALTER SYSTEM SET autovacuum = off"))
        connection.execute(text("SELECT pg_reload_conf()"))
        yield
        connection.execute(text("ALTER SYSTEM RESET autovacuum"))
        connection.execute(text("SELECT pg_reload_conf()"))


def _indexes() -> list[Index]:
    """Those of tasks and their history; keys are none of them."""
    tables = [table for name, table in metadata.tables.items() if name.startswith("task")]
    return [index for table in tables for index in table.indexes]


def _begin(connection: Connection) -> None:
    for setting in _FAST:
        connection.execute(text(setting))
    for statement in _BEGIN.split(";"):
        wanted = {name: count for name, count in _NUMBERS.items() if f":{name}" in statement}
        connection.execute(text(statement), wanted)
    for nouns, (order, shift) in _ORDERS.items():
        statement = _NUMBERED.format(nouns=nouns, order=order, shift=shift)
        connection.execute(text(statement))


def _insert_all(engine: Engine, *, tasks: int, lines: int) -> None:
    arguments = {
        **_NUMBERS,
        "lines": lines,
        "begin": datetime.now(UTC) - DAYS,
        "step": DAYS / tasks,
    }
    insert = partial(_insert, engine, arguments, tasks)
    with ThreadPoolExecutor(_AT_ONCE) as executor:
        for last in executor.map(insert, range(1, tasks + 1, _CHUNK)):
            if last % 500_000 == 0:
                say(f"{last:,} tasks")


def _insert(engine: Engine, arguments: dict[str, object], tasks: int, first: int) -> int:
    last = min(first + _CHUNK - 1, tasks)
    with engine.connect() as connection:
        connection.execute(text(_FAST[0]))
        connection.execute(text(_TASKS), arguments | {"first": first, "last": last})
    return last
