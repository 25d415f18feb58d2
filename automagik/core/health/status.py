"""Is it well? The facts of one moment, and what in them needs somebody's attention."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeVar

from automagik.core.config import Settings
from automagik.core.database.migrate import require_current
from automagik.core.exceptions import AutomagikError
from automagik.core.health.facts import KnownSource, StoredFacts, opened, read_stored
from automagik.core.health.redis_facts import RedisFacts, read_redis
from automagik.core.queues import Queue, at_least

OVERDUE = timedelta(seconds=60)
"""A task that has been due for so long says that nobody dispatches, or that too few work."""

_Facts = TypeVar("_Facts")


@dataclass(frozen=True, kw_only=True, slots=True)
class Problem:
    """Something that needs attention, and what to do about it."""

    what: str
    fix: str | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Health:
    """The facts, as far as they could be had, and every problem found."""

    stored: StoredFacts | None
    """None when PostgreSQL does not answer, or its schema is another one."""
    redis: RedisFacts | None
    problems: Sequence[Problem]
    notices: Sequence[Problem]
    """What somebody has chosen, and should not forget. All may be well beside it."""

    @property
    def is_well(self) -> bool:
        return not self.problems


def examine(settings: Settings) -> Health:
    """Raises nothing for what is out of order: that becomes a problem in the answer."""
    problems: list[Problem] = []
    stored = _or_note(lambda: _stored(settings), problems)
    queues = [queue.name for queue in stored.queues] if stored else [settings.queue]
    redis = _or_note(lambda: read_redis(settings, queues=queues), problems)
    if stored is not None:
        problems += problems_of(stored)
    return Health(
        stored=stored,
        redis=redis,
        problems=tuple(problems),
        notices=tuple(notices_of(stored) if stored else ()),
    )


def problems_of(stored: StoredFacts) -> Iterator[Problem]:
    """The rules. A failed task is no problem of the machinery: it is counted, not complained of."""
    if not any(beat.is_live for beat in stored.beats):
        yield Problem(
            what="No beat is running: nothing is fired or dispatched.",
            fix="Start everything with: automagik up, or a beat with: celery -A automagik beat",
        )
    if not any(worker.is_live for worker in stored.workers):
        yield Problem(
            what="No worker is running: nothing is run.",
            fix="Start everything with: automagik up, or a worker with: celery -A automagik worker",
        )
    else:
        yield from (deserted(queue) for queue in stored.queues if queue.is_deserted)
    yield from (down(source) for source in stored.sources if is_down(source))
    yield from work_problems(stored)


def work_problems(stored: StoredFacts) -> Iterator[Problem]:
    """What is wrong with the work itself, whoever should do it."""
    if stored.oldest_due_age is not None and stored.oldest_due_age > OVERDUE:
        seconds = stored.oldest_due_age.total_seconds()
        yield Problem(
            what=f"Tasks wait to be dispatched, the oldest for {seconds:.0f} s.",
            fix="If beats and workers are well, start more workers or raise a source's limit of"
            " parallel runs.",
        )
    if stored.oldest_follow_up_age is not None and stored.oldest_follow_up_age > OVERDUE:
        seconds = stored.oldest_follow_up_age.total_seconds()
        yield Problem(
            what=f"Runs have ended, and what follows them has not started for {seconds:.0f} s.",
            fix="If a beat is running, its log says why.",
        )
    if broken := stored.schedules.get("error", 0):
        yield Problem(
            what=f"{broken} of the schedules cannot be computed and are set aside.",
            fix="See why with: automagik schedules list",
        )


def notices_of(stored: StoredFacts) -> Iterator[Problem]:
    yield from (paused(queue) for queue in stored.queues if queue.paused_at is not None)
    yield from (disabled(source) for source in stored.sources if source.disabled_at is not None)


def deserted(queue: Queue) -> Problem:
    return Problem(
        what=f"No worker takes from the queue {queue.name}: {_waiting(queue.waiting)}.",
        fix=f"Start one with: celery -A automagik worker -Q {queue.name}",
    )


def paused(queue: Queue) -> Problem:
    reason = f" ({queue.pause_reason})" if queue.pause_reason else ""
    return Problem(
        what=f"The queue {queue.name} is paused{reason}: {_waiting(queue.waiting)}.",
        fix=f"When it may go on: automagik queues resume {queue.name}",
    )


def disabled(source: KnownSource) -> Problem:
    reason = f" ({source.disabled_reason})" if source.disabled_reason else ""
    return Problem(
        what=f"The source {source.name} is disabled{reason}: {_waiting(at_least(source.waiting))}.",
        fix=f"When it may go on: automagik sources enable {source.name}",
    )


def is_down(source: KnownSource) -> bool:
    return source.breaker_opened_at is not None and source.disabled_at is None


def down(source: KnownSource) -> Problem:
    return Problem(
        what=f"The source {source.name} is down, so its tasks wait: {source.breaker_reason}",
        fix=f"It is tried again by itself. Ask it now with: automagik sources test {source.name}",
    )


def _waiting(count: str) -> str:
    return f"{count} task{' waits' if count == '1' else 's wait'}"


def _stored(settings: Settings) -> StoredFacts:
    with opened(settings) as database, database.transaction() as connection:
        require_current(connection)
        return read_stored(connection, settings)


def _or_note(read: Callable[[], _Facts], problems: list[Problem]) -> _Facts | None:
    try:
        return read()
    except AutomagikError as error:
        problems.append(Problem(what=error.message, fix=error.hint))
        return None
