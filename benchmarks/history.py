"""What reading costs when there is a long history: 10 million tasks, each with attempt and events.

    uv run python benchmarks/history.py [--tasks 10000000] [--lines 5] [--looks 200] [--home DIR]

Fills a PostgreSQL of its own (or finds the one that --home has kept) with tasks of 60 days, then
asks for pages of lists with random filters, for single tasks, for figures and for failures, and
prints how long the answers took: JSON on stdout, progress on stderr.
"""

import argparse
import json
import random
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

from sqlalchemy import Connection, Index, create_engine, text

from automagik.core.config import Settings, with_driver
from automagik.core.database.migrate import upgrade
from automagik.core.database.models import metadata
from automagik.core.database.session import Database
from automagik.core.embedded.postgres import EmbeddedPostgres
from automagik.core.tasks.listing import TaskFilter
from automagik.core.tasks.manager import TaskManager
from automagik.core.tasks.states import TaskState

FLOWS, SCHEDULES, WORKERS = 50, 200, 8
DAYS = timedelta(days=60)
CHUNK = 250_000

# Ids are UUIDv7 of the instant of creation. Flow 1 has half of the tasks, flow 50 next to none.
BEGIN = """
INSERT INTO sources (id, name, url) VALUES (gen_random_uuid(), 'history', 'http://127.0.0.1:9');
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
FROM generate_series(1, :workers) n;
"""
TASKS = """
INSERT INTO tasks (id, flow_id, flow_version_id, source_id, schedule_id, scheduled_for, input_value,
    tweaks, max_retries, max_attempts, timeout_seconds, state, run_at, attempt, worker_id, result,
    output_text, error_code, error_message, created_at, queued_at, started_at, finished_at)
SELECT (lpad(to_hex((extract(epoch FROM d.at) * 1000)::bigint), 12, '0') || '7'
        || lpad(to_hex(n % 4096), 3, '0') || '8' || lpad(to_hex(n), 15, '0'))::uuid,
    f.id, f.version_id, f.source_id, s.id, CASE WHEN s.id IS NOT NULL THEN d.at END,
    'Tell me something about number ' || n, '{}', 3, 4, 600, d.state, d.at,
    CASE WHEN d.state = 'pending' THEN 0 ELSE 1 END, CASE WHEN d.state <> 'pending' THEN w.id END,
    CASE WHEN d.state = 'completed' THEN jsonb_build_object('outputs', repeat(md5(n::text), 6)) END,
    CASE WHEN d.state = 'completed' THEN repeat(md5(n::text), 3) END,
    CASE WHEN d.state = 'failed' THEN (ARRAY['AM-SRC', 'AM-TIMEOUT', 'worker_lost'])[1 + n % 3] END,
    CASE WHEN d.state = 'failed' THEN 'There is no city number ' || n END,
    d.at, d.at, CASE WHEN d.state <> 'pending' THEN d.at + interval '50 ms' END,
    CASE WHEN d.state <> 'pending' THEN d.at + interval '50 ms' + n % 9000 * interval '1 ms' END
FROM generate_series(CAST(:first AS bigint), CAST(:last AS bigint)) n
CROSS JOIN LATERAL (
    SELECT CAST(:begin AS timestamptz) + n * CAST(:step AS interval) AS at,
        CASE WHEN n % 1000 = 0 THEN 'pending' WHEN n % 100 < 7 THEN 'failed'
            WHEN n % 100 < 10 THEN 'cancelled' ELSE 'completed' END AS state,
        -- Half of what is left goes to the next flow.
        least(:flows, 1 + floor(-log(2, 1 - random()::numeric))) AS flow
) d
JOIN numbered_flows f ON f.number = d.flow
LEFT JOIN numbered_schedules s ON s.number = n % (2 * :schedules)
JOIN numbered_workers w ON w.number = abs(hashint8(n)) % :workers
"""
NUMBERED = """
CREATE TABLE numbered_{nouns} AS
SELECT row_number() OVER (ORDER BY {order}) {shift} AS number, * FROM {nouns}
"""
REST = """
INSERT INTO task_attempts (task_id, attempt, worker_id, worker_name, started_at, finished_at,
    outcome)
SELECT id, 1, worker_id, 'worker', started_at, finished_at,
    CASE WHEN state IN ('completed', 'failed', 'cancelled') THEN state END
FROM tasks WHERE id BETWEEN :low AND :high AND attempt = 1;
INSERT INTO task_events (task_id, attempt, from_state, to_state, actor, at)
SELECT t.id, 1, e.former, e.latter, 'history', t.created_at
FROM tasks t CROSS JOIN LATERAL (VALUES (NULL, 'pending'), ('pending', 'queued'),
    ('queued', 'running'), ('running', t.state)) e (former, latter)
WHERE t.id BETWEEN :low AND :high AND (t.attempt = 1 OR e.former IS NULL);
INSERT INTO task_logs (task_id, attempt, at, level, component, message)
SELECT t.id, 1, t.created_at, 'info', 'flow', 'line ' || line || ' of what it said'
FROM tasks t CROSS JOIN generate_series(1, :lines) line WHERE t.id BETWEEN :low AND :high
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tasks", type=int, default=10_000_000)
    parser.add_argument("--lines", type=int, default=5, help="of log for each task")
    parser.add_argument("--looks", type=int, default=200, help="of each kind")
    parser.add_argument("--home", type=Path, help="where the database is kept for the next time")
    arguments = parser.parse_args()
    if arguments.home is not None:
        arguments.home.mkdir(mode=0o711, parents=True, exist_ok=True)
        run(arguments.home, arguments)
        return
    with tempfile.TemporaryDirectory(prefix="automagik-benchmark-") as folder:
        Path(folder).chmod(0o711)
        run(Path(folder), arguments)


def run(home: Path, arguments: argparse.Namespace) -> None:
    postgres = EmbeddedPostgres(home)
    try:
        url = postgres.start()
        upgrade(url)
        fill(url, arguments)
        database = Database(with_driver(url))
        print(json.dumps(measure(database, arguments), indent=2))
        database.dispose()
    finally:
        postgres.stop()


def fill(url: str, arguments: argparse.Namespace) -> None:
    """Indexes come last, and no trigger fires: only what is there then counts."""
    # The product's own connections give up on statements that take so long.
    engine = create_engine(with_driver(url), isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        if connection.scalar(text("SELECT EXISTS (SELECT FROM tasks)")):
            say("found what was filled before")
        else:
            connection.execute(text("SET session_replication_role = replica"))
            begin(connection)
            for index in indexes():
                index.drop(connection)
            insert_all(connection, arguments)
        for index in indexes():
            say(f"index {index.name}")
            index.create(connection, checkfirst=True)
        connection.execute(text("VACUUM ANALYZE"))
    engine.dispose()


def indexes() -> list[Index]:
    """Those of tasks and their history; keys are none of them."""
    tables = [table for name, table in metadata.tables.items() if name.startswith("task")]
    return [index for table in tables for index in table.indexes]


def begin(connection: Connection) -> None:
    numbers = {"flows": FLOWS, "schedules": SCHEDULES, "workers": WORKERS}
    for statement in filter(str.strip, BEGIN.split(";")):
        wanted = {name: count for name, count in numbers.items() if f":{name}" in statement}
        connection.execute(text(statement), wanted)
    for nouns, order in (
        ("flows", "length(name), name"),
        ("schedules", "name"),
        ("workers", "name"),
    ):
        shift = "" if nouns == "flows" else "- 1"
        connection.execute(text(NUMBERED.format(nouns=nouns, order=order, shift=shift)))


def insert_all(connection: Connection, arguments: argparse.Namespace) -> None:
    start = datetime.now(UTC) - DAYS
    numbers = {"flows": FLOWS, "schedules": SCHEDULES, "workers": WORKERS}
    step, low = DAYS / arguments.tasks, "00000000-0000-0000-0000-000000000000"
    for first in range(1, arguments.tasks + 1, CHUNK):
        last = min(first + CHUNK - 1, arguments.tasks)
        bounds = {"first": first, "last": last, "begin": start, "step": step}
        connection.execute(text(TASKS), numbers | bounds)
        high = connection.scalar(text("SELECT id FROM tasks ORDER BY id DESC LIMIT 1"))
        for statement in REST.split(";"):
            limits = {"low": low, "high": high, "lines": arguments.lines}
            used = {name: value for name, value in limits.items() if f":{name}" in statement}
            connection.execute(text(statement), used)
        # Ids grow from chunk to chunk.
        low = str(UUID(int=UUID(str(high)).int + 1))
        say(f"{last:,} tasks")


def measure(database: Database, arguments: argparse.Namespace) -> dict[str, object]:
    tasks = TaskManager(database, Settings())
    chance = random.Random(11)
    kinds = {name: look(tasks, chance) for name, look in LOOKS.items()}
    answers = {name: timed(ask, arguments.looks) for name, ask in kinds.items()}
    with database.transaction() as connection:
        size = connection.scalar(
            text("SELECT pg_size_pretty(pg_database_size(current_database()))")
        )
        counted = connection.scalar(text("SELECT count(*) FROM tasks"))
    return {"tasks": counted, "size": size, "milliseconds": answers}


def timed(ask: Callable[[], object], looks: int) -> dict[str, float]:
    spans = []
    for _ in range(looks):
        began = time.perf_counter()
        ask()
        spans.append(1000 * (time.perf_counter() - began))
    spans.sort()
    quantile = {"p50": 0.5, "p95": 0.95, "p99": 0.99}
    return {name: round(spans[int(share * (looks - 1))], 1) for name, share in quantile.items()}


def page_of(
    tasks: TaskManager, draw: Callable[[], TaskFilter], *, pages: int = 1
) -> Callable[[], object]:
    def ask() -> None:
        wanted, after = draw(), None
        for _ in range(pages):
            after = tasks.list(wanted, after=after).following

    return ask


def moment(chance: random.Random) -> datetime:
    return datetime.now(UTC) - DAYS * chance.random()


def flow(chance: random.Random) -> str:
    return f"flow-{chance.randint(1, 20)}"


def schedule(chance: random.Random) -> str:
    return f"schedule-{chance.randint(1, SCHEDULES)}"


def state(chance: random.Random) -> tuple[TaskState, ...]:
    return tuple(chance.sample(list(TaskState), k=chance.randint(1, 3)))


Look = Callable[[TaskManager, random.Random], Callable[[], object]]
LOOKS: dict[str, Look] = {
    "list": lambda tasks, _: page_of(tasks, TaskFilter),
    "list --flow": lambda tasks, chance: page_of(tasks, lambda: TaskFilter(flow=flow(chance))),
    "list --schedule": lambda tasks, chance: page_of(
        tasks, lambda: TaskFilter(schedule=schedule(chance))
    ),
    "list --state": lambda tasks, chance: page_of(tasks, lambda: TaskFilter(states=state(chance))),
    "list --flow --state": lambda tasks, chance: page_of(
        tasks, lambda: TaskFilter(flow=flow(chance), states=state(chance))
    ),
    "list --schedule --state": lambda tasks, chance: page_of(
        tasks, lambda: TaskFilter(schedule=schedule(chance), states=state(chance))
    ),
    "list --since --until": lambda tasks, chance: page_of(
        tasks, lambda: TaskFilter(until=moment(chance), since=datetime.now(UTC) - DAYS)
    ),
    "list --until --flow --state": lambda tasks, chance: page_of(
        tasks,
        lambda: TaskFilter(until=moment(chance), flow=flow(chance), states=state(chance)),
    ),
    "list --error-code": lambda tasks, chance: page_of(
        tasks, lambda: TaskFilter(error_code=chance.choice(["AM-SRC", "worker_lost", "AM-NONE"]))
    ),
    "list --worker": lambda tasks, chance: page_of(
        tasks, lambda: TaskFilter(worker=f"host-{chance.randint(1, WORKERS)}")
    ),
    "list --worker --state": lambda tasks, chance: page_of(
        tasks,
        lambda: TaskFilter(worker=f"host-{chance.randint(1, WORKERS)}", states=state(chance)),
    ),
    "list --search, one page": lambda tasks, chance: page_of(
        tasks, lambda: TaskFilter(search=f"number {chance.randint(1, 10**7)}")
    ),
    "ten pages of a list": lambda tasks, chance: page_of(
        tasks, lambda: TaskFilter(until=moment(chance)), pages=10
    ),
    "show": lambda tasks, chance: lambda: show(tasks, chance),
    "stats of a day": lambda tasks, _: lambda: tasks.stats(age=timedelta(days=1)),
    "failures of a day": lambda tasks, _: lambda: tasks.failures(age=timedelta(days=1)),
}


def show(tasks: TaskManager, chance: random.Random) -> None:
    [task] = tasks.list(TaskFilter(until=moment(chance)), limit=1).tasks
    tasks.attempts(task.id)
    tasks.events(task.id)
    list(tasks.logs(task.id))


def say(words: str) -> None:
    sys.stderr.write(f"{time.strftime('%H:%M:%S')} {words}\n")
    sys.stderr.flush()


if __name__ == "__main__":
    main()
