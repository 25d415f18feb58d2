"""Due tasks go to the ready-queues, in the order of their turn, as far as all limits allow."""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from sqlalchemy import Connection

from automagik.core.database.prepared import Prepared, uuids
from automagik.core.scheduler.attendance import SEEN
from automagik.core.scheduler.batch import BATCH
from automagik.core.scheduler.delivery import Delivery, ReadyQueues
from automagik.core.scheduler.places import FREE, LOCK_SOURCES, Locked, locked_source
from automagik.core.scheduler.rate import TOLERANCE
from automagik.core.tasks.states import DISPATCHABLE

# A queue that nobody takes from gets nothing while others are served: its deliveries would hold the
# places of their sources. A worker that starts anew is seen until it counts as silent.
_LOCK = Prepared(
    "lock_sources",
    f"""
WITH locked AS MATERIALIZED ({LOCK_SOURCES}), seen AS ({SEEN}), targets AS (
    SELECT q.name, greatest(:least, 2 * coalesce(sum(s.slots), 0)) AS target
    FROM queues q LEFT JOIN seen s ON s.queue = q.name
    WHERE q.paused_at IS NULL
    GROUP BY q.name
    HAVING count(s.queue) > 0 OR NOT EXISTS (SELECT FROM seen)
)
SELECT locked.*, (SELECT jsonb_object_agg(name, target) FROM targets) AS targets FROM locked
""",  # noqa: S608  (the parts are constants)
    tolerance="interval",
    least="int",
    silence="interval",
)

# A full flow is left out from the start: its backlog would take the places of the others.
#
# Tasks that wait in turn are passed by, however many they are: of each schedule only the oldest
# unfinished task is looked at, those of backfills apart. It may go when no other is under way: ids
# grow with time, but two beats may disagree about it by a little.
#
# Somebody may be cancelling one of them right now, and keeps it. The states are an argument, or
# PostgreSQL might go through all that are pending instead of taking a task by its id.
_MARK_QUEUED = Prepared(
    "mark_queued",
    f"""
WITH RECURSIVE counted AS MATERIALIZED ({FREE}), places AS MATERIALIZED (
    SELECT * FROM counted WHERE free > 0
), limited AS (
    SELECT f.id, f.max_parallel_runs - (
        SELECT count(*) FROM tasks u
        WHERE u.source_id = f.source_id AND u.flow_id = f.id AND u.state IN ('queued', 'running')
    ) AS free
    FROM flows f WHERE f.max_parallel_runs IS NOT NULL AND f.source_id = ANY(:sources)
), buffers AS (
    (
        SELECT t.schedule_id FROM tasks t
        WHERE t.waits_in_turn AND t.state IN ('pending', 'waiting')
        ORDER BY t.schedule_id LIMIT 1
    ) UNION ALL
    SELECT (
        SELECT t.schedule_id FROM tasks t
        WHERE t.waits_in_turn AND t.state IN ('pending', 'waiting')
            AND t.schedule_id > b.schedule_id
        ORDER BY t.schedule_id LIMIT 1
    ) FROM buffers b WHERE b.schedule_id IS NOT NULL
), heads AS MATERIALIZED (
    SELECT h.* FROM buffers b CROSS JOIN LATERAL (
        SELECT t.id, t.source_id, t.queue, t.flow_id, t.schedule_id, t.turn_at, t.run_at, t.state,
            t.waits_in_turn
        FROM tasks t
        WHERE t.schedule_id = b.schedule_id
            AND t.state IN ('pending', 'queued', 'running', 'waiting', 'paused')
            AND t.backfill_id IS NULL
        ORDER BY t.id LIMIT 1
    ) h
    WHERE h.waits_in_turn AND h.state IN ('pending', 'waiting') AND h.run_at <= now()
        AND NOT EXISTS (
            SELECT FROM tasks u
            WHERE u.source_id = h.source_id AND u.flow_id = h.flow_id
                AND u.schedule_id = h.schedule_id AND u.state IN ('queued', 'running')
                AND u.backfill_id IS NULL
        )
), ranked AS (
    SELECT due.*, rooms.queue, places.source_id, places.free, rooms.room,
        row_number() OVER (PARTITION BY places.source_id ORDER BY due.turn_at) AS of_source,
        row_number() OVER (PARTITION BY rooms.queue ORDER BY due.turn_at) AS of_queue,
        row_number() OVER (PARTITION BY due.flow_id ORDER BY due.turn_at) AS of_flow
    FROM places CROSS JOIN unnest(:queues, :rooms) AS rooms (queue, room)
    CROSS JOIN LATERAL (
        (
            SELECT t.id, t.flow_id, t.schedule_id, t.turn_at FROM tasks t
            WHERE t.source_id = places.source_id AND t.queue = rooms.queue AND NOT t.waits_in_turn
                AND t.state IN ('pending', 'waiting') AND t.run_at <= now()
                AND t.flow_id NOT IN (SELECT id FROM limited WHERE limited.free <= 0)
            ORDER BY t.turn_at
            LIMIT least(places.free, rooms.room, :batch)
        ) UNION ALL (
            SELECT h.id, h.flow_id, h.schedule_id, h.turn_at FROM heads h
            WHERE h.source_id = places.source_id AND h.queue = rooms.queue
                AND h.flow_id NOT IN (SELECT id FROM limited WHERE limited.free <= 0)
        )
    ) due
), chosen AS MATERIALIZED (
    SELECT r.id, r.source_id, r.queue, r.turn_at, f.name AS flow, c.name AS schedule
    FROM ranked r
    JOIN flows f ON f.id = r.flow_id
    LEFT JOIN limited l ON l.id = r.flow_id
    LEFT JOIN schedules c ON c.id = r.schedule_id
    WHERE r.of_source <= r.free AND r.of_queue <= r.room AND (l.id IS NULL OR r.of_flow <= l.free)
    ORDER BY r.turn_at
    LIMIT :batch
), taken AS MATERIALIZED (
    SELECT chosen.* FROM chosen JOIN tasks t USING (id) WHERE t.state = ANY(:states)
    FOR NO KEY UPDATE OF t SKIP LOCKED
), marked AS (
    UPDATE tasks SET state = 'queued', queued_at = now(), state_actor = :actor, state_reason = NULL
    FROM taken WHERE tasks.id = taken.id
    RETURNING taken.*
)
SELECT id, source_id, queue, flow, schedule FROM marked ORDER BY turn_at
""",  # noqa: S608  (the part is a constant)
    sources="uuid[]",
    most="int[]",
    queues="text[]",
    rooms="int[]",
    batch="int",
    states="text[]",
    actor="text",
)


def dispatch(
    connection: Connection, queues: ReadyQueues, *, least: int, silence: timedelta, actor: str
) -> int:
    """Fills the ready-queues up to their targets; returns how many went out, BATCH at most.

    A target is two deliveries per slot of the live workers of a queue, and not less than `least`.
    Rows are locked, marked, sent, committed in this order: a crash between sends a delivery twice,
    which is harmless, and never loses one. A worker that is faster than the commit tries
    again, then waits for the row's lock.
    """
    locked = _LOCK.run(connection, tolerance=TOLERANCE, least=least, silence=silence)
    sources = [locked_source(row) for row in locked]
    rooms = _rooms(queues, locked[0]["targets"] or {}) if locked else {}
    if not rooms:
        return 0
    rows = _mark(connection, sources, rooms, actor=actor)
    _use(connection, sources, rows)
    queues.publish(
        [
            Delivery(
                task_id=row["id"],
                queue=row["queue"],
                flow=row["flow"],
                schedule=row["schedule"],
            )
            for row in rows
        ]
    )
    return len(rows)


def _rooms(queues: ReadyQueues, targets: Mapping[str, int]) -> Mapping[str, int]:
    """How many deliveries each queue takes; none are named that are paused or full."""
    lengths = queues.lengths(targets)
    return {name: room for name in targets if (room := targets[name] - lengths[name]) > 0}


def _mark(
    connection: Connection, sources: Sequence[Locked], rooms: Mapping[str, int], *, actor: str
) -> Sequence[Mapping[str, Any]]:
    return _MARK_QUEUED.run(
        connection,
        sources=uuids(source.id for source in sources),
        most=[source.most for source in sources],
        queues=list(rooms),
        rooms=list(rooms.values()),
        batch=BATCH,
        states=sorted(DISPATCHABLE),
        actor=actor,
    )


def _use(
    connection: Connection, sources: Sequence[Locked], rows: Sequence[Mapping[str, Any]]
) -> None:
    for source in sources:
        sent = [row["id"] for row in rows if row["source_id"] == source.id]
        if sent:
            source.use(connection, sent)
