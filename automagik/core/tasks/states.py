"""The states of a task and every way from one to another.

    pending ──▶ queued ──▶ running ──▶ completed | failed
                  ▲           │
                  └─ waiting ◀┘           a retry that is not due yet
    pending ──▶ running                   a beat died after it had sent the delivery
    queued ──▶ waiting                    held back: the source is down or the queue is paused
    pending | queued | waiting ──▶ paused ──▶ pending
    any but the final ──▶ cancelled
    failed | cancelled ──▶ pending        a retry by hand

The database enforces the same table by a trigger; a test holds the two together.
"""

from collections.abc import Mapping
from enum import StrEnum


class TaskState(StrEnum):
    """Where a task is between its creation and its end."""

    PENDING = "pending"
    QUEUED = "queued"
    RUNNING = "running"
    WAITING = "waiting"
    PAUSED = "paused"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def is_final(self) -> bool:
        return self in FINAL


class AttemptOutcome(StrEnum):
    """How one attempt ended."""

    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"
    WORKER_LOST = "worker_lost"
    RELEASED = "released"
    """Given back by a worker that shuts down; it costs the task no attempt."""


_S = TaskState

FINAL: frozenset[TaskState] = frozenset({_S.COMPLETED, _S.FAILED, _S.CANCELLED})
DISPATCHABLE: frozenset[TaskState] = frozenset({_S.PENDING, _S.WAITING})
HAS_RUN = "state NOT IN ('cancelled', 'paused', 'pending', 'queued', 'running', 'waiting')"
"""In SQL, of the tasks that completed or failed: nearly all that there are.

In these words PostgreSQL does not take them for few, which it would collect and sort: it has no
statistics of states. docs/decisions/0008.
"""

TRANSITIONS: Mapping[TaskState, frozenset[TaskState]] = {
    _S.PENDING: frozenset({_S.QUEUED, _S.RUNNING, _S.PAUSED, _S.CANCELLED}),
    _S.QUEUED: frozenset({_S.RUNNING, _S.WAITING, _S.PAUSED, _S.CANCELLED}),
    _S.RUNNING: frozenset({_S.COMPLETED, _S.FAILED, _S.CANCELLED, _S.WAITING}),
    _S.WAITING: frozenset({_S.QUEUED, _S.PAUSED, _S.CANCELLED}),
    _S.PAUSED: frozenset({_S.PENDING, _S.CANCELLED}),
    _S.COMPLETED: frozenset(),
    _S.FAILED: frozenset({_S.PENDING}),
    _S.CANCELLED: frozenset({_S.PENDING}),
}


def can_become(current: TaskState, target: TaskState) -> bool:
    return target in TRANSITIONS[current]
