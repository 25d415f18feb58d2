"""Gauges: what is so right now, by a few short queries."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from datetime import timedelta

from sqlalchemy import Connection, RowMapping, text

from automagik.core.config import Settings
from automagik.core.health.facts import open_tasks
from automagik.core.metrics import families
from automagik.core.metrics.families import Family
from automagik.core.metrics.flow_names import label
from automagik.core.metrics.sums import Labels
from automagik.core.queues import BACKLOGS, DUE, MOST_COUNTED
from automagik.core.tasks.states import TaskState
from automagik.core.tasks.workers import Beat, Worker, list_beats, list_workers

MOST_SCHEDULES = 100_000
"""Of more no index says how many have which status."""

Sample = tuple[Family, Labels, float]

# Each from one end of an index or from a small table. PostgreSQL says how many schedules there are
# without a look at them.
_SCALARS = text("""
SELECT date_part('epoch', now()) AS now,
    (SELECT date_part('epoch', max(last_tick_at)) FROM beats) AS last_tick,
    (
        SELECT date_part('epoch', now() - min(next_run_at)) FROM schedules
        WHERE status = 'active' AND next_run_at <= now()
    ) AS overdue,
    (SELECT date_part('epoch', now() - min(ended_at)) FROM follow_ups) AS follow_up,
    (SELECT reltuples FROM pg_class WHERE oid = CAST('schedules' AS regclass)) AS schedules
""")

_SCHEDULES = text("SELECT status, count(*) AS count FROM schedules GROUP BY status")

_SOURCES = text("""
SELECT name, breaker_opened_at IS NOT NULL AS is_down, breaker_failures,
    disabled_at IS NOT NULL AS is_disabled
FROM sources
""")

_QUEUES = text("SELECT name, paused_at IS NOT NULL AS is_paused FROM queues")

# What waits for a paused queue, a disabled source or one that is down has no age that would worry.
_BACKLOG = text(f"""
WITH RECURSIVE {BACKLOGS}
SELECT b.queue, s.name AS source, found.due,
    CASE WHEN s.disabled_at IS NULL AND s.breaker_opened_at IS NULL AND q.paused_at IS NULL
        THEN date_part('epoch', now() - found.oldest) END AS oldest
FROM backlogs b CROSS JOIN LATERAL ({DUE}) found
JOIN sources s ON s.id = b.source_id LEFT JOIN queues q ON q.name = b.queue
WHERE found.due > 0
""")  # noqa: S608  (constants)

_SENT = text("""
SELECT t.queue, date_part('epoch', now() - min(t.run_at)) AS oldest
FROM tasks t LEFT JOIN queues q ON q.name = t.queue
WHERE t.state = 'queued' AND q.paused_at IS NULL GROUP BY t.queue
""")

_RUNNING = text("SELECT queue, count(*) AS count FROM tasks WHERE state = 'running' GROUP BY queue")


def read_moment(connection: Connection, settings: Settings) -> Sequence[Sample]:
    """Raises DatabaseUnreachable."""
    lease = timedelta(seconds=settings.lease_seconds)
    workers = list_workers(connection, lease=lease)
    beats = [beat for beat in list_beats(connection, lease=lease) if beat.is_live]
    live = [worker for worker in workers if worker.is_live]
    return [
        *_tasks(connection),
        *_scalars(connection),
        *_queues(connection, settings.queue, live),
        *_sources(connection),
        *_workers(workers),
        (families.BEATS, (), len(beats)),
        *_processes(beats, live),
    ]


def queue_names(samples: Iterable[Sample]) -> list[str]:
    """Of the queues that are known."""
    return [labels[0] for family, labels, _ in samples if family is families.QUEUE_PAUSED]


def _tasks(connection: Connection) -> Iterator[Sample]:
    found = open_tasks(connection)
    for state in TaskState:
        if not state.is_final:
            yield families.TASKS, (state,), found.get(state, 0)


def _scalars(connection: Connection) -> Iterator[Sample]:
    found = connection.execute(_SCALARS).mappings().one()
    yield families.DATABASE_TIME, (), found["now"]
    if found["last_tick"] is not None:
        yield families.LAST_TICK, (), found["last_tick"]
    yield families.OVERDUE, (), found["overdue"] or 0
    yield families.OLDEST_FOLLOW_UP, (), found["follow_up"] or 0
    if found["schedules"] <= MOST_SCHEDULES:
        statuses = {row.status: row[1] for row in connection.execute(_SCHEDULES)}
        for status in ("active", "paused", "completed", "error"):
            yield families.SCHEDULES, (status,), statuses.get(status, 0)


def _queues(connection: Connection, default: str, live: Sequence[Worker]) -> Iterator[Sample]:
    paused = {row.name: row.is_paused for row in connection.execute(_QUEUES)}
    backlog = connection.execute(_BACKLOG, {"most": MOST_COUNTED}).mappings().all()
    sent = connection.execute(_SENT).mappings().all()
    running = {row.queue: row[1] for row in connection.execute(_RUNNING)}
    for row in backlog:
        yield families.TASKS_DUE, (label(row["queue"]), label(row["source"])), row["due"]
    oldest = _oldest([*backlog, *sent])
    online = [worker for worker in live if worker.status == "online"]
    taken = {name for worker in live for name in worker.queues}
    waited = {row["queue"] for row in backlog}
    for name in sorted({default, *paused, *oldest, *taken, *running, *waited}):
        labels, takers = (label(name),), [each for each in online if name in each.queues]
        yield families.QUEUE_PAUSED, labels, paused.get(name, False)
        yield families.OLDEST_PENDING, labels, oldest.get(name, 0)
        yield families.QUEUE_WORKERS, labels, len(takers)
        yield families.QUEUE_SLOTS, labels, sum(each.slots for each in takers)
        yield families.QUEUE_RUNNING, labels, running.get(name, 0)


def _oldest(rows: Iterable[RowMapping]) -> dict[str, float]:
    found: dict[str, float] = {}
    for row in rows:
        if row["oldest"] is not None:
            found[row["queue"]] = max(row["oldest"], found.get(row["queue"], 0))
    return found


def _sources(connection: Connection) -> Iterator[Sample]:
    for row in connection.execute(_SOURCES):
        labels = (label(row.name),)
        yield families.BREAKER_OPEN, labels, row.is_down
        yield families.IN_A_ROW, labels, row.breaker_failures
        yield families.DISABLED, labels, row.is_disabled


def _workers(workers: Iterable[Worker]) -> Iterator[Sample]:
    states = Counter(map(_state, workers))
    for state in ("online", "draining", "silent", "lost"):
        yield families.WORKERS, (state,), states[state]
    live = [worker for worker in workers if worker.is_live]
    busy = sum(worker.busy for worker in live)
    yield families.SLOTS, ("busy",), busy
    yield families.SLOTS, ("free",), max(0, sum(worker.slots for worker in live) - busy)


def _state(worker: Worker) -> str:
    says_it_lives = worker.status in ("online", "draining")
    return "silent" if says_it_lives and not worker.is_live else worker.status


def _processes(beats: Sequence[Beat], workers: Sequence[Worker]) -> Iterator[Sample]:
    versions = Counter(("beat", each.version) for each in beats)
    versions.update(("worker", each.version) for each in workers)
    for labels, count in sorted(versions.items()):
        yield families.PROCESSES, labels, count
    both: Sequence[Beat | Worker] = [*beats, *workers]
    offsets = {each.hostname: each.clock_offset_seconds for each in both}
    for host, offset in sorted(offsets.items()):
        if offset is not None:
            yield families.CLOCK_OFFSET, (label(host),), offset
