"""What became of the end of a run that a chain waits for, and why."""

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, text

from automagik.core.scheduler.explain import Explanation, Fate
from automagik.core.scheduler.rows import database_now
from automagik.core.scheduler.skipped import REASONS
from automagik.core.scheduler.values import Schedule, ScheduleStatus
from automagik.core.tasks.why import told, why

_SECOND = timedelta(seconds=1)

# Each with the instant of the end that it came from, newest first. The run before may be deleted.
_LATEST = text(
    """
(
    SELECT u.ended_at AS at, CAST(NULL AS uuid) AS task_id, CAST(NULL AS text) AS reason
    FROM follow_ups u
    WHERE u.schedule_id = :chain AND (:at IS NULL OR u.ended_at BETWEEN :at AND :until)
    ORDER BY u.id DESC LIMIT 1
) UNION ALL (
    SELECT o.last_at, NULL, o.reason FROM skipped_occurrences o
    WHERE o.schedule_id = :chain
        AND (:at IS NULL OR o.first_at <= :until AND o.last_at >= :at)
    ORDER BY o.last_at DESC LIMIT 1
) UNION ALL (
    SELECT coalesce(p.finished_at, t.created_at), t.id, NULL
    FROM tasks t LEFT JOIN tasks p ON p.id = t.parent_task_id
    WHERE t.schedule_id = :chain AND t.parent_attempt IS NOT NULL AND (
        :at IS NULL OR coalesce(p.finished_at, t.created_at) BETWEEN :at AND :until
    )
    ORDER BY t.id DESC LIMIT 1
)
ORDER BY at DESC LIMIT 1
""".replace(":at", "CAST(:at AS timestamptz)")
)


def explain_chain(connection: Connection, chain: Schedule, *, at: datetime | None) -> Explanation:
    """Without an instant the latest end that it waited for."""
    until = None if at is None else at + _SECOND - timedelta.resolution
    arguments = {"chain": chain.id, "at": at, "until": until}
    found = connection.execute(_LATEST, arguments).one_or_none()
    rule = f"{chain.name} runs {chain.describe()}"
    if found is None:
        return _nothing(connection, chain, rule, at=at)
    if found.task_id is not None:
        words = f"{rule}. {why(connection, found.task_id, zone=chain.timezone).text}"
        return _told(chain, found.at, Fate.TASK, words, task_id=found.task_id)
    ended = f"{rule}. The run that ended at {told(found.at, chain.timezone)}"
    if found.reason is None:
        return _told(chain, found.at, Fate.DUE, f"{ended} has not been followed by a beat yet.")
    because = REASONS.get(found.reason, found.reason)
    words = f"{ended} started none: {because}."
    return _told(chain, found.at, Fate.SKIPPED, words, reason=found.reason)


def _nothing(
    connection: Connection, chain: Schedule, rule: str, *, at: datetime | None
) -> Explanation:
    instant = at or database_now(connection)
    when = "" if at is None else f" at {told(at, chain.timezone)}"
    words = f"{rule}; no such end{when} is recorded."
    if chain.status is not ScheduleStatus.ACTIVE:
        reason = f": {chain.status_reason}" if chain.status_reason else ""
        words += f" The schedule is {chain.status}{reason}."
    return _told(chain, instant, Fate.NO_OCCURRENCE, words)


def _told(
    chain: Schedule,
    at: datetime,
    fate: Fate,
    words: str,
    *,
    reason: str | None = None,
    task_id: UUID | None = None,
) -> Explanation:
    nothing: dict[str, Any] = {"previous": None, "following": None}
    return Explanation(
        schedule=chain.name,
        at=at,
        fate=fate,
        reason=reason,
        task_id=task_id,
        text=words,
        **nothing,
    )
