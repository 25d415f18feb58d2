"""What the rooms around schedules are given: values, never rows."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any
from uuid import UUID

from automagik.core.flows.flow_input import FlowInput
from automagik.core.scheduler.cadence import Cadence, ScheduleType, load_cadence
from automagik.core.tasks.run_options import RunOption


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
    priority: int | None
    """None: the flow's counts, then 0."""
    queue: str | None
    """None: the flow's counts, then the setting. So for `max_retries` and `timeout`."""
    max_retries: int | None
    timeout: timedelta | None
    status: ScheduleStatus
    status_reason: str | None
    next_run_at: datetime | None
    """None unless active."""
    last_run_at: datetime | None
    """The latest occurrence that became a task."""
    counts_from: datetime
    """Since when its rule has been in force without a break."""
    created_at: datetime
    updated_at: datetime

    @property
    def cadence(self) -> Cadence:
        """Raises InvalidCadence when what is stored is no rule any more."""
        return load_cadence(self.type, self.expr, timezone=self.timezone, anchor=self.anchor_at)


@dataclass(frozen=True, kw_only=True, slots=True)
class ScheduleChange:
    """What to change; None stays as it is, and what `unset` names is left to the flow again.

    An empty session stands for none.
    """

    name: str | None = None
    cadence: CadenceText | None = None
    timezone: str | None = None
    input_value: str | None = None
    tweaks: Mapping[str, Mapping[str, Any]] | None = None
    session_id: str | None = None
    priority: int | None = None
    queue: str | None = None
    max_retries: int | None = None
    timeout: timedelta | None = None
    unset: Collection[RunOption] = ()

    @property
    def concerns_input(self) -> bool:
        given = (self.input_value, self.tweaks, self.session_id)
        return any(part is not None for part in given)
