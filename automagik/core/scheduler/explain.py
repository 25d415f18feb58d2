"""What became of an occurrence of a schedule, and why: read from the record and the rule."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, Row, text

from automagik.core.scheduler.rows import database_now, load
from automagik.core.scheduler.skipped import LEFT_OUT, REASONS
from automagik.core.scheduler.values import Schedule, ScheduleStatus
from automagik.core.tasks.why import told, why

_TINY = timedelta.resolution
_SECOND = timedelta(seconds=1)
_LONGEST_LOOK = timedelta(days=36_525)


class Fate(StrEnum):
    """What became of an instant."""

    TASK = "task"
    """It has a task, whatever became of that."""
    SKIPPED = "skipped"
    DUE = "due"
    """It has come, and no beat has fired it yet."""
    AHEAD = "ahead"
    STOPPED = "stopped"
    """The schedule starts no runs."""
    UNTOLD = "untold"
    """It lies before the time that the schedule answers for."""
    MISSING = "missing"
    NO_OCCURRENCE = "no-occurrence"


@dataclass(frozen=True, kw_only=True, slots=True)
class Explanation:
    """One paragraph, and what a program wants of it."""

    schedule: str
    at: datetime
    fate: Fate
    reason: str | None = None
    """Why it was skipped, in the words of the record."""
    task_id: UUID | None = None
    previous: datetime | None
    """The occurrence before, as the rule is now."""
    following: datetime | None
    text: str


# People say seconds; occurrences may have fractions of them.
_TASK = text("""
SELECT id, scheduled_for FROM tasks
WHERE schedule_id = :schedule AND scheduled_for >= :at AND scheduled_for < :at + :second
ORDER BY scheduled_for LIMIT 1
""")

# What the rule left out may lie between occurrences with another reason.
_SKIPPED = text("""
SELECT reason, recorded_at, first_at, last_at FROM skipped_occurrences
WHERE schedule_id = :schedule AND first_at <= :at AND last_at >= :at
ORDER BY reason = ANY(:left_out), id DESC LIMIT 1
""")

_MADE_UP_BY = text("""
SELECT t.id, t.scheduled_for FROM tasks t JOIN task_events e ON e.task_id = t.id
WHERE t.schedule_id = :schedule AND t.scheduled_for > :at
    AND e.from_state IS NULL AND e.reason LIKE 'makes up%'
ORDER BY t.scheduled_for LIMIT 1
""")


def explain(connection: Connection, schedule_id: UUID, *, at: datetime | None) -> Explanation:
    """Without an instant the latest occurrence that has come, else the next one.

    Raises NotFound, and InvalidCadence when its rule is none any more.
    """
    return _Case(connection, load(connection, schedule_id), at=at).explained()


class _Case:
    """One instant of one schedule."""

    def __init__(self, connection: Connection, schedule: Schedule, *, at: datetime | None) -> None:
        self._connection = connection
        self._schedule = schedule
        self._rule = schedule.rule
        self._now = database_now(connection)
        asked = self._latest() if at is None else at
        self._task = connection.execute(
            _TASK, {"schedule": schedule.id, "at": asked, "second": _SECOND}
        ).one_or_none()
        occurrence = self._rule.latest_until(asked + _SECOND - _TINY, after=asked - _TINY)
        self._occurs = occurrence is not None
        self._at = self._task.scheduled_for if self._task else occurrence or asked
        self._name = told(self._at, schedule.timezone)

    def explained(self) -> Explanation:
        if self._task is not None:
            known = why(self._connection, self._task.id, zone=self._schedule.timezone)
            return self._as(Fate.TASK, known.text, task_id=known.task_id)
        if not self._occurs:
            return self._no_occurrence()
        query = {"schedule": self._schedule.id, "at": self._at, "left_out": list(LEFT_OUT)}
        skipped = self._connection.execute(_SKIPPED, query).one_or_none()
        return self._unrecorded() if skipped is None else self._skipped(skipped)

    def _latest(self) -> datetime:
        """The newest that has come since the rule has been in force, else the next."""
        newest = self._rule.latest_until(self._now, after=self._schedule.counts_from)
        return newest or self._rule.next_after(self._now) or self._schedule.created_at

    def _as(self, fate: Fate, words: str, **details: Any) -> Explanation:
        return Explanation(
            schedule=self._schedule.name,
            at=self._at,
            fate=fate,
            previous=self._previous(),
            following=self._rule.next_after(self._at),
            text=words,
            **details,
        )

    def _previous(self) -> datetime | None:
        return self._rule.latest_until(self._at - _TINY, after=self._at - _LONGEST_LOOK)

    def _no_occurrence(self) -> Explanation:
        name = self._schedule.name
        if left_out := self._rule.left_out(self._at - _TINY, self._at):
            reason = str(left_out[0].reason)
            words = f"{self._name} is left out by the rule of {name}: {REASONS[reason]}."
            return self._as(Fate.SKIPPED, words, reason=reason)
        near = [
            f"the one {word} is {told(instant, self._schedule.timezone)}"
            for word, instant in (
                ("before", self._previous()),
                ("after", self._rule.next_after(self._at)),
            )
            if instant is not None
        ]
        words = f"{self._name} is no occurrence of {name}, which occurs {self._rule.describe()}"
        return self._as(Fate.NO_OCCURRENCE, f"{words}; {' and '.join(near)}." if near else words)

    def _skipped(self, row: Row[Any]) -> Explanation:
        zone = self._schedule.timezone
        because = REASONS.get(row.reason, row.reason)
        words = (
            f"The occurrence {self._name} of {self._schedule.name} became no run: {because}."
            f"{_recorded(row, zone)}"
        )
        by = None
        if row.reason == "misfire":
            query = {"schedule": self._schedule.id, "at": row.last_at}
            by = self._connection.execute(_MADE_UP_BY, query).one_or_none()
        if by is not None:
            words += f" The run of {told(by.scheduled_for, zone)} made up for it: task {by.id}."
        return self._as(Fate.SKIPPED, words, reason=row.reason)

    def _unrecorded(self) -> Explanation:
        schedule = self._schedule
        occurrence = f"The occurrence {self._name} of {schedule.name}"
        if self._at <= schedule.counts_from:
            since = told(schedule.counts_from, schedule.timezone)
            words = (
                f"{occurrence} lies before {since}. Since then the schedule answers for each"
                " occurrence: it was made or changed then, or older tasks were deleted."
            )
            return self._as(Fate.UNTOLD, words)
        if schedule.held_from is not None:
            return self._held_back(occurrence, schedule.held_from)
        if schedule.status is not ScheduleStatus.ACTIVE:
            tense = "does" if self._at > self._now else "did"
            words = f"{occurrence} {tense} not run: the schedule is {schedule.status}{self._note}."
            return self._as(Fate.STOPPED, words)
        return self._expected(occurrence)

    @property
    def _note(self) -> str:
        reason = self._schedule.status_reason
        return f": {reason}" if reason else ""

    def _held_back(self, occurrence: str, held_from: datetime) -> Explanation:
        schedule, until = self._schedule, self._schedule.paused_until
        end = f" The pause ends at {told(until, schedule.timezone)}." if until else ""
        pause = f"the schedule is paused{self._note}.{end}"
        if self._at < held_from:
            return self._missing(occurrence)
        if until is not None and self._at >= until:
            return self._as(Fate.AHEAD, f"{occurrence} comes after a pause: now {pause}")
        if self._at > self._now:
            unless = "" if until else " if that lasts"
            return self._as(Fate.STOPPED, f"{occurrence} does not run{unless}: {pause}")
        return self._as(Fate.STOPPED, f"{occurrence} is held back: {pause}")

    def _expected(self, occurrence: str) -> Explanation:
        schedule = self._schedule
        if self._at > self._now:
            start = self._at + schedule.policies.delay(schedule.id, self._at)
            moved = f" It starts at {told(start, schedule.timezone)}." if start != self._at else ""
            return self._as(Fate.AHEAD, f"{occurrence} lies ahead.{moved}")
        if schedule.next_run_at is not None and self._at >= schedule.next_run_at:
            words = f"{occurrence} has come, and no beat has fired it yet."
            return self._as(Fate.DUE, words)
        return self._missing(occurrence)

    def _missing(self, occurrence: str) -> Explanation:
        words = f"{occurrence} has neither a task nor a reason, which must not be."
        return self._as(Fate.MISSING, f"{words} Look for more: automagik db verify")


def _recorded(row: Row[Any], zone: str) -> str:
    """A stretch that goes on and on is recorded anew with each of its occurrences."""
    if row.first_at == row.last_at:
        return f" This was recorded at {told(row.recorded_at, zone)}."
    stretch = f"from {told(row.first_at, zone)} to {told(row.last_at, zone)}"
    return f" The same goes for all {stretch}."
