"""Tasks with all that happened to them."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    ColumnClause,
    Computed,
    ForeignKey,
    Identity,
    Index,
    UniqueConstraint,
    func,
    text,
)

from automagik.core.database.base import Base, column, new_id
from automagik.core.database.models.checks import PRIORITY, one_of
from automagik.core.tasks.states import FINAL, AttemptOutcome, TaskState

_UNFINISHED = one_of("state", [state for state in TaskState if not state.is_final])


class TaskRow(Base):
    __tablename__ = "tasks"

    id: ColumnClause[UUID] = column(primary_key=True, default=new_id)
    flow_id: ColumnClause[UUID] = column(ForeignKey("flows.id", ondelete="CASCADE"))
    flow_version_id: ColumnClause[UUID] = column(
        # Checked at commit: deleting a flow deletes tasks and versions in either order.
        ForeignKey("flow_versions.id", deferrable=True, initially="DEFERRED")
    )
    source_id: ColumnClause[UUID] = column(ForeignKey("sources.id"))
    schedule_id: ColumnClause[UUID | None] = column(ForeignKey("schedules.id", ondelete="SET NULL"))
    scheduled_for: ColumnClause[datetime | None]
    backfill_id: ColumnClause[UUID | None] = column(ForeignKey("backfills.id", ondelete="SET NULL"))
    parent_task_id: ColumnClause[UUID | None] = column(ForeignKey("tasks.id", ondelete="SET NULL"))
    """Whose end started it."""
    parent_attempt: ColumnClause[int | None]

    input_value: ColumnClause[str] = column(server_default=text("''"))
    tweaks: ColumnClause[dict[str, Any]] = column(server_default=text("'{}'"))
    session_id: ColumnClause[str | None]
    priority: ColumnClause[int] = column(server_default=text("0"))
    # Without a foreign key: a beat inserts thousands a second.
    queue: ColumnClause[str] = column(server_default=text("'automagik'"))
    max_retries: ColumnClause[int]
    timeout_seconds: ColumnClause[float]
    at_most_once: ColumnClause[bool] = column(server_default=text("false"))
    idempotency_key: ColumnClause[str | None]
    in_turn: ColumnClause[bool] = column(server_default=text("false"))
    """Whether it waits until no older task of its schedule is unfinished."""
    # Nobody waits in turn any more when the schedule is deleted.
    waits_in_turn: ColumnClause[bool] = column(
        Computed("in_turn AND schedule_id IS NOT NULL"), nullable=False
    )

    # PostgreSQL keeps no statistics of it: plans must suit a backlog that has just come, too.
    state: ColumnClause[str] = column(server_default=text("'pending'"))
    state_reason: ColumnClause[str | None]
    state_actor: ColumnClause[str] = column(server_default=text("'unknown'"))
    run_at: ColumnClause[datetime] = column(server_default=func.now())
    # A point of priority is worth a minute of waiting, so nothing starves. This does not change
    # while a task waits, which lets an index keep the order.
    turn_at: ColumnClause[datetime | None] = column(
        Computed("(run_at AT TIME ZONE 'UTC' - priority * '00:01:00'::interval) AT TIME ZONE 'UTC'")
    )
    attempt: ColumnClause[int] = column(server_default=text("0"))
    max_attempts: ColumnClause[int]
    worker_id: ColumnClause[UUID | None]
    lease_expires_at: ColumnClause[datetime | None]

    result: ColumnClause[dict[str, Any] | None]
    output_text: ColumnClause[str | None]
    error_code: ColumnClause[str | None]
    error_message: ColumnClause[str | None]

    created_at: ColumnClause[datetime] = column(server_default=func.now())
    queued_at: ColumnClause[datetime | None]
    started_at: ColumnClause[datetime | None]
    finished_at: ColumnClause[datetime | None]
    traceparent: ColumnClause[str | None]
    """The span that its attempts are children of, as W3C Trace Context writes it."""

    __table_args__ = (
        # The promise: an occurrence is recorded once, whoever fires it.
        UniqueConstraint("schedule_id", "scheduled_for"),
        # A key makes one task, whoever gives it. Most have none.
        Index(
            "uq_tasks_idempotency_key",
            "idempotency_key",
            unique=True,
            postgresql_where=text("idempotency_key IS NOT NULL"),
        ),
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
        # Tasks of a flow in a state that is rare or has a backlog, newest first. Few are under way,
        # and those of a schedule that have not ended have an index already.
        Index(
            "ix_tasks_flow_state",
            "flow_id",
            "state",
            text("id DESC"),
            postgresql_where=text(
                "state IN ('pending', 'waiting', 'paused', 'failed', 'cancelled')"
            ),
        ),
        Index(
            "ix_tasks_schedule_state",
            "schedule_id",
            "state",
            text("id DESC"),
            postgresql_where=text("state IN ('failed', 'cancelled')"),
        ),
        # Failed tasks and the like, newest first.
        Index("ix_tasks_state", "state", text("id DESC")),
        # Tasks with an error, newest first.
        Index(
            "ix_tasks_error_code",
            "error_code",
            text("id DESC"),
            postgresql_where=text("error_code IS NOT NULL"),
        ),
        # Retention: the oldest of an outcome. Figures of what ended lately, without a look at the
        # table; why runs failed lately; which schedules have just failed.
        Index(
            "ix_tasks_ended",
            "state",
            "finished_at",
            postgresql_include=["flow_id", "run_at", "started_at"],
            postgresql_where=text("finished_at IS NOT NULL"),
        ),
    )


class TaskAttemptRow(Base):
    __tablename__ = "task_attempts"

    task_id: ColumnClause[UUID] = column(
        ForeignKey("tasks.id", ondelete="CASCADE"), primary_key=True
    )
    attempt: ColumnClause[int] = column(primary_key=True, autoincrement=False)
    worker_id: ColumnClause[UUID]
    worker_name: ColumnClause[str]
    started_at: ColumnClause[datetime] = column(server_default=func.now())
    finished_at: ColumnClause[datetime | None]
    outcome: ColumnClause[str | None]
    error_code: ColumnClause[str | None]
    error_message: ColumnClause[str | None]
    http_status: ColumnClause[int | None]

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

    id: ColumnClause[int] = column(Identity(always=True), type_=BigInteger, primary_key=True)
    task_id: ColumnClause[UUID] = column(ForeignKey("tasks.id", ondelete="CASCADE"))
    attempt: ColumnClause[int]
    from_state: ColumnClause[str | None]
    to_state: ColumnClause[str]
    actor: ColumnClause[str]
    reason: ColumnClause[str | None]
    at: ColumnClause[datetime] = column(server_default=func.clock_timestamp())

    __table_args__ = (
        # The history of a task.
        Index("ix_task_events_task_id", "task_id", "id"),
    )


class TaskLogRow(Base):
    __tablename__ = "task_logs"

    id: ColumnClause[int] = column(Identity(always=True), type_=BigInteger, primary_key=True)
    task_id: ColumnClause[UUID] = column(ForeignKey("tasks.id", ondelete="CASCADE"))
    attempt: ColumnClause[int]
    at: ColumnClause[datetime]
    level: ColumnClause[str]
    component: ColumnClause[str]
    message: ColumnClause[str]

    __table_args__ = (
        CheckConstraint(one_of("level", ["debug", "info", "warning", "error"]), name="level_known"),
        # The log of a task, in order.
        Index("ix_task_logs_task_id", "task_id", "id"),
    )
