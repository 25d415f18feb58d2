"""The tables. Rows stay in the room that loads them; edges get values."""

from collections.abc import Iterable
from datetime import date, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import (
    ARRAY,
    BigInteger,
    CheckConstraint,
    Computed,
    ForeignKey,
    Identity,
    Index,
    Text,
    UniqueConstraint,
    func,
    text,
)
from sqlalchemy.orm import Mapped, mapped_column

from automagik.core.database.base import Base, new_id
from automagik.core.tasks.states import FINAL, AttemptOutcome, TaskState

_PRIORITY = "priority BETWEEN -1000 AND 1000"


def _one_of(column: str, values: Iterable[str]) -> str:
    quoted = ", ".join(f"'{value}'" for value in values)
    return f"{column} IN ({quoted})"


_OVERLAP = ["allow-all", "skip", "buffer-one", "buffer-all", "cancel-other", "terminate-other"]
_UNFINISHED = _one_of("state", [state for state in TaskState if not state.is_final])


class SourceRow(Base):
    __tablename__ = "sources"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    name: Mapped[str] = mapped_column(unique=True)
    url: Mapped[str]
    api_key_encrypted: Mapped[str | None]
    max_parallel_runs: Mapped[int] = mapped_column(server_default=text("8"))
    max_runs_per_minute: Mapped[int | None]
    version: Mapped[str | None]
    checked_at: Mapped[datetime | None]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    updated_at: Mapped[datetime] = mapped_column(server_default=func.now())

    rate_used_until: Mapped[datetime | None]
    """The runs that were sent use up the rate until then."""
    breaker_failures: Mapped[int] = mapped_column(server_default=text("0"))
    """How many attempts in a row found the source down."""
    breaker_opened_at: Mapped[datetime | None]
    """Since when it gets no runs but probes; unset: the breaker is closed."""
    breaker_probe_at: Mapped[datetime | None]
    """From then on one run may try whether the source is back."""
    breaker_probe_id: Mapped[UUID | None]
    """The task that tries."""
    breaker_reason: Mapped[str | None]

    __table_args__ = (
        CheckConstraint("max_parallel_runs > 0", name="max_parallel_runs_positive"),
        CheckConstraint("max_runs_per_minute > 0", name="max_runs_per_minute_positive"),
        CheckConstraint(
            "(breaker_opened_at IS NULL) = (breaker_probe_at IS NULL)", name="breaker_open_or_not"
        ),
    )


class QueueRow(Base):
    """A name that tasks wait under and workers take deliveries from."""

    __tablename__ = "queues"

    name: Mapped[str] = mapped_column(primary_key=True)
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    paused_at: Mapped[datetime | None]
    pause_reason: Mapped[str | None]


class FlowRow(Base):
    __tablename__ = "flows"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    source_id: Mapped[UUID] = mapped_column(ForeignKey("sources.id", ondelete="RESTRICT"))
    remote_id: Mapped[str]
    name: Mapped[str]
    description: Mapped[str | None]
    endpoint_name: Mapped[str | None]
    input_component: Mapped[str | None]
    output_component: Mapped[str | None]
    version_id: Mapped[UUID] = mapped_column(
        # A flow and its first version are inserted in one transaction.
        ForeignKey("flow_versions.id", deferrable=True, initially="DEFERRED", use_alter=True)
    )
    max_retries: Mapped[int | None]
    timeout_seconds: Mapped[float | None]
    max_parallel_runs: Mapped[int | None]
    priority: Mapped[int | None]
    queue: Mapped[str | None] = mapped_column(ForeignKey("queues.name"))
    at_most_once: Mapped[bool] = mapped_column(server_default=text("false"))
    gone_at: Mapped[datetime | None]
    synced_at: Mapped[datetime] = mapped_column(server_default=func.now())
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    updated_at: Mapped[datetime] = mapped_column(server_default=func.now())

    __table_args__ = (
        UniqueConstraint("source_id", "remote_id"),
        CheckConstraint("max_retries >= 0", name="max_retries_not_negative"),
        CheckConstraint(
            "timeout_seconds > 0 AND timeout_seconds < 'infinity'", name="timeout_finite"
        ),
        CheckConstraint("max_parallel_runs > 0", name="max_parallel_runs_positive"),
        CheckConstraint(_PRIORITY, name="priority_in_range"),
        # Finds a flow by its name, in any case.
        Index("ix_flows_lower_name", text("lower(name)")),
    )


class FlowVersionRow(Base):
    __tablename__ = "flow_versions"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    flow_id: Mapped[UUID] = mapped_column(ForeignKey("flows.id", ondelete="CASCADE"))
    number: Mapped[int]
    content_hash: Mapped[str]
    definition: Mapped[dict[str, Any]]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())

    __table_args__ = (
        UniqueConstraint("flow_id", "content_hash"),
        UniqueConstraint("flow_id", "number"),
    )


class FlowComponentRow(Base):
    __tablename__ = "flow_components"

    version_id: Mapped[UUID] = mapped_column(
        ForeignKey("flow_versions.id", ondelete="CASCADE"), primary_key=True
    )
    component_id: Mapped[str] = mapped_column(primary_key=True)
    type: Mapped[str]
    display_name: Mapped[str]
    is_input: Mapped[bool]
    is_output: Mapped[bool]
    parameters: Mapped[list[Any]]


class CalendarRow(Base):
    """A named set of days on which no business is done."""

    __tablename__ = "calendars"

    name: Mapped[str] = mapped_column(primary_key=True)
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    updated_at: Mapped[datetime] = mapped_column(server_default=func.now())


class CalendarDayRow(Base):
    __tablename__ = "calendar_days"

    calendar: Mapped[str] = mapped_column(
        ForeignKey("calendars.name", ondelete="CASCADE"), primary_key=True
    )
    day: Mapped[date] = mapped_column(primary_key=True)
    title: Mapped[str] = mapped_column(server_default=text("''"))


class ScheduleRow(Base):
    """What the user wrote, and from `next_run_at` on what became of it."""

    __tablename__ = "schedules"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    name: Mapped[str] = mapped_column(unique=True)
    flow_id: Mapped[UUID] = mapped_column(ForeignKey("flows.id", ondelete="CASCADE"))
    type: Mapped[str]
    expr: Mapped[str]
    timezone: Mapped[str]
    anchor_at: Mapped[datetime]
    more_cadences: Mapped[list[Any]] = mapped_column(server_default=text("'[]'"))
    """Each with `type` and `expr`: the schedule occurs when any of its cadences does."""
    exclusions: Mapped[list[Any]] = mapped_column(server_default=text("'[]'"))
    calendar: Mapped[str | None] = mapped_column(ForeignKey("calendars.name", ondelete="RESTRICT"))
    on_holiday: Mapped[str] = mapped_column(server_default=text("'skip'"))
    quiet_hours: Mapped[str | None]
    starts_at: Mapped[datetime | None]
    ends_at: Mapped[datetime | None]
    dst_gap: Mapped[str] = mapped_column(server_default=text("'next'"))
    dst_fold: Mapped[str] = mapped_column(server_default=text("'first'"))
    input_value: Mapped[str] = mapped_column(server_default=text("''"))
    tweaks: Mapped[dict[str, Any]] = mapped_column(server_default=text("'{}'"))
    session_id: Mapped[str | None]
    priority: Mapped[int | None]
    queue: Mapped[str | None] = mapped_column(ForeignKey("queues.name"))
    max_retries: Mapped[int | None]
    timeout_seconds: Mapped[float | None]
    at_most_once: Mapped[bool | None]
    overlap: Mapped[str] = mapped_column(server_default=text("'allow-all'"))
    misfire: Mapped[str] = mapped_column(server_default=text("'run-once'"))
    misfire_grace_seconds: Mapped[float | None]
    catch_up_seconds: Mapped[float | None]
    catch_up_order: Mapped[str] = mapped_column(server_default=text("'oldest-first'"))
    jitter_seconds: Mapped[float | None]
    spread_seconds: Mapped[float | None]
    max_runs: Mapped[int | None]
    pause_after_failures: Mapped[int | None]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    updated_at: Mapped[datetime] = mapped_column(server_default=func.now())

    status: Mapped[str] = mapped_column(server_default=text("'active'"))
    status_reason: Mapped[str | None]
    next_run_at: Mapped[datetime | None]
    last_run_at: Mapped[datetime | None]
    counts_from: Mapped[datetime] = mapped_column(server_default=func.now())
    """Since when the rule has been in force without a break: each occurrence after it is told."""
    runs: Mapped[int] = mapped_column(server_default=text("0"))
    """How many tasks its clock has made since `max_runs` began to count."""
    caught_up_from: Mapped[datetime | None]
    """A catch-up that goes backwards has told all from here to `caught_up_until`."""
    caught_up_until: Mapped[datetime | None]

    __table_args__ = (
        CheckConstraint(_PRIORITY, name="priority_in_range"),
        CheckConstraint(
            _one_of("type", ["interval", "cron", "oneshot", "rrule", "calendar"]),
            name="type_known",
        ),
        CheckConstraint(
            _one_of("on_holiday", ["skip", "next-business-day", "previous-business-day"]),
            name="on_holiday_known",
        ),
        CheckConstraint(_one_of("dst_gap", ["next", "skip"]), name="dst_gap_known"),
        CheckConstraint(_one_of("dst_fold", ["first", "both"]), name="dst_fold_known"),
        CheckConstraint("starts_at < ends_at", name="starts_before_it_ends"),
        CheckConstraint(
            _one_of("status", ["active", "paused", "completed", "error"]), name="status_known"
        ),
        CheckConstraint(
            "status <> 'active' OR next_run_at IS NOT NULL", name="active_has_next_run_at"
        ),
        CheckConstraint("max_retries >= 0", name="max_retries_not_negative"),
        CheckConstraint(
            "timeout_seconds > 0 AND timeout_seconds < 'infinity'", name="timeout_finite"
        ),
        CheckConstraint(_one_of("overlap", _OVERLAP), name="overlap_known"),
        CheckConstraint(_one_of("misfire", ["run-once", "skip", "run-all"]), name="misfire_known"),
        CheckConstraint(
            _one_of("catch_up_order", ["oldest-first", "newest-first"]), name="catch_up_order_known"
        ),
        CheckConstraint(
            "misfire_grace_seconds >= 0 AND misfire_grace_seconds < 'infinity'",
            name="misfire_grace_finite",
        ),
        CheckConstraint(
            "catch_up_seconds > 0 AND catch_up_seconds < 'infinity'", name="catch_up_finite"
        ),
        CheckConstraint("jitter_seconds > 0 AND jitter_seconds < 'infinity'", name="jitter_finite"),
        CheckConstraint("spread_seconds > 0 AND spread_seconds < 'infinity'", name="spread_finite"),
        CheckConstraint("max_runs > 0", name="max_runs_positive"),
        CheckConstraint("pause_after_failures > 0", name="pause_after_failures_positive"),
        CheckConstraint(
            "(caught_up_from IS NULL) = (caught_up_until IS NULL)", name="caught_up_or_not"
        ),
        # Beat: which schedules are due, and when is the next.
        Index("ix_schedules_due", "next_run_at", postgresql_where=text("status = 'active'")),
        # Beat: which schedules may have a backlog to make up for.
        Index(
            "ix_schedules_run_all",
            "next_run_at",
            postgresql_where=text("status = 'active' AND misfire = 'run-all'"),
        ),
        # The schedules of a flow, when it is shown, goes or is deleted.
        Index("ix_schedules_flow_id", "flow_id"),
        # The schedules of a calendar, when it changes or is deleted.
        Index("ix_schedules_calendar", "calendar", postgresql_where=text("calendar IS NOT NULL")),
    )


class SkippedOccurrencesRow(Base):
    """Occurrences in a row that did not become tasks, and why."""

    __tablename__ = "skipped_occurrences"

    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    schedule_id: Mapped[UUID] = mapped_column(ForeignKey("schedules.id", ondelete="CASCADE"))
    first_at: Mapped[datetime]
    last_at: Mapped[datetime]
    """The last one that is meant; occurrences of the rule between the two are, too."""
    reason: Mapped[str]
    recorded_at: Mapped[datetime] = mapped_column(server_default=func.now())

    __table_args__ = (
        CheckConstraint("first_at <= last_at", name="in_order"),
        # What became of an occurrence of a schedule.
        Index("ix_skipped_occurrences_schedule_id", "schedule_id", "first_at"),
    )


class TaskRow(Base):
    __tablename__ = "tasks"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    flow_id: Mapped[UUID] = mapped_column(ForeignKey("flows.id", ondelete="CASCADE"))
    flow_version_id: Mapped[UUID] = mapped_column(
        # Checked at commit: deleting a flow deletes tasks and versions in either order.
        ForeignKey("flow_versions.id", deferrable=True, initially="DEFERRED")
    )
    source_id: Mapped[UUID] = mapped_column(ForeignKey("sources.id"))
    schedule_id: Mapped[UUID | None] = mapped_column(
        ForeignKey("schedules.id", ondelete="SET NULL")
    )
    scheduled_for: Mapped[datetime | None]

    input_value: Mapped[str] = mapped_column(server_default=text("''"))
    tweaks: Mapped[dict[str, Any]] = mapped_column(server_default=text("'{}'"))
    session_id: Mapped[str | None]
    priority: Mapped[int] = mapped_column(server_default=text("0"))
    # Without a foreign key: a beat inserts thousands a second.
    queue: Mapped[str] = mapped_column(server_default=text("'automagik'"))
    max_retries: Mapped[int]
    timeout_seconds: Mapped[float]
    at_most_once: Mapped[bool] = mapped_column(server_default=text("false"))
    idempotency_key: Mapped[str | None] = mapped_column(unique=True)
    in_turn: Mapped[bool] = mapped_column(server_default=text("false"))
    """Whether it waits until no older task of its schedule is unfinished."""
    # Nobody waits in turn any more when the schedule is deleted.
    waits_in_turn: Mapped[bool] = mapped_column(
        Computed("in_turn AND schedule_id IS NOT NULL"), nullable=False
    )

    state: Mapped[str] = mapped_column(server_default=text("'pending'"))
    state_reason: Mapped[str | None]
    state_actor: Mapped[str] = mapped_column(server_default=text("'unknown'"))
    run_at: Mapped[datetime] = mapped_column(server_default=func.now())
    # A point of priority is worth a minute of waiting, so nothing starves. This does not change
    # while a task waits, which lets an index keep the order.
    turn_at: Mapped[datetime | None] = mapped_column(
        Computed("(run_at AT TIME ZONE 'UTC' - priority * '00:01:00'::interval) AT TIME ZONE 'UTC'")
    )
    attempt: Mapped[int] = mapped_column(server_default=text("0"))
    max_attempts: Mapped[int]
    worker_id: Mapped[UUID | None]
    lease_expires_at: Mapped[datetime | None]

    result: Mapped[dict[str, Any] | None] = mapped_column(deferred=True)
    output_text: Mapped[str | None] = mapped_column(deferred=True)
    error_code: Mapped[str | None]
    error_message: Mapped[str | None]

    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    queued_at: Mapped[datetime | None]
    started_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]

    __table_args__ = (
        # The promise: an occurrence is recorded once, whoever fires it.
        UniqueConstraint("schedule_id", "scheduled_for"),
        CheckConstraint(_one_of("state", TaskState), name="state_known"),
        CheckConstraint(
            f"(finished_at IS NOT NULL) = ({_one_of('state', sorted(FINAL))})",
            name="finished_at_iff_final",
        ),
        CheckConstraint(
            "(lease_expires_at IS NOT NULL) = (state = 'running')", name="lease_iff_running"
        ),
        CheckConstraint(_PRIORITY, name="priority_in_range"),
        # Dispatch: the best due task of a source in a queue, past those that wait in turn.
        Index(
            "ix_tasks_dispatchable",
            "source_id",
            "queue",
            "waits_in_turn",
            "turn_at",
            postgresql_where=text("state IN ('pending', 'waiting')"),
        ),
        # Dispatch: which schedules have tasks that wait in turn.
        Index(
            "ix_tasks_in_turn",
            "schedule_id",
            postgresql_where=text("waits_in_turn AND state IN ('pending', 'waiting')"),
        ),
        # Beat: when is the next task due.
        Index(
            "ix_tasks_run_at", "run_at", postgresql_where=text("state IN ('pending', 'waiting')")
        ),
        # Dispatch: how many runs of a source, and of a flow, are under way.
        Index(
            "ix_tasks_under_way",
            "source_id",
            "flow_id",
            postgresql_where=text("state IN ('queued', 'running')"),
        ),
        # Overlap: what of a schedule has not ended, and in which order it began.
        Index(
            "ix_tasks_unfinished",
            "schedule_id",
            "id",
            postgresql_where=text(f"schedule_id IS NOT NULL AND {_UNFINISHED}"),
        ),
        # Reconciliation: deliveries that may have been lost.
        Index("ix_tasks_queued_at", "queued_at", postgresql_where=text("state = 'queued'")),
        # Reaper: leases that ended.
        Index("ix_tasks_lease", "lease_expires_at", postgresql_where=text("state = 'running'")),
        # Newest tasks of a flow; deletion of a flow.
        Index("ix_tasks_flow_id", "flow_id", text("id DESC")),
        # Newest tasks of a schedule.
        Index("ix_tasks_schedule_id", "schedule_id", text("id DESC")),
        # Failed tasks and the like, newest first.
        Index("ix_tasks_state", "state", text("id DESC")),
        # Retention: finished tasks, oldest first.
        Index(
            "ix_tasks_finished_at", "finished_at", postgresql_where=text("finished_at IS NOT NULL")
        ),
    )


class TaskAttemptRow(Base):
    __tablename__ = "task_attempts"

    task_id: Mapped[UUID] = mapped_column(
        ForeignKey("tasks.id", ondelete="CASCADE"), primary_key=True
    )
    attempt: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    worker_id: Mapped[UUID]
    worker_name: Mapped[str]
    started_at: Mapped[datetime] = mapped_column(server_default=func.now())
    finished_at: Mapped[datetime | None]
    outcome: Mapped[str | None]
    error_code: Mapped[str | None]
    error_message: Mapped[str | None]
    http_status: Mapped[int | None]

    __table_args__ = (
        CheckConstraint(_one_of("outcome", AttemptOutcome), name="outcome_known"),
        CheckConstraint(
            "(finished_at IS NOT NULL) = (outcome IS NOT NULL)", name="finished_at_iff_outcome"
        ),
    )


class TaskEventRow(Base):
    """Each change of a task's state; written by the database's own trigger."""

    __tablename__ = "task_events"

    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    task_id: Mapped[UUID] = mapped_column(ForeignKey("tasks.id", ondelete="CASCADE"))
    attempt: Mapped[int]
    from_state: Mapped[str | None]
    to_state: Mapped[str]
    actor: Mapped[str]
    reason: Mapped[str | None]
    at: Mapped[datetime] = mapped_column(server_default=func.clock_timestamp())

    __table_args__ = (
        # The history of a task.
        Index("ix_task_events_task_id", "task_id", "id"),
    )


class TaskLogRow(Base):
    __tablename__ = "task_logs"

    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    task_id: Mapped[UUID] = mapped_column(ForeignKey("tasks.id", ondelete="CASCADE"))
    attempt: Mapped[int]
    at: Mapped[datetime]
    level: Mapped[str]
    component: Mapped[str]
    message: Mapped[str]

    __table_args__ = (
        CheckConstraint(
            _one_of("level", ["debug", "info", "warning", "error"]), name="level_known"
        ),
        # The log of a task, in order.
        Index("ix_task_logs_task_id", "task_id", "id"),
    )


class WorkerRow(Base):
    __tablename__ = "workers"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    name: Mapped[str]
    hostname: Mapped[str]
    pid: Mapped[int]
    pool: Mapped[str]
    slots: Mapped[int]
    queues: Mapped[list[str]] = mapped_column(ARRAY(Text))
    version: Mapped[str]
    status: Mapped[str] = mapped_column(server_default=text("'online'"))
    started_at: Mapped[datetime] = mapped_column(server_default=func.now())
    heartbeat_at: Mapped[datetime] = mapped_column(server_default=func.now())
    clock_offset_seconds: Mapped[float | None]
    """How far its host's clock is ahead of PostgreSQL's."""
    release_at: Mapped[datetime | None]
    """When a draining worker gives its runs back."""
    stopped_at: Mapped[datetime | None]

    __table_args__ = (
        CheckConstraint(
            _one_of("status", ["online", "draining", "stopped", "lost"]), name="status_known"
        ),
        # Live workers: slots for dispatch, and those that fell silent.
        Index(
            "ix_workers_live",
            "heartbeat_at",
            postgresql_where=text("status IN ('online', 'draining')"),
        ),
    )


class BeatRow(Base):
    __tablename__ = "beats"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    hostname: Mapped[str]
    pid: Mapped[int]
    version: Mapped[str]
    started_at: Mapped[datetime] = mapped_column(server_default=func.now())
    last_tick_at: Mapped[datetime] = mapped_column(server_default=func.now())
    clock_offset_seconds: Mapped[float | None]
    """How far its host's clock is ahead of PostgreSQL's."""
    stopped_at: Mapped[datetime | None]


metadata = Base.metadata
"""All the tables, for migrations."""
