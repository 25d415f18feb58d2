"""What the protocol allows, in Python: the truth that PostgreSQL's rows are held against.

Instants are whole seconds of a clock that only the test moves, in steps of TICK. What really
passes meanwhile is far less than a step, so that before and after are never in doubt.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from uuid import UUID

from automagik.core.tasks.finish import Ending
from automagik.core.tasks.states import DISPATCHABLE, FINAL, AttemptOutcome, TaskState

TICK = 600
LEASE = 900
OVERDUE = 900
GRACE = 2_100

_S = TaskState
PERSON = "person"


@dataclass(frozen=True, kw_only=True, slots=True)
class Change:
    """A row of `task_events`, with what a new task was born with."""

    task_id: UUID
    attempt: int
    origin: TaskState | None
    target: TaskState
    actor: str
    source_id: UUID
    schedule_id: UUID | None
    occurrence: int | None
    max_retries: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Said:
    """What somebody believes to have done. Beats count; workers name task and attempt."""

    actor: str
    verb: str
    task_id: UUID | None = None
    attempt: int | None = None


@dataclass(kw_only=True, slots=True)
class ModelTask:
    id: UUID
    source_id: UUID
    due: int
    max_retries: int
    max_attempts: int
    state: TaskState = TaskState.PENDING
    attempt: int = 0
    queued_at: int | None = None
    lease_ends: int | None = None

    def is_owned_in(self, attempt: int) -> bool:
        return self.state is TaskState.RUNNING and self.attempt == attempt


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelSchedule:
    id: UUID
    name: str
    every: int | None
    """None for a one-shot."""
    anchor: int
    next_due: int | None
    last_due: int | None
    status: str

    def firing(self, clock: int) -> tuple[int, int | None] | None:
        """The occurrence that is due, and the one that comes next."""
        if self.status != "active" or self.next_due is None or self.next_due > clock:
            return None
        if self.every is None:
            return self.next_due, None
        occurrence = self.next_due
        if clock - occurrence >= GRACE:
            occurrence = self.anchor + (clock - self.anchor) // self.every * self.every
        return occurrence, occurrence + self.every


@dataclass(kw_only=True)
class Model:
    """Follows every change that the database recorded, and refuses those that may not be."""

    limits: dict[UUID, int]
    clock: int = 0
    is_paused: bool = False
    """Whether the queue is: then nothing is sent and nothing starts."""
    tasks: dict[UUID, ModelTask] = field(default_factory=dict)
    schedules: dict[UUID, ModelSchedule] = field(default_factory=dict)
    occurrences: dict[tuple[UUID, int], UUID] = field(default_factory=dict)
    endings: dict[tuple[UUID, int], Ending] = field(default_factory=dict)
    """What workers have ended, as they said it."""

    def follow(self, change: Change) -> Said | None:
        """What somebody must have said; None for what people do and for fired occurrences."""
        if change.origin is None:
            return self._born(change)
        task = self.tasks[change.task_id]
        assert change.origin is task.state, f"{change} of {task}"
        match change.origin, change.target:
            case ((_S.PENDING | _S.WAITING), _S.QUEUED):
                return self._dispatched(task, change)
            case _S.QUEUED, _S.WAITING:
                assert self.is_paused, "somebody held back what could have run"
            case ((_S.PENDING | _S.QUEUED), _S.RUNNING):
                return self._claimed(task, change)
            case _S.RUNNING, _S.WAITING | _S.FAILED if change.actor.startswith("beat"):
                return self._reaped(task, change)
            case _S.RUNNING, _S.COMPLETED | _S.FAILED | _S.WAITING:
                return self._ended(task, change)
            case _, _S.CANCELLED:
                assert change.actor == PERSON
                assert task.state not in FINAL
            case ((_S.FAILED | _S.CANCELLED), _S.PENDING):
                assert change.actor == PERSON
                task.max_attempts = task.attempt + 1 + task.max_retries
                task.due, task.queued_at = self.clock, None
            case _:
                raise AssertionError(f"{change} of {task}")
        self._enter(task, change.target)
        return None

    def forget(self, gone: Iterable[UUID]) -> None:
        """Somebody deleted these tasks."""
        for task_id in gone:
            del self.tasks[task_id]
        self.occurrences = {o: t for o, t in self.occurrences.items() if t in self.tasks}

    def under_way(self, source_id: UUID) -> int:
        states = [task.state for task in self.tasks.values() if task.source_id == source_id]
        return states.count(TaskState.QUEUED) + states.count(TaskState.RUNNING)

    def dispatchable(self) -> int:
        """How many tasks could go out, were there room for all in the ready-queue."""
        if self.is_paused:
            return 0
        return sum(
            min(len(self._due(source_id)), max(0, limit - self.under_way(source_id)))
            for source_id, limit in self.limits.items()
        )

    def claimable(self, task_id: UUID) -> bool:
        task = self.tasks.get(task_id)
        if task is None or task.due > self.clock or self.is_paused:
            return False
        return task.state in (TaskState.PENDING, TaskState.QUEUED)

    def expired(self) -> int:
        """How many leases are over."""
        return sum(map(self._lost, self.tasks.values()))

    def missing(self, present: set[UUID]) -> set[UUID]:
        """What was sent long ago and is neither claimed nor in the ready-queue."""
        return {
            task.id
            for task in self.tasks.values()
            if task.state is TaskState.QUEUED
            and task.queued_at is not None
            and self.clock - task.queued_at >= OVERDUE
            and task.id not in present
        }

    def to_fire(self) -> dict[tuple[UUID, int], int | None]:
        """The occurrences that are due, with the next of their schedules."""
        firings = {s.id: s.firing(self.clock) for s in self.schedules.values()}
        return {(id_, f[0]): f[1] for id_, f in firings.items() if f is not None}

    def _due(self, source_id: UUID) -> list[ModelTask]:
        return [
            task
            for task in self.tasks.values()
            if task.source_id == source_id and task.state in DISPATCHABLE and task.due <= self.clock
        ]

    def _lost(self, task: ModelTask) -> bool:
        return task.lease_ends is not None and task.lease_ends <= self.clock

    def _born(self, change: Change) -> Said | None:
        assert change.target is TaskState.PENDING
        self.tasks[change.task_id] = ModelTask(
            id=change.task_id,
            source_id=change.source_id,
            due=self.clock if change.occurrence is None else change.occurrence,
            max_retries=change.max_retries,
            max_attempts=change.max_retries + 1,
        )
        if change.schedule_id is None or change.occurrence is None:
            assert change.actor == PERSON
            return None
        occurrence = change.schedule_id, change.occurrence
        assert change.actor.startswith("beat")
        assert occurrence not in self.occurrences, "an occurrence ran twice"
        assert occurrence in self.to_fire(), "an occurrence ran that was not due"
        self.occurrences[occurrence] = change.task_id
        return None

    def _dispatched(self, task: ModelTask, change: Change) -> Said:
        assert change.actor.startswith("beat")
        assert task.due <= self.clock, "it went out before it was due"
        assert not self.is_paused, "it went out although the queue was paused"
        limit = self.limits[task.source_id]
        assert self.under_way(task.source_id) < limit, "the limit of the source was exceeded"
        self._enter(task, change.target)
        task.queued_at = self.clock
        return Said(actor=change.actor, verb="queued")

    def _claimed(self, task: ModelTask, change: Change) -> Said:
        assert task.due <= self.clock, "it was claimed before it was due"
        assert not self.is_paused, "it was claimed although the queue was paused"
        assert change.attempt == task.attempt + 1 <= task.max_attempts
        task.attempt = change.attempt
        self._enter(task, change.target)
        task.lease_ends = self.clock + LEASE
        return _said_of(change)

    def _reaped(self, task: ModelTask, change: Change) -> Said:
        assert self._lost(task), "it was taken from a worker that gave signs of life"
        assert change.attempt == task.attempt
        is_last = task.attempt >= task.max_attempts
        assert change.target is (TaskState.FAILED if is_last else TaskState.WAITING)
        task.due = self.clock
        self._enter(task, change.target)
        return Said(actor=change.actor, verb="reaped")

    def _ended(self, task: ModelTask, change: Change) -> Said:
        assert change.attempt == task.attempt, "a worker ended what was not its own any more"
        ending = self.endings[task.id, task.attempt]
        assert change.target is ending.state
        if ending.delay is not None:
            task.due = self.clock + round(ending.delay.total_seconds())
        if ending.outcome is AttemptOutcome.RELEASED:
            task.max_attempts += 1
        self._enter(task, change.target)
        return _said_of(change)

    def _enter(self, task: ModelTask, state: TaskState) -> None:
        task.state = state
        task.lease_ends = None


def _said_of(change: Change) -> Said:
    return Said(
        actor=change.actor, verb=change.target, task_id=change.task_id, attempt=change.attempt
    )
