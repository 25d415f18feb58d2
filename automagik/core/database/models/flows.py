"""Sources, queues, and the flows with their versions."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import (
    CheckConstraint,
    ColumnClause,
    ForeignKey,
    Index,
    UniqueConstraint,
    func,
    text,
)

from automagik.core.database.base import Base, column, new_id
from automagik.core.database.models.checks import PRIORITY


class SourceRow(Base):
    __tablename__ = "sources"

    id: ColumnClause[UUID] = column(primary_key=True, default=new_id)
    name: ColumnClause[str] = column(unique=True)
    url: ColumnClause[str]
    api_key_encrypted: ColumnClause[str | None]
    max_parallel_runs: ColumnClause[int] = column(server_default=text("8"))
    max_runs_per_minute: ColumnClause[int | None]
    version: ColumnClause[str | None]
    checked_at: ColumnClause[datetime | None]
    project: ColumnClause[str | None]
    """Whose file describes it; unset: a person made it by hand."""
    created_at: ColumnClause[datetime] = column(server_default=func.now())
    updated_at: ColumnClause[datetime] = column(server_default=func.now())
    disabled_at: ColumnClause[datetime | None]
    """Since when it gets no runs; unset: it does."""
    disabled_reason: ColumnClause[str | None]

    rate_used_until: ColumnClause[datetime | None]
    """The runs that were sent use up the rate until then."""
    breaker_failures: ColumnClause[int] = column(server_default=text("0"))
    """How many attempts in a row found the source down."""
    breaker_opened_at: ColumnClause[datetime | None]
    """Since when it gets no runs but probes; unset: the breaker is closed."""
    breaker_probe_at: ColumnClause[datetime | None]
    """From then on one run may try whether the source is back."""
    breaker_probe_id: ColumnClause[UUID | None]
    """The task that tries."""
    breaker_reason: ColumnClause[str | None]

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

    name: ColumnClause[str] = column(primary_key=True)
    created_at: ColumnClause[datetime] = column(server_default=func.now())
    paused_at: ColumnClause[datetime | None]
    pause_reason: ColumnClause[str | None]


class FlowRow(Base):
    __tablename__ = "flows"

    id: ColumnClause[UUID] = column(primary_key=True, default=new_id)
    source_id: ColumnClause[UUID] = column(ForeignKey("sources.id", ondelete="RESTRICT"))
    remote_id: ColumnClause[str]
    name: ColumnClause[str]
    description: ColumnClause[str | None]
    endpoint_name: ColumnClause[str | None]
    input_component: ColumnClause[str | None]
    output_component: ColumnClause[str | None]
    version_id: ColumnClause[UUID] = column(
        # A flow and its first version are inserted in one transaction.
        ForeignKey("flow_versions.id", deferrable=True, initially="DEFERRED", use_alter=True)
    )
    max_retries: ColumnClause[int | None]
    timeout_seconds: ColumnClause[float | None]
    max_parallel_runs: ColumnClause[int | None]
    priority: ColumnClause[int | None]
    queue: ColumnClause[str | None] = column(ForeignKey("queues.name"))
    at_most_once: ColumnClause[bool] = column(server_default=text("false"))
    gone_at: ColumnClause[datetime | None]
    synced_at: ColumnClause[datetime] = column(server_default=func.now())
    created_at: ColumnClause[datetime] = column(server_default=func.now())
    updated_at: ColumnClause[datetime] = column(server_default=func.now())

    __table_args__ = (
        UniqueConstraint("source_id", "remote_id"),
        CheckConstraint("max_retries >= 0", name="max_retries_not_negative"),
        CheckConstraint(
            "timeout_seconds > 0 AND timeout_seconds < 'infinity'", name="timeout_finite"
        ),
        CheckConstraint("max_parallel_runs > 0", name="max_parallel_runs_positive"),
        CheckConstraint(PRIORITY, name="priority_in_range"),
        # Finds a flow by its name, in any case.
        Index("ix_flows_lower_name", text("lower(name)")),
    )


class FlowVersionRow(Base):
    __tablename__ = "flow_versions"

    id: ColumnClause[UUID] = column(primary_key=True, default=new_id)
    flow_id: ColumnClause[UUID] = column(ForeignKey("flows.id", ondelete="CASCADE"))
    number: ColumnClause[int]
    content_hash: ColumnClause[str]
    definition: ColumnClause[dict[str, Any]]
    created_at: ColumnClause[datetime] = column(server_default=func.now())

    __table_args__ = (
        UniqueConstraint("flow_id", "content_hash"),
        UniqueConstraint("flow_id", "number"),
    )


class FlowComponentRow(Base):
    __tablename__ = "flow_components"

    version_id: ColumnClause[UUID] = column(
        ForeignKey("flow_versions.id", ondelete="CASCADE"), primary_key=True
    )
    component_id: ColumnClause[str] = column(primary_key=True)
    type: ColumnClause[str]
    display_name: ColumnClause[str]
    is_input: ColumnClause[bool]
    is_output: ColumnClause[bool]
    parameters: ColumnClause[list[Any]]
