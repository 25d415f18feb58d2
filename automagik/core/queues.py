"""Queues: names that tasks wait under, that workers are bound to, and that can be paused."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection, func, text, update
from sqlalchemy.dialects.postgresql import insert

from automagik.core.config import Settings
from automagik.core.database.lookup import nearest
from automagik.core.database.models import QueueRow
from automagik.core.database.session import WAKE, Database, notify
from automagik.core.exceptions import InvalidInput, NotFound
from automagik.core.tasks.liveness import LIVE_LEASES

MOST_COUNTED = 10_000
"""So many tasks of a backlog are counted: beyond that nobody waits for a number."""
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")
_OF_CELERY = re.compile(r"celeryev.*|celery-task-meta-.*|_kombu.*|unacked.*|.*pidbox")


@dataclass(frozen=True, kw_only=True, slots=True)
class Queue:
    """A queue with what waits in it now, and who takes from it."""

    name: str
    paused_at: datetime | None
    """Since when none of its tasks starts; those that run go on."""
    pause_reason: str | None
    due: int
    """How many tasks wait in PostgreSQL although their time has come; 10,000 means that many or
    more."""
    queued: int
    running: int
    workers: int
    """How many live workers take from it. One that drains takes nothing."""
    slots: int
    """How many tasks these can run at a time; a worker's slots count in each of its queues."""
    oldest_age: timedelta | None = None
    """For how long the task that has waited longest, of those counted, could have started."""

    @property
    def waiting(self) -> str:
        """How many tasks could start or are on their way, as people read it."""
        return _counted(self.due + self.queued, is_more=self.due >= MOST_COUNTED)

    @property
    def is_deserted(self) -> bool:
        """Tasks wait, and nobody will take them."""
        return self.workers == 0 and self.paused_at is None and self.due + self.queued > 0


BACKLOGS = """
backlogs AS (
    (
        SELECT source_id, queue FROM tasks WHERE state IN ('pending', 'waiting')
        ORDER BY source_id, queue LIMIT 1
    ) UNION ALL
    SELECT next.* FROM backlogs b CROSS JOIN LATERAL (
        SELECT t.source_id, t.queue FROM tasks t
        WHERE t.state IN ('pending', 'waiting') AND (t.source_id, t.queue) > (b.source_id, b.queue)
        ORDER BY t.source_id, t.queue LIMIT 1
    ) next
)
"""
"""For WITH RECURSIVE: the sources and queues that tasks wait in, however many tasks."""

DUE = """
SELECT count(*) AS due, min(run_at) AS oldest FROM (
    SELECT t.run_at FROM tasks t
    WHERE t.source_id = b.source_id AND t.queue = b.queue
        AND t.state IN ('pending', 'waiting') AND t.run_at <= now()
    LIMIT :most
) due
"""
"""Of a backlog `b`, counted up to `most`."""

# A backlog is counted along ix_tasks_dispatchable, source by source, and no further than is told.
# What is under way is little. A task or a worker of the version before has a queue without a row.
_LIST = text(f"""
WITH RECURSIVE {BACKLOGS}, waiting AS (
    SELECT b.queue AS name, least(sum(found.due), :most)::int AS due, min(found.oldest) AS oldest
    FROM backlogs b CROSS JOIN LATERAL ({DUE}) found
    GROUP BY b.queue HAVING sum(found.due) > 0
), under_way AS (
    SELECT queue AS name, count(*) FILTER (WHERE state = 'queued') AS queued,
        count(*) FILTER (WHERE state = 'running') AS running,
        min(run_at) FILTER (WHERE state = 'queued') AS oldest
    FROM tasks WHERE state IN ('queued', 'running') GROUP BY queue
), bound AS (
    SELECT taken.name, count(*) AS workers, sum(slots) AS slots
    FROM workers CROSS JOIN LATERAL unnest(queues) AS taken (name)
    WHERE status = 'online' AND heartbeat_at > now() - :silence
    GROUP BY taken.name
)
SELECT name, paused_at, pause_reason, coalesce(due, 0) AS due, coalesce(queued, 0) AS queued,
    coalesce(running, 0) AS running, coalesce(workers, 0) AS workers, coalesce(slots, 0) AS slots,
    now() - least(waiting.oldest, under_way.oldest) AS oldest_age
FROM queues
FULL JOIN (SELECT CAST(:default AS text) AS name) usual USING (name)
FULL JOIN waiting USING (name)
FULL JOIN under_way USING (name)
FULL JOIN bound USING (name)
ORDER BY name <> :default, name
""")  # noqa: S608  (a constant)


class QueueManager:
    """Lists, pauses and resumes queues."""

    def __init__(self, database: Database, settings: Settings) -> None:
        self._database = database
        self._default = settings.queue
        self._lease = timedelta(seconds=settings.lease_seconds)

    def list(self) -> Sequence[Queue]:
        """The default queue first, then by name."""
        with self._database.transaction() as connection:
            return list_queues(connection, default=self._default, lease=self._lease)

    def get(self, name: str) -> Queue:
        """Raises NotFound."""
        with self._database.transaction() as connection:
            return self._find(connection, name)

    def pause(self, name: str, *, reason: str | None = None) -> Queue:
        """Nothing of it starts until it is resumed; what runs goes on. Raises NotFound.

        Twice is once; a new reason replaces the old.
        """
        with self._database.transaction() as connection:
            self._find(connection, name)
            row = insert(QueueRow).values(name=name, paused_at=func.now(), pause_reason=reason)
            again = {
                "paused_at": func.coalesce(QueueRow.paused_at, row.excluded.paused_at),
                "pause_reason": func.coalesce(row.excluded.pause_reason, QueueRow.pause_reason),
            }
            connection.execute(row.on_conflict_do_update(index_elements=["name"], set_=again))
            return self._find(connection, name)

    def resume(self, name: str) -> Queue:
        """Beats learn of it at once. Raises NotFound."""
        with self._database.transaction() as connection:
            self._find(connection, name)
            connection.execute(
                update(QueueRow)
                .where(QueueRow.name == name)
                .values(paused_at=None, pause_reason=None)
            )
            notify(connection, WAKE)
            return self._find(connection, name)

    def _find(self, connection: Connection, name: str) -> Queue:
        queues = list_queues(connection, default=self._default, lease=self._lease)
        for queue in queues:
            if queue.name == name:
                return queue
        raise NotFound(
            f"There is no queue {name!r}.",
            hint=nearest(name, {queue.name for queue in queues})
            or "See which there are with: automagik queues list",
        )


def list_queues(connection: Connection, *, default: str, lease: timedelta) -> list[Queue]:
    """The default queue first, known to anybody or not, then by name."""
    arguments = {"default": default, "silence": LIVE_LEASES * lease, "most": MOST_COUNTED}
    return [Queue(**row) for row in connection.execute(_LIST, arguments).mappings()]


def ensure_queue(connection: Connection, name: str) -> None:
    """Makes the name one of ours. Raises InvalidInput."""
    if not _NAME.fullmatch(name):
        raise InvalidInput(
            f"{name!r} is no name for a queue.",
            hint="It takes up to 63 of A-Z, a-z, 0-9 and ._- and begins with a letter or a digit.",
        )
    if is_of_celery(name):
        raise InvalidInput(
            f"{name!r} is a name that Celery uses for itself.",
            hint="Give the queue another name, such as gpu.",
        )
    connection.execute(insert(QueueRow).values(name=name).on_conflict_do_nothing())


def is_of_celery(name: str) -> bool:
    """Whether Celery or its transport keeps something of its own under this name in Redis."""
    return _OF_CELERY.fullmatch(name) is not None


def at_least(count: int) -> str:
    """A number of tasks that was counted up to MOST_COUNTED, as people read it."""
    return _counted(count, is_more=count >= MOST_COUNTED)


def _counted(count: int, *, is_more: bool) -> str:
    return f"{count:,}{'+' if is_more else ''}"
