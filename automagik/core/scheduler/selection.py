"""Which schedules are meant, when not by their names."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from sqlalchemy import Select

from automagik.core.database.models import FlowRow, ScheduleRow
from automagik.core.scheduler.values import ScheduleStatus


@dataclass(frozen=True, kw_only=True, slots=True)
class Selection:
    """All that is said must be so; None says nothing."""

    flow_id: UUID | None = None
    source_id: UUID | None = None
    statuses: Sequence[ScheduleStatus] = ()
    """Any of these; none given: all."""
    labels: Mapping[str, str | None] = field(default_factory=dict)
    """By their keys; None: whatever the value."""

    def of(self, query: Select[Any]) -> Select[Any]:
        """What is left of a query that `rows.schedules()` began."""
        if self.flow_id is not None:
            query = query.where(ScheduleRow.flow_id == self.flow_id)
        if self.source_id is not None:
            query = query.where(FlowRow.source_id == self.source_id)
        if self.statuses:
            query = query.where(ScheduleRow.status.in_(self.statuses))
        for key, value in self.labels.items():
            has_key = ScheduleRow.labels.op("?")(key)
            has_both = ScheduleRow.labels.contains({key: value})
            query = query.where(has_key if value is None else has_both)
        return query
