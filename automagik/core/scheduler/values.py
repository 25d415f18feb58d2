"""What the rooms around schedules are given: values, never rows."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any
from uuid import UUID

from automagik.core.flows.flow_input import FlowInput
from automagik.core.scheduler.cadence import Cadence, ScheduleType, load_cadence


class ScheduleStatus(StrEnum):
    """Whether a schedule starts runs, and if not, why not."""

    ACTIVE = "active"
    PAUSED = "paused"
    COMPLETED = "completed"
    """It has no further occurrences: a one-shot after its run."""
    ERROR = "error"
    """Set aside by a beat that could not compute it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class CadenceText:
    """A time rule as a person types it."""

    type: str
    expr: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Schedule:
    """When a flow runs, and with what."""

    id: UUID
    name: str
    flow_id: UUID
    flow_name: str
    source_name: str
    type: ScheduleType
    expr: str
    timezone: str
    anchor_at: datetime
    """From where an interval counts."""
    run_input: FlowInput
    priority: int
    max_retries: int | None
    """None: the flow's counts, then the setting. So for `timeout`."""
    timeout: timedelta | None
    status: ScheduleStatus
    status_reason: str | None
    next_run_at: datetime | None
    """None unless active."""
    last_run_at: datetime | None
    """The latest occurrence that became a task."""
    created_at: datetime
    updated_at: datetime

    @property
    def cadence(self) -> Cadence:
        """Raises InvalidCadence when what is stored is no rule any more."""
        return load_cadence(self.type, self.expr, timezone=self.timezone, anchor=self.anchor_at)


@dataclass(frozen=True, kw_only=True, slots=True)
class ScheduleChange:
    """What to change; None stays as it is. An empty session stands for none."""

    name: str | None = None
    cadence: CadenceText | None = None
    timezone: str | None = None
    input_value: str | None = None
    tweaks: Mapping[str, Mapping[str, Any]] | None = None
    session_id: str | None = None
    priority: int | None = None
    max_retries: int | None = None
    timeout: timedelta | None = None

    @property
    def concerns_input(self) -> bool:
        given = (self.input_value, self.tweaks, self.session_id)
        return any(part is not None for part in given)
