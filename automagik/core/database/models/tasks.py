"""Tasks with all that happened to them."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Computed,
    ForeignKey,
    Identity,
    Index,
    UniqueConstraint,
    func,
    text,
)
from sqlalchemy.orm import Mapped, mapped_column

from automagik.core.database.base import Base, new_id
from automagik.core.database.models.checks import PRIORITY, one_of
from automagik.core.tasks.states import FINAL, AttemptOutcome, TaskState

_UNFINISHED = one_of("state", [state for state in TaskState if not state.is_final])


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
    backfill_id: Mapped[UUID | None] = mapped_column(
        ForeignKey("backfills.id", ondelete="SET NULL")
    )
    parent_task_id: Mapped[UUID | None] = mapped_column(ForeignKey("tasks.id", ondelete="SET NULL"))
    """Whose end started it."""
    parent_attempt: Mapped[int | None]

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
        # The end of a task starts a run once, whoever sees it; deletion of a parent.
        Index(
            "uq_tasks_parent",
            "parent_task_id",
            "schedule_id",
            "parent_attempt",
            unique=True,
            postgresql_where=text("parent_task_id IS NOT NULL"),
        ),
        CheckConstraint(one_of("state", TaskState), name="state_known"),
        CheckConstraint(
            f"(finished_at IS NOT NULL) = ({one_of('state', sorted(FINAL))})",
            name="finished_at_iff_final",
        ),
        CheckConstraint(
            "(lease_expires_at IS NOT NULL) = (state = 'running')", name="lease_iff_running"
        ),
        CheckConstraint(PRIORITY, name="priority_in_range"),
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
        # Backfill: how many of its tasks are unfinished; its deletion.
        Index(
            "ix_tasks_backfill_id",
            "backfill_id",
            "state",
            postgresql_where=text("backfill_id IS NOT NULL"),
        ),
        # Reconciliation: deliveries that may have been lost.
        Index("ix_tasks_queued_at", "queued_at", postgresql_where=text("state = 'queued'")),
        # Reaper: leases that ended.
        Index("ix_tasks_lease", "lease_expires_at", postgresql_where=text("state = 'running'")),
        # Newest tasks of a flow; deletion of a flow.
        Index("ix_tasks_flow_id", "flow_id", text("id DESC")),
        # Newest tasks of a schedule.
        Index("ix_tasks_schedule_id", "schedule_id", text("id DESC")),
        # Tasks of a flow in a rare state, newest first. Those of a schedule that have not ended
        # have an index already.
        Index(
            "ix_tasks_flow_state",
            "flow_id",
            "state",
            text("id DESC"),
            postgresql_where=text("state <> 'completed'"),
        ),
        Index(
            "ix_tasks_schedule_state",
            "schedule_id",
            "state",
            text("id DESC"),
            postgresql_where=text("state IN ('failed', 'cancelled')"),
        ),
        # Why runs failed lately; which schedules have just failed.
        Index("ix_tasks_failed_at", "finished_at", postgresql_where=text("state = 'failed'")),
        # Failed tasks and the like, newest first.
        Index("ix_tasks_state", "state", text("id DESC")),
        # Tasks with an error, newest first.
        Index(
            "ix_tasks_error_code",
            "error_code",
            text("id DESC"),
            postgresql_where=text("error_code IS NOT NULL"),
        ),
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
        CheckConstraint(one_of("outcome", AttemptOutcome), name="outcome_known"),
        CheckConstraint(
            "(finished_at IS NOT NULL) = (outcome IS NOT NULL)", name="finished_at_iff_outcome"
        ),
        # Newest tasks of a worker.
        Index("ix_task_attempts_worker_id", "worker_id", text("task_id DESC")),
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
        CheckConstraint(one_of("level", ["debug", "info", "warning", "error"]), name="level_known"),
        # The log of a task, in order.
        Index("ix_task_logs_task_id", "task_id", "id"),
    )
