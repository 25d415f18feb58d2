"""What the rooms around tasks are given: values, never rows."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from automagik.core.tasks.states import AttemptOutcome, TaskState


@dataclass(frozen=True, kw_only=True, slots=True)
class Task:
    """One run of one flow, without its input and output, which may be large."""

    id: UUID
    flow_id: UUID
    flow_name: str
    flow_version_id: UUID
    flow_version: int
    """The number of the version, counted per flow from 1."""
    source_id: UUID
    source_name: str
    schedule_id: UUID | None
    schedule_name: str | None
    scheduled_for: datetime | None
    """The nominal instant of its schedule; None for runs started by hand."""
    backfill_id: UUID | None
    """Of which backfill it is a part."""
    parent_task_id: UUID | None
    """Whose end started it."""
    priority: int
    queue: str
    max_retries: int
    timeout: timedelta
    """The total deadline of one attempt."""
    at_most_once: bool
    """Whether it is never sent again once a call may have reached the source."""
    idempotency_key: str | None
    """Under which it was created: no second task has it."""
    state: TaskState
    state_reason: str | None
    state_actor: str
    run_at: datetime
    """Due from this instant on."""
    attempt: int
    """The number of the latest attempt; 0 before the first."""
    max_attempts: int
    error_code: str | None
    error_message: str | None
    created_at: datetime
    queued_at: datetime | None
    started_at: datetime | None
    """The start of the latest attempt."""
    finished_at: datetime | None
    trace_id: str | None
    """Of the trace that its attempts belong to."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TaskOutput:
    """What a completed task brought."""

    text: str | None
    """None when the answer has no text."""
    answer: dict[str, Any]
    """The full answer of the source, as it came."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Attempt:
    """One try of a task on one worker."""

    attempt: int
    worker_id: UUID
    worker_name: str
    started_at: datetime
    finished_at: datetime | None
    outcome: AttemptOutcome | None
    """None while it runs."""
    error_code: str | None
    error_message: str | None
    http_status: int | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Event:
    """One change of a task's state, as the database recorded it."""

    id: int
    attempt: int
    from_state: TaskState | None
    """None for the creation."""
    to_state: TaskState
    actor: str
    reason: str | None
    at: datetime


@dataclass(frozen=True, kw_only=True, slots=True)
class LogLine:
    """Something said during a task."""

    id: int
    attempt: int
    at: datetime
    level: str
    """One of LOG_LEVELS."""
    component: str
    message: str


LOG_LEVELS = ("debug", "info", "warning", "error")
"""From the chattiest to the gravest."""
