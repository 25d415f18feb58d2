"""Retention: what ended long enough ago is deleted, a small batch at a time."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection, text

from automagik.core.config import Settings
from automagik.core.database.session import Database
from automagik.core.scheduler.rows import database_now
from automagik.core.tasks.states import TaskState

# Tasks may have ten thousand lines of log each: one transaction must end within the time limit of a
# statement, and nothing is fired meanwhile.
BATCH = 100
SPELL_SECONDS = 0.2
"""For so long batch follows batch; then a beat has other things to do."""
# Looking for old tasks costs more than deleting none.
REST_SECONDS = 60.0
PROCESSES_KEPT = timedelta(days=30)

# It waits for nobody: a task that somebody holds stays for the next time, and so do the tasks of a
# schedule that is being fired, changed or deleted.
_PRUNE = text("""
WITH old AS MATERIALIZED (
    SELECT id, schedule_id, scheduled_for FROM tasks
    WHERE state = :outcome AND finished_at < :before
    ORDER BY finished_at LIMIT :batch
    FOR UPDATE SKIP LOCKED
), held AS MATERIALIZED (
    SELECT id FROM schedules
    WHERE id IN (SELECT schedule_id FROM old WHERE scheduled_for IS NOT NULL)
    FOR NO KEY UPDATE SKIP LOCKED
), told AS (
    UPDATE schedules s SET counts_from = newest.scheduled_for
    FROM (
        SELECT schedule_id, max(scheduled_for) AS scheduled_for FROM old GROUP BY schedule_id
    ) newest
    WHERE s.id = newest.schedule_id AND s.id IN (SELECT id FROM held)
        AND s.counts_from < newest.scheduled_for
)
DELETE FROM tasks USING old
WHERE tasks.id = old.id AND (
    old.schedule_id IS NULL OR old.scheduled_for IS NULL
    OR old.schedule_id IN (SELECT id FROM held)
)
""")

_FORECAST = text("""
WITH old AS MATERIALIZED (
    SELECT id, finished_at FROM tasks WHERE state = :outcome AND finished_at < :before
)
SELECT count(*) AS tasks, min(finished_at) AS oldest, max(finished_at) AS newest,
    (SELECT count(*) FROM task_attempts WHERE task_id IN (SELECT id FROM old)) AS attempts,
    (SELECT count(*) FROM task_events WHERE task_id IN (SELECT id FROM old)) AS events,
    (SELECT count(*) FROM task_logs WHERE task_id IN (SELECT id FROM old)) AS log_lines
FROM old
""")

# An open attempt is one of a running task.
_OLD_WORKERS = text("""
DELETE FROM workers w
WHERE coalesce(stopped_at, heartbeat_at) < now() - :age AND NOT EXISTS (
    SELECT FROM tasks t JOIN task_attempts a ON a.task_id = t.id AND a.finished_at IS NULL
    WHERE t.state = 'running' AND a.worker_id = w.id
)
""")

_OLD_BEATS = text("""
DELETE FROM beats WHERE coalesce(stopped_at, last_tick_at) < now() - :age
""")

# Those before `counts_from` excuse nothing any more; those of chains never do.
_OLD_SKIPPED = text("""
DELETE FROM skipped_occurrences o USING schedules s
WHERE s.id = o.schedule_id AND (o.last_at <= s.counts_from OR s.type = 'after')
    AND o.recorded_at < now() - :age
""")

# As long as a task of theirs is kept they are, too.
_OLD_BACKFILLS = text("""
DELETE FROM backfills b
WHERE b.finished_at < now() - :age AND NOT EXISTS (
    SELECT FROM tasks t WHERE t.backfill_id = b.id
)
""")


@dataclass(frozen=True, kw_only=True, slots=True)
class Forecast:
    """What is older than its age, and goes with it."""

    outcome: TaskState
    before: datetime
    tasks: int
    attempts: int
    events: int
    log_lines: int
    oldest: datetime | None
    """When the task ended that ended first."""
    newest: datetime | None


class Retention:
    """What a beat deletes by and by. Any number of beats may do it at the same time."""

    def __init__(self, settings: Settings) -> None:
        self._ages = ages_set(settings)
        self._due = 0.0

    def prune(self, database: Database) -> None:
        """For a spell; when there is more the next call goes on, else a later."""
        began = time.monotonic()
        if began < self._due:
            return
        while BATCH in [self._prune_one(database, outcome) for outcome in self._ages]:
            if time.monotonic() - began >= SPELL_SECONDS:
                return
        with database.transaction() as connection:
            forget_processes(connection)
        self._due = time.monotonic() + REST_SECONDS

    def _prune_one(self, database: Database, outcome: TaskState) -> int:
        with database.transaction() as connection:
            before = database_now(connection) - self._ages[outcome]
            return prune(connection, outcome, before=before)


def ages_set(settings: Settings) -> Mapping[TaskState, timedelta]:
    """How long the tasks of each outcome are kept; an outcome that is not named: for ever."""
    ages = {
        TaskState.COMPLETED: settings.retention_completed,
        TaskState.FAILED: settings.retention_failed,
        TaskState.CANCELLED: settings.retention_cancelled,
    }
    return {outcome: age for outcome, age in ages.items() if age is not None}


def prune(connection: Connection, outcome: TaskState, *, before: datetime) -> int:
    """Deletes one batch of tasks that ended so and earlier, with their history; returns how many.

    Their schedules do not claim any more that each occurrence of that time is told.
    """
    arguments = {"outcome": outcome, "before": before, "batch": BATCH}
    return connection.execute(_PRUNE, arguments).rowcount


def forecast(connection: Connection, outcome: TaskState, *, before: datetime) -> Forecast:
    """What all batches together would delete."""
    found = connection.execute(_FORECAST, {"outcome": outcome, "before": before}).mappings().one()
    return Forecast(outcome=outcome, before=before, **found)


def forget_processes(connection: Connection) -> None:
    """Deletes workers, beats and backfills that ended long ago, and notes that nobody needs."""
    for statement in (_OLD_WORKERS, _OLD_BEATS, _OLD_BACKFILLS, _OLD_SKIPPED):
        connection.execute(statement, {"age": PROCESSES_KEPT})
