"""Sources, queues, and the flows with their versions."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import (
    CheckConstraint,
    ForeignKey,
    Index,
    UniqueConstraint,
    func,
    text,
)
from sqlalchemy.orm import Mapped, mapped_column

from automagik.core.database.base import Base, new_id
from automagik.core.database.models.checks import PRIORITY


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
    project: Mapped[str | None]
    """Whose file describes it; unset: a person made it by hand."""
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    updated_at: Mapped[datetime] = mapped_column(server_default=func.now())
    disabled_at: Mapped[datetime | None]
    """Since when it gets no runs; unset: it does."""
    disabled_reason: Mapped[str | None]

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
        CheckConstraint(PRIORITY, name="priority_in_range"),
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
