"""What a chain waits for: the end of runs of a schedule, or of a flow. Pure.

A chain is a schedule of type `after`. It has no clock: the end of one run starts another. Runs of
backfills start none: they belong to the past.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from automagik.core.scheduler.schedule_type import ScheduleType


class End(StrEnum):
    """Which end of a run counts. A run that was cancelled starts nothing."""

    COMPLETED = "completed"
    FAILED = "failed"
    RECOVERED = "recovered"
    """It completed, and the run before it had failed."""
    ANY = "any"
    """Completed or failed."""


class Reaction(StrEnum):
    """A chain that is made together with the schedule it follows, named for both."""

    ON_SUCCESS = "on-success"
    ON_FAILURE = "on-failure"
    ON_RECOVERY = "on-recovery"

    @property
    def end(self) -> End:
        return _ENDS[self]

    def name_after(self, schedule: str) -> str:
        """`nightly-on-failure`."""
        return f"{schedule}-{self}"


_ENDS = {
    Reaction.ON_SUCCESS: End.COMPLETED,
    Reaction.ON_FAILURE: End.FAILED,
    Reaction.ON_RECOVERY: End.RECOVERED,
}


@dataclass(frozen=True, kw_only=True, slots=True)
class AfterText:
    """What a person writes: the schedule or the flow by its name, and the end that counts."""

    reference: str
    """`nightly`, or where a schedule and a flow have that name: `schedule:nightly`."""
    end: End = End.COMPLETED


@dataclass(frozen=True, kw_only=True, slots=True)
class After:
    """Whose end a chain waits for: one of the ids is set."""

    end: End
    schedule_id: UUID | None
    flow_id: UUID | None
    """All runs of the flow, also those by hand."""
    name: str

    def describe(self) -> str:
        """`after nightly has completed`."""
        whose = self.name if self.flow_id is None else f"a run of the flow {self.name}"
        return f"after {whose} has {_DONE[self.end]}"

    def columns(self) -> Mapping[str, Any]:
        """Of the table of schedules."""
        return {
            "type": str(ScheduleType.AFTER),
            "expr": str(self.end),
            "after_schedule_id": self.schedule_id,
            "after_flow_id": self.flow_id,
        }

    def new_columns(self, *, timezone: str, now: datetime) -> dict[str, Any]:
        """Of a new row: without a clock the zone only says how instants are told."""
        times = {"timezone": timezone, "anchor_at": now, "counts_from": now, "next_run_at": None}
        return {**self.columns(), **times}


_DONE = {
    End.COMPLETED: "completed",
    End.FAILED: "failed",
    End.RECOVERED: "recovered",
    End.ANY: "completed or failed",
}


def default_input(end: End) -> str:
    """What a chain gives its flow unless something else is said: a template."""
    return "{{ error }}" if end is End.FAILED else "{{ output }}"
