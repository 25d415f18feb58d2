"""What has happened since the last look, counted by PostgreSQL from the events of tasks.

The database's own trigger writes an event with each change of a task's state, in the transaction of
the change. So counters say what was committed, whichever beat or worker it was, and a process that
dies takes no counts with it.
"""

import time
from collections.abc import Iterable, Sequence
from datetime import timedelta
from typing import Any

from sqlalchemy import Connection, RowMapping, TextClause, text

from automagik.core.metrics import families
from automagik.core.metrics.cursor import Cursor, Range, arrays
from automagik.core.metrics.flow_names import FlowNames, label
from automagik.core.metrics.sums import Sums
from automagik.core.tasks.states import FINAL, TRANSITIONS, AttemptOutcome, TaskState

LONGEST = timedelta(seconds=3)
"""No further batch of events is begun then: the next scrape goes on."""
TRIGGERS = ("schedule", "chain", "backfill", "manual")

# Statistics know nothing of the newest ids, and plans for many would read whole tables.
_ROW_BY_ROW = text("""
SELECT set_config(name, 'off', true)
FROM (VALUES ('enable_hashjoin'), ('enable_mergejoin'), ('enable_seqscan'), ('jit')) AS s (name)
""")

_EVENTS = """
unnest(CAST(:firsts AS bigint[]), CAST(:lasts AS bigint[])) AS r (first, last)
JOIN task_events e ON e.id BETWEEN r.first AND r.last
"""
_TRIGGER = """
CASE WHEN t.backfill_id IS NOT NULL THEN 'backfill' WHEN t.parent_task_id IS NOT NULL THEN 'chain'
    WHEN t.scheduled_for IS NOT NULL THEN 'schedule' ELSE 'manual' END
"""

_CHANGED = text(f"""
SELECT coalesce(e.from_state, '') AS from_state, e.to_state, count(*) AS count
FROM {_EVENTS} GROUP BY 1, 2
""")  # noqa: S608  (constants)

_CREATED = text(f"""
SELECT t.flow_id, {_TRIGGER} AS trigger, count(*) AS count
FROM {_EVENTS} JOIN tasks t ON t.id = e.task_id
WHERE e.from_state IS NULL GROUP BY 1, 2
""")  # noqa: S608  (constants)

# A task that is tried again meanwhile has another due instant: then the nominal one is taken.
_SENT = text(f"""
SELECT width_bucket(lag, CAST(:bounds AS float[])) AS bucket, count(*) AS count, sum(lag) AS seconds
FROM (
    SELECT greatest(date_part('epoch', e.at
        - CASE WHEN t.run_at <= e.at THEN t.run_at ELSE t.scheduled_for END), 0) AS lag
    FROM {_EVENTS} JOIN tasks t ON t.id = e.task_id
    WHERE e.from_state = 'pending' AND e.to_state = 'queued' AND e.attempt = 0
        AND t.scheduled_for IS NOT NULL AND t.backfill_id IS NULL
) dispatched
GROUP BY 1
""")  # noqa: S608  (constants)

# Sending a delivery again moves `queued_at` and changes no state. What was dispatched once more
# after this attempt has moved it, too, and is not meant.
_STARTED = text(f"""
SELECT queue, width_bucket(waited, CAST(:bounds AS float[])) AS bucket, count(*) AS count,
    sum(waited) AS seconds, count(*) FILTER (WHERE sent_again) AS sent_again
FROM (
    SELECT t.queue, greatest(date_part('epoch', e.at - sent.at), 0) AS waited,
        t.queued_at > sent.at AND NOT EXISTS (
            SELECT FROM task_events n
            WHERE n.task_id = e.task_id AND n.id > e.id AND n.to_state = 'queued'
        ) AS sent_again
    FROM {_EVENTS} JOIN tasks t ON t.id = e.task_id
    CROSS JOIN LATERAL (
        SELECT q.at FROM task_events q WHERE q.task_id = e.task_id AND q.id < e.id
        ORDER BY q.id DESC LIMIT 1
    ) sent
    WHERE e.from_state = 'queued' AND e.to_state = 'running'
) started
GROUP BY 1, 2
""")  # noqa: S608  (constants)

_FINISHED = text(f"""
SELECT t.flow_id, {_TRIGGER} AS trigger, e.to_state AS outcome, count(*) AS count
FROM {_EVENTS} JOIN tasks t ON t.id = e.task_id
WHERE e.to_state IN ('completed', 'failed', 'cancelled') GROUP BY 1, 2, 3
""")  # noqa: S608  (constants)

_ENDED = text(f"""
SELECT t.flow_id, a.outcome, coalesce(a.error_code, '') AS error_code,
    width_bucket(date_part('epoch', a.finished_at - a.started_at), CAST(:bounds AS float[]))
        AS bucket,
    count(*) AS count, sum(date_part('epoch', a.finished_at - a.started_at)) AS seconds
FROM {_EVENTS} JOIN tasks t ON t.id = e.task_id
JOIN task_attempts a ON a.task_id = e.task_id AND a.attempt = e.attempt
WHERE e.from_state = 'running' AND a.finished_at IS NOT NULL GROUP BY 1, 2, 3, 4
""")  # noqa: S608  (constants)


class Happenings:
    """Counters and histograms, which begin with nothing when they are made.

    Args:
        flows: so many have series of their own.
    """

    def __init__(self, *, flows: int) -> None:
        self.sums = Sums()
        self._cursor = Cursor()
        self._names = FlowNames(flows)

    @property
    def behind(self) -> int:
        """How many events are left for the next time."""
        return self._cursor.behind

    def catch_up(self, connection: Connection) -> None:
        """Within a repeatable read. What an error breaks off is counted by the next call."""
        enough = time.monotonic() + LONGEST.total_seconds()
        connection.execute(_ROW_BY_ROW)
        self._begin(connection)
        while True:
            ranges = self._cursor.unread(connection)
            found = _Found(connection, ranges) if ranges else None
            names = self._names.of(connection, found.flows) if found else {}
            self._cursor.have_read(connection, ranges)
            if found:
                self._count(found, names)
            if not self._cursor.behind or time.monotonic() > enough:
                return

    def _begin(self, connection: Connection) -> None:
        """Series are there before something happens, or its first time would not be seen."""
        add = self.sums.add
        for names in self._names.oldest(connection):
            for trigger in TRIGGERS:
                add(families.TASKS_CREATED, *names, trigger)
                for outcome in sorted(FINAL):
                    add(families.TASKS_FINISHED, *names, trigger, outcome)
        for origin, targets in TRANSITIONS.items():
            for target in targets:
                add(families.TRANSITIONS, origin, target)
        add(families.TRANSITIONS, "", TaskState.PENDING)
        add(families.LEASES_EXPIRED)
        add(families.REPUBLISHED)
        self.sums.observe(families.LAG)

    def _count(self, found: "_Found", names: dict[Any, tuple[str, str]]) -> None:
        add, observe = self.sums.add, self.sums.observe
        for row in found.changed:
            add(families.TRANSITIONS, row["from_state"], row["to_state"], count=row["count"])
        for row in found.sent:
            observe(families.LAG, **_durations(row))
        for row in found.started:
            observe(families.QUEUE_WAIT, label(row["queue"]), **_durations(row))
            add(families.REPUBLISHED, count=row["sent_again"])
        for row, flow in _named(found.created, names):
            add(families.TASKS_CREATED, *flow, row["trigger"], count=row["count"])
        for row, flow in _named(found.finished, names):
            ended = row["trigger"], row["outcome"]
            add(families.TASKS_FINISHED, *flow, *ended, count=row["count"])
        for row, flow in _named(found.ended, names):
            self._count_attempts(row, flow)

    def _count_attempts(self, row: RowMapping, flow: tuple[str, str]) -> None:
        outcome, count = row["outcome"], row["count"]
        code = label(row["error_code"])
        self.sums.add(families.ATTEMPTS, *flow, outcome, code, count=count)
        self.sums.observe(families.DURATION, *flow, outcome, **_durations(row))
        if outcome == AttemptOutcome.WORKER_LOST:
            self.sums.add(families.LEASES_EXPIRED, count=count)


class _Found:
    """All of one batch of events, before any of it is counted."""

    def __init__(self, connection: Connection, ranges: Sequence[Range]) -> None:
        def rows(statement: TextClause, **arguments: Any) -> Sequence[RowMapping]:
            return connection.execute(statement, arrays(ranges) | arguments).mappings().all()

        self.changed = rows(_CHANGED)
        self.created = rows(_CREATED)
        self.sent = rows(_SENT, bounds=_bounds(families.LAG))
        self.started = rows(_STARTED, bounds=_bounds(families.QUEUE_WAIT))
        self.finished = rows(_FINISHED)
        self.ended = rows(_ENDED, bounds=_bounds(families.DURATION))

    @property
    def flows(self) -> set[Any]:
        return {row["flow_id"] for row in (*self.created, *self.finished, *self.ended)}


def _bounds(family: families.Family) -> list[float]:
    return list(family.buckets)


def _durations(row: RowMapping) -> dict[str, Any]:
    return {name: row[name] for name in ("bucket", "count", "seconds")}


def _named(
    rows: Iterable[RowMapping], names: dict[Any, tuple[str, str]]
) -> list[tuple[RowMapping, tuple[str, str]]]:
    """Without those of flows that are deleted."""
    return [(row, names[row["flow_id"]]) for row in rows if row["flow_id"] in names]
