"""What the rooms around schedules are given: values, never rows."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from enum import StrEnum
from typing import Any
from uuid import UUID

from automagik.core.flows.flow_input import FlowInput
from automagik.core.flows.values import Flow
from automagik.core.scheduler.after import After, End, Reaction
from automagik.core.scheduler.dst import Fold, Gap
from automagik.core.scheduler.exceptions import InvalidCadence
from automagik.core.scheduler.holidays import OnHoliday
from automagik.core.scheduler.labels import UnsetLabel
from automagik.core.scheduler.policies import Policies
from automagik.core.scheduler.policy_columns import PolicyChange, PolicyOption
from automagik.core.scheduler.rule import Rule, load_rule
from automagik.core.scheduler.rule_text import CadenceText, RuleLimits, RuleOption, RuleText
from automagik.core.scheduler.schedule_type import ScheduleType
from automagik.core.tasks.run_options import RunOption

__all__ = [
    "CadenceText",
    "RuleLimits",
    "Schedule",
    "ScheduleChange",
    "ScheduleStatus",
]


class ScheduleStatus(StrEnum):
    """Whether a schedule starts runs, and if not, why not."""

    ACTIVE = "active"
    PAUSED = "paused"
    COMPLETED = "completed"
    """It has no further occurrences: a one-shot after its run."""
    ERROR = "error"
    """Set aside by a beat that could not compute it."""


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
    more_cadences: tuple[CadenceText, ...]
    """It occurs when any of its cadences does."""
    after: After | None
    """Whose end starts its runs; None: its clock does."""
    limits: RuleLimits
    run_input: FlowInput
    priority: int | None
    """None: the flow's counts, then 0."""
    queue: str | None
    """None: the flow's counts, then the setting. So for `max_retries` and `timeout`."""
    max_retries: int | None
    timeout: timedelta | None
    policies: Policies
    status: ScheduleStatus
    status_reason: str | None
    paused_until: datetime | None
    """When a beat resumes it; None: a person does."""
    held_from: datetime | None
    """The first occurrence that its pause holds back; None unless paused."""
    labels: Mapping[str, str]
    project: str | None
    """Whose file describes it; None: a person made it by hand."""
    next_run_at: datetime | None
    """None unless active."""
    last_run_at: datetime | None
    """The latest occurrence that became a task."""
    counts_from: datetime
    """Since when its rule has been in force without a break."""
    runs: int
    """How many tasks its clock has made since `max_runs` began to count."""
    created_at: datetime
    updated_at: datetime
    holidays: frozenset[date] = field(repr=False)
    """The days of its calendar."""

    @property
    def is_used_up(self) -> bool:
        """Whether it has made as many runs as it may."""
        return self.policies.max_runs is not None and self.runs >= self.policies.max_runs

    @property
    def rule(self) -> Rule:
        """Raises InvalidCadence when what is stored is no rule any more, and for a chain."""
        if self.after is not None:
            raise InvalidCadence(f"Schedule {self.name!r} has no clock: it runs {self.describe()}.")
        return load_rule(
            self.rule_text, anchor=self.anchor_at, name=self.name, days=lambda _: self.holidays
        )

    def describe(self) -> str:
        """When it runs, in words. Raises InvalidCadence when its rule is none any more."""
        return self.rule.describe() if self.after is None else self.after.describe()

    @property
    def rule_text(self) -> RuleText:
        first = CadenceText(type=self.type, expr=self.expr)
        return RuleText(
            cadences=(first, *self.more_cadences), timezone=self.timezone, limits=self.limits
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class ScheduleChange:
    """What to change; None stays as it is.

    What `unset` names is left to the flow again, or has its default again. A new cadence replaces
    all that there were. An empty session stands for none.
    """

    name: str | None = None
    cadence: CadenceText | None = None
    more_cadences: tuple[CadenceText, ...] = ()
    """Beside the new one."""
    after: str | None = None
    """Of a chain: which schedule or flow it follows from now on."""
    on: End | None = None
    """Of a chain: the end that it waits for from now on."""
    reactions: Mapping[Reaction, Flow] = field(default_factory=dict)
    """Chains after it, by their own flows; each replaces the one that there was."""
    timezone: str | None = None
    exclusions: tuple[str, ...] | None = None
    calendar: str | None = None
    on_holiday: OnHoliday | None = None
    quiet_hours: str | None = None
    starts_at: datetime | None = None
    ends_at: datetime | None = None
    dst_gap: Gap | None = None
    dst_fold: Fold | None = None
    input_value: str | None = None
    tweaks: Mapping[str, Mapping[str, Any]] | None = None
    session_id: str | None = None
    priority: int | None = None
    queue: str | None = None
    max_retries: int | None = None
    timeout: timedelta | None = None
    policies: PolicyChange = field(default_factory=PolicyChange)
    labels: Mapping[str, str] = field(default_factory=dict)
    """Beside those that it has."""
    unset: Collection[RunOption | RuleOption | PolicyOption | Reaction | UnsetLabel] = ()

    @property
    def concerns_chains(self) -> bool:
        """Whether it may change what follows what, or the names of what is known by its own."""
        unset = any(isinstance(option, Reaction) for option in self.unset)
        return unset or bool(self.reactions) or self.after is not None or self.name is not None

    @property
    def concerns_input(self) -> bool:
        given = (self.input_value, self.tweaks, self.session_id)
        return any(part is not None for part in given)
