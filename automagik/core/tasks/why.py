"""What became of a task and why, in one paragraph: read from its record, nothing is guessed."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID
from zoneinfo import ZoneInfo

from sqlalchemy import Connection, text

from automagik.core.tasks import history
from automagik.core.tasks.rows import load
from automagik.core.tasks.states import AttemptOutcome, TaskState
from automagik.core.tasks.values import Attempt, Event, Task

_TOLD_ATTEMPTS = 3
_LONGEST_MESSAGE = 300

# Only what is due can have an obstacle; the order is that in which they are asked for.
_OBSTACLE = text("""
SELECT CASE
    WHEN t.run_at > now() THEN 'it is not due yet'
    WHEN q.paused_at IS NOT NULL
        THEN 'the queue ' || t.queue || ' is paused' || coalesce(' (' || q.pause_reason || ')', '')
    WHEN s.disabled_at IS NOT NULL
        THEN 'the source ' || s.name || ' is disabled'
            || coalesce(' (' || s.disabled_reason || ')', '')
    WHEN s.breaker_opened_at IS NOT NULL
        THEN 'the source ' || s.name || ' is down' || coalesce(' (' || s.breaker_reason || ')', '')
    WHEN t.in_turn AND EXISTS (
        SELECT FROM tasks u
        WHERE u.schedule_id = t.schedule_id AND u.id <> t.id AND u.backfill_id IS NULL
            AND u.state IN ('pending', 'queued', 'running', 'waiting', 'paused')
            AND (u.id < t.id OR u.state IN ('queued', 'running'))
    ) THEN 'an earlier run of its schedule is unfinished, and it waits for its turn'
    WHEN f.max_parallel_runs <= (
        SELECT count(*) FROM tasks u
        WHERE u.source_id = t.source_id AND u.flow_id = t.flow_id
            AND u.state IN ('queued', 'running')
    ) THEN 'its flow has as many runs under way as it may have'
    WHEN s.max_parallel_runs <= (
        SELECT count(*) FROM tasks u
        WHERE u.source_id = t.source_id AND u.state IN ('queued', 'running')
    ) THEN 'its source has as many runs under way as it may have'
    WHEN NOT EXISTS (
        SELECT FROM beats WHERE stopped_at IS NULL AND last_tick_at > now() - interval '1 minute'
    ) THEN 'no beat is there that would send it'
END
FROM tasks t
JOIN sources s ON s.id = t.source_id
JOIN flows f ON f.id = t.flow_id
LEFT JOIN queues q ON q.name = t.queue
WHERE t.id = :task_id AND t.state IN ('pending', 'waiting')
""")


@dataclass(frozen=True, kw_only=True, slots=True)
class Why:
    """What became of a task."""

    task_id: UUID
    state: TaskState
    error_code: str | None
    obstacle: str | None
    """What keeps it from being sent, if it has not been."""
    text: str


def why(connection: Connection, task_id: UUID, *, zone: str) -> Why:
    """Instants are told in the zone. Raises NotFound."""
    task = load(connection, task_id)
    obstacle = connection.scalar(_OBSTACLE, {"task_id": task_id})
    events, attempts = history.events(connection, task_id), history.attempts(connection, task_id)
    return Why(
        task_id=task_id,
        state=task.state,
        error_code=task.error_code,
        obstacle=obstacle,
        text=" ".join(sentences(task, events, attempts, obstacle=obstacle, zone=zone)),
    )


def sentences(
    task: Task,
    events: Sequence[Event],
    attempts: Sequence[Attempt],
    *,
    obstacle: str | None,
    zone: str,
) -> Iterator[str]:
    """How it began, what was tried, and where it stands."""
    yield _beginning(task, events, zone)
    yield from _tries(attempts, zone)
    if retried := [event for event in events if _is_retry_by_hand(event)]:
        yield f"It was retried by {retried[-1].actor} at {told(retried[-1].at, zone)}."
    yield _standing(task, attempts, obstacle, zone)


def told(instant: datetime, zone: str) -> str:
    """To the second, with the zone."""
    return f"{instant.astimezone(ZoneInfo(zone)):%Y-%m-%d %H:%M:%S} {zone}"


def _beginning(task: Task, events: Sequence[Event], zone: str) -> str:
    actor, reason = (events[0].actor, events[0].reason) if events else ("somebody", None)
    made = f"made by {actor} at {told(task.created_at, zone)}"
    run = f"Task {task.id}, a run of the flow {task.flow_name}"
    of = f" of the schedule {task.schedule_name}" if task.schedule_name else ""
    because = f"; it {reason}" if reason else ""
    if task.scheduled_for is None:
        return f"{run}{of}, was {made}{because}."
    return f"{run} for the occurrence {told(task.scheduled_for, zone)}{of}, was {made}{because}."


def _tries(attempts: Sequence[Attempt], zone: str) -> Iterator[str]:
    """The latest of those that ended badly; the others are counted."""
    ended = [each for each in attempts if each.outcome not in (None, AttemptOutcome.COMPLETED)]
    if (more := len(ended) - _TOLD_ATTEMPTS) > 0:
        yield f"{more} earlier {'attempt' if more == 1 else 'attempts'} came to nothing."
    for attempt in ended[-_TOLD_ATTEMPTS:]:
        at = told(attempt.finished_at, zone) if attempt.finished_at else "some time"
        how = _HOW_IT_ENDED[attempt.outcome or AttemptOutcome.FAILED]
        because = _error(attempt.error_code, attempt.error_message)
        yield f"Attempt {attempt.attempt} on {attempt.worker_name} {how} at {at}{because}."


_HOW_IT_ENDED = {
    AttemptOutcome.FAILED: "failed",
    AttemptOutcome.CANCELLED: "was broken off",
    AttemptOutcome.WORKER_LOST: "was lost with its worker",
    AttemptOutcome.RELEASED: "was given back by its worker, which stopped,",
}


def _error(code: str | None, message: str | None) -> str:
    parts = [code or "", " ".join((message or "").split())[:_LONGEST_MESSAGE].rstrip(".")]
    said = ": ".join(part for part in parts if part)
    return f" ({said})" if said else ""


def _is_retry_by_hand(event: Event) -> bool:
    return event.from_state is not None and event.from_state.is_final


def _standing(task: Task, attempts: Sequence[Attempt], obstacle: str | None, zone: str) -> str:
    ended = f"at {told(task.finished_at, zone)}" if task.finished_at else ""
    because = f": {task.state_reason}" if task.state_reason else ""
    match task.state:
        case TaskState.COMPLETED:
            words = f"completed {ended} in attempt {task.attempt}"
        case TaskState.FAILED:
            words = f"failed for good {ended}, {_why_no_more(task)}"
        case TaskState.CANCELLED:
            words = f"was cancelled by {task.state_actor} {ended}{because}"
        case TaskState.RUNNING:
            worker = attempts[-1].worker_name if attempts else "a worker"
            since = told(task.started_at or task.created_at, zone)
            words = f"has been running on {worker} since {since}, in attempt {task.attempt}"
        case TaskState.QUEUED:
            since = told(task.queued_at or task.created_at, zone)
            words = f"was sent at {since} to the queue {task.queue}; no worker has taken it yet"
        case TaskState.PAUSED:
            words = f"is paused by {task.state_actor}{because}"
        case TaskState.PENDING | TaskState.WAITING:
            again = "again " if task.attempt else ""
            words = f"is due {again}at {told(task.run_at, zone)}{because}; {obstacle or _FREE}"
    return f"It {words}."


_FREE = "nothing keeps it from being sent"


def _why_no_more(task: Task) -> str:
    if task.attempt >= task.max_attempts:
        if task.max_attempts == 1:
            return "as no more than one attempt was allowed"
        return f"as no more than {task.max_attempts} attempts were allowed"
    if task.at_most_once:
        return "as it runs at most once and its call may have reached the source"
    return "as trying again would not have helped"
