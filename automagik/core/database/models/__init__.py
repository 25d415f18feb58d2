"""The tables. Rows stay in the room that loads them; edges get values."""

from automagik.core.database.base import Base
from automagik.core.database.models.flows import (
    FlowComponentRow,
    FlowRow,
    FlowVersionRow,
    QueueRow,
    SourceRow,
)
from automagik.core.database.models.processes import BeatRow, WatcherRow, WorkerRow
from automagik.core.database.models.schedules import (
    BackfillRow,
    CalendarDayRow,
    CalendarRow,
    FollowUpRow,
    ScheduleRow,
    SkippedOccurrencesRow,
)
from automagik.core.database.models.tasks import TaskAttemptRow, TaskEventRow, TaskLogRow, TaskRow

__all__ = [
    "BackfillRow",
    "BeatRow",
    "CalendarDayRow",
    "CalendarRow",
    "FlowComponentRow",
    "FlowRow",
    "FlowVersionRow",
    "FollowUpRow",
    "QueueRow",
    "ScheduleRow",
    "SkippedOccurrencesRow",
    "SourceRow",
    "TaskAttemptRow",
    "TaskEventRow",
    "TaskLogRow",
    "TaskRow",
    "WatcherRow",
    "WorkerRow",
    "metadata",
]

metadata = Base.metadata
"""All the tables, for migrations."""
