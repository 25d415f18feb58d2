"""Schedules, what they leave out, and the calendars they heed."""

from datetime import date, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    ColumnClause,
    ForeignKey,
    Identity,
    Index,
    func,
    text,
)

from automagik.core.database.base import Base, column, new_id
from automagik.core.database.models.checks import PRIORITY, one_of

_OVERLAP = ["allow-all", "skip", "buffer-one", "buffer-all", "cancel-other", "terminate-other"]
_ENDS = ["completed", "failed", "recovered", "any"]


class CalendarRow(Base):
    """A named set of days on which no business is done."""

    __tablename__ = "calendars"

    name: ColumnClause[str] = column(primary_key=True)
    project: ColumnClause[str | None]
    """Whose file describes it; unset: a person made it by hand."""
    created_at: ColumnClause[datetime] = column(server_default=func.now())
    updated_at: ColumnClause[datetime] = column(server_default=func.now())


class CalendarDayRow(Base):
    __tablename__ = "calendar_days"

    calendar: ColumnClause[str] = column(
        ForeignKey("calendars.name", ondelete="CASCADE"), primary_key=True
    )
    day: ColumnClause[date] = column(primary_key=True)
    title: ColumnClause[str] = column(server_default=text("''"))


class ScheduleRow(Base):
    """What the user wrote, and from `next_run_at` on what became of it."""

    __tablename__ = "schedules"

    id: ColumnClause[UUID] = column(primary_key=True, default=new_id)
    name: ColumnClause[str] = column(unique=True)
    flow_id: ColumnClause[UUID] = column(ForeignKey("flows.id", ondelete="CASCADE"))
    type: ColumnClause[str]
    expr: ColumnClause[str]
    timezone: ColumnClause[str]
    anchor_at: ColumnClause[datetime]
    more_cadences: ColumnClause[list[Any]] = column(server_default=text("'[]'"))
    """Each with `type` and `expr`: the schedule occurs when any of its cadences does."""
    exclusions: ColumnClause[list[Any]] = column(server_default=text("'[]'"))
    calendar: ColumnClause[str | None] = column(ForeignKey("calendars.name", ondelete="RESTRICT"))
    on_holiday: ColumnClause[str] = column(server_default=text("'skip'"))
    quiet_hours: ColumnClause[str | None]
    starts_at: ColumnClause[datetime | None]
    ends_at: ColumnClause[datetime | None]
    dst_gap: ColumnClause[str] = column(server_default=text("'next'"))
    dst_fold: ColumnClause[str] = column(server_default=text("'first'"))
    after_schedule_id: ColumnClause[UUID | None] = column(
        ForeignKey("schedules.id", ondelete="CASCADE")
    )
    """Of type `after`: whose runs it follows; `expr` says which end of theirs it waits for."""
    after_flow_id: ColumnClause[UUID | None] = column(ForeignKey("flows.id", ondelete="CASCADE"))
    """The same for all runs of a flow."""
    labels: ColumnClause[dict[str, Any]] = column(server_default=text("'{}'"))
    project: ColumnClause[str | None]
    """Whose file describes it; unset: a person made it by hand."""
    input_value: ColumnClause[str] = column(server_default=text("''"))
    tweaks: ColumnClause[dict[str, Any]] = column(server_default=text("'{}'"))
    session_id: ColumnClause[str | None]
    priority: ColumnClause[int | None]
    queue: ColumnClause[str | None] = column(ForeignKey("queues.name"))
    max_retries: ColumnClause[int | None]
    timeout_seconds: ColumnClause[float | None]
    at_most_once: ColumnClause[bool | None]
    overlap: ColumnClause[str] = column(server_default=text("'allow-all'"))
    misfire: ColumnClause[str] = column(server_default=text("'run-once'"))
    misfire_grace_seconds: ColumnClause[float | None]
    catch_up_seconds: ColumnClause[float | None]
    catch_up_order: ColumnClause[str] = column(server_default=text("'oldest-first'"))
    jitter_seconds: ColumnClause[float | None]
    spread_seconds: ColumnClause[float | None]
    max_runs: ColumnClause[int | None]
    pause_after_failures: ColumnClause[int | None]
    created_at: ColumnClause[datetime] = column(server_default=func.now())
    updated_at: ColumnClause[datetime] = column(server_default=func.now())

    status: ColumnClause[str] = column(server_default=text("'active'"))
    status_reason: ColumnClause[str | None]
    paused_until: ColumnClause[datetime | None]
    """When a beat resumes it; unset: a person does."""
    held_from: ColumnClause[datetime | None]
    """Where its clock stood when it was paused: the first occurrence that is not told yet."""
    next_run_at: ColumnClause[datetime | None]
    last_run_at: ColumnClause[datetime | None]
    counts_from: ColumnClause[datetime] = column(server_default=func.now())
    """Since when the rule has been in force without a break: each occurrence after it is told."""
    runs: ColumnClause[int] = column(server_default=text("0"))
    """How many tasks its clock has made since `max_runs` began to count."""
    caught_up_from: ColumnClause[datetime | None]
    """A catch-up that goes backwards has told all from here to `caught_up_until`."""
    caught_up_until: ColumnClause[datetime | None]

    __table_args__ = (
        CheckConstraint(PRIORITY, name="priority_in_range"),
        CheckConstraint(
            one_of("type", ["interval", "cron", "oneshot", "rrule", "calendar", "after"]),
            name="type_known",
        ),
        CheckConstraint(
            "num_nonnulls(after_schedule_id, after_flow_id) = (type = 'after')::int",
            name="after_one_thing",
        ),
        CheckConstraint(f"type <> 'after' OR {one_of('expr', _ENDS)}", name="after_end_known"),
        CheckConstraint(
            one_of("on_holiday", ["skip", "next-business-day", "previous-business-day"]),
            name="on_holiday_known",
        ),
        CheckConstraint(one_of("dst_gap", ["next", "skip"]), name="dst_gap_known"),
        CheckConstraint(one_of("dst_fold", ["first", "both"]), name="dst_fold_known"),
        CheckConstraint("starts_at < ends_at", name="starts_before_it_ends"),
        CheckConstraint(
            one_of("status", ["active", "paused", "completed", "error"]), name="status_known"
        ),
        CheckConstraint(
            "status <> 'active' OR next_run_at IS NOT NULL OR type = 'after'",
            name="active_has_next_run_at",
        ),
        CheckConstraint(
            "status = 'paused' OR num_nonnulls(paused_until, held_from) = 0",
            name="held_while_paused",
        ),
        CheckConstraint("max_retries >= 0", name="max_retries_not_negative"),
        CheckConstraint(
            "timeout_seconds > 0 AND timeout_seconds < 'infinity'", name="timeout_finite"
        ),
        CheckConstraint(one_of("overlap", _OVERLAP), name="overlap_known"),
        CheckConstraint(one_of("misfire", ["run-once", "skip", "run-all"]), name="misfire_known"),
        CheckConstraint(
            one_of("catch_up_order", ["oldest-first", "newest-first"]), name="catch_up_order_known"
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
        # Beat: which pauses are over, and when is the next.
        Index(
            "ix_schedules_paused_until",
            "paused_until",
            postgresql_where=text("paused_until IS NOT NULL"),
        ),
        # The end of a task: which schedules follow it; deletion of what they follow.
        Index(
            "ix_schedules_after_schedule_id",
            "after_schedule_id",
            postgresql_where=text("after_schedule_id IS NOT NULL"),
        ),
        Index(
            "ix_schedules_after_flow_id",
            "after_flow_id",
            postgresql_where=text("after_flow_id IS NOT NULL"),
        ),
        # The schedules of a flow, when it is shown, goes or is deleted.
        Index("ix_schedules_flow_id", "flow_id"),
        # The schedules of a calendar, when it changes or is deleted.
        Index("ix_schedules_calendar", "calendar", postgresql_where=text("calendar IS NOT NULL")),
    )


class SkippedOccurrencesRow(Base):
    """Occurrences in a row that did not become tasks, and why."""

    __tablename__ = "skipped_occurrences"

    id: ColumnClause[int] = column(Identity(always=True), type_=BigInteger, primary_key=True)
    schedule_id: ColumnClause[UUID] = column(ForeignKey("schedules.id", ondelete="CASCADE"))
    first_at: ColumnClause[datetime]
    last_at: ColumnClause[datetime]
    """The last one that is meant; occurrences of the rule between the two are, too."""
    reason: ColumnClause[str]
    recorded_at: ColumnClause[datetime] = column(server_default=func.now())

    __table_args__ = (
        CheckConstraint("first_at <= last_at", name="in_order"),
        # What became of an occurrence of a schedule.
        Index("ix_skipped_occurrences_schedule_id", "schedule_id", "first_at"),
    )


class FollowUpRow(Base):
    """A task has ended that a schedule of type `after` waits for; a beat has not seen it yet.

    Written by the database's own trigger with the end itself. Without foreign keys: who finishes a
    task does not wait for who deletes a schedule.
    """

    __tablename__ = "follow_ups"

    id: ColumnClause[int] = column(Identity(always=True), type_=BigInteger, primary_key=True)
    schedule_id: ColumnClause[UUID]
    parent_task_id: ColumnClause[UUID]
    parent_attempt: ColumnClause[int]
    ended_at: ColumnClause[datetime]


class BackfillRow(Base):
    """A stretch of the past whose occurrences without a task are to run, oldest first."""

    __tablename__ = "backfills"

    id: ColumnClause[UUID] = column(primary_key=True, default=new_id)
    schedule_id: ColumnClause[UUID] = column(ForeignKey("schedules.id", ondelete="CASCADE"))
    begin_at: ColumnClause[datetime]
    end_at: ColumnClause[datetime]
    """Not included."""
    overlap: ColumnClause[str] = column(server_default=text("'allow-all'"))
    max_concurrent: ColumnClause[int]
    """How many of its tasks may be unfinished."""
    state: ColumnClause[str] = column(server_default=text("'running'"))
    reason: ColumnClause[str | None]
    """Why it was cancelled."""
    occurrences: ColumnClause[int]
    """How many its stretch had when it began."""
    told_until: ColumnClause[datetime]
    """How far it has come: each occurrence before has a task or was passed by."""
    made: ColumnClause[int] = column(server_default=text("0"))
    """How many tasks it has made."""
    passed_by: ColumnClause[int] = column(server_default=text("0"))
    """How many occurrences had a task already, or were left out by its overlap policy."""
    actor: ColumnClause[str]
    created_at: ColumnClause[datetime] = column(server_default=func.now())
    finished_at: ColumnClause[datetime | None]

    __table_args__ = (
        CheckConstraint("begin_at < end_at", name="in_order"),
        CheckConstraint(
            one_of("overlap", ["allow-all", "skip", "buffer-all"]), name="overlap_known"
        ),
        CheckConstraint("max_concurrent > 0", name="max_concurrent_positive"),
        CheckConstraint(one_of("state", ["running", "completed", "cancelled"]), name="state_known"),
        CheckConstraint(
            "(finished_at IS NULL) = (state = 'running')", name="finished_at_iff_not_running"
        ),
        # Beat: which backfills go on.
        Index("ix_backfills_running", "id", postgresql_where=text("state = 'running'")),
        # The backfills of a schedule; its deletion.
        Index("ix_backfills_schedule_id", "schedule_id", text("id DESC")),
    )
