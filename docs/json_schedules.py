"""Schedules and what belongs to them, as commands print them."""

from datetime import datetime
from uuid import UUID

from automagik.core.flows.flow_input import FlowInput
from automagik.core.manifest.values import Step
from automagik.core.scheduler.backfill_rows import Backfill
from automagik.core.scheduler.calendars import Calendar, Holiday
from automagik.core.scheduler.explain import Explanation
from automagik.core.scheduler.history import Entry
from automagik.core.scheduler.policies import Policies
from automagik.core.scheduler.rule_text import RuleLimits
from automagik.core.scheduler.values import Schedule
from docs.json_schema import Keys, Told, keys_of
from docs.json_tasks import TASK
from docs.json_thing import Thing, some

_SCHEDULE: Keys = {
    **keys_of(Schedule, without=("holidays", "limits", "policies", "run_input")),
    "rule": Told(str, "When it runs, in words."),
    **keys_of(RuleLimits),
    **keys_of(Policies),
    **keys_of(FlowInput),
}
SCHEDULES = (
    Thing(
        name="schedule",
        about="When a flow runs, and with what.",
        keys=_SCHEDULE,
        listed_by=(
            "schedules list",
            "schedules pause",
            "schedules resume",
            "schedules delete",
            "schedules trigger",
        ),
        told_by=("schedules create",),
    ),
    Thing(
        name="schedule-report",
        about="A schedule with what is coming, what was, and what follows it.",
        keys={
            **_SCHEDULE,
            "policies": Told(list[str], "In words."),
            "next_runs": list[datetime],
            "recent_tasks": [
                some(
                    TASK,
                    "id",
                    "state",
                    "scheduled_for",
                    "created_at",
                    "finished_at",
                    "error_code",
                )
            ],
            "followers": [some(_SCHEDULE, "id", "name", "flow_name", "status", "rule")],
        },
        told_by=("schedules show",),
    ),
    Thing(
        name="occurrence",
        about="An instant at which a rule occurs.",
        keys={
            "at": datetime,
            "local": Told(str, "In the zone of the rule."),
            "timezone": str,
            "here": Told(str, "In the zone of this machine."),
        },
        listed_by=("schedules preview",),
    ),
    Thing(
        name="history",
        about="What became of an occurrence, or of a stretch of them.",
        keys={
            **keys_of(Entry),
            "became": Told(str, "A state of a task, or `skipped`."),
            "note": Told(str | None, "The reason or the error, for people."),
        },
        listed_by=("schedules history",),
    ),
    Thing(
        name="explanation",
        about="What became of an occurrence and why.",
        keys=keys_of(Explanation),
        told_by=("schedules explain",),
    ),
    Thing(
        name="backfill",
        about="Runs for a stretch of the past.",
        keys={
            **keys_of(Backfill),
            "done": Told(int, "How many occurrences need nothing more."),
            "progress": Told(str, "In words."),
        },
        listed_by=("backfills list",),
        told_by=("schedules backfill", "backfills show", "backfills watch"),
    ),
    Thing(
        name="backfill-occurrence",
        about="An occurrence that a backfill would be about.",
        keys={"at": datetime, "task_id": Told(UUID | None, "The task that it has already.")},
        listed_by=("schedules backfill",),
    ),
    Thing(
        name="calendar",
        about="A named set of holidays.",
        keys=keys_of(Calendar),
        listed_by=("calendars list",),
    ),
    Thing(
        name="holiday",
        about="A day of a calendar.",
        keys=keys_of(Holiday),
        listed_by=("calendars show",),
    ),
    Thing(
        name="agenda-line",
        about="What a schedule is going to start: a run, or a day of many.",
        keys={
            "date": Told(str, "In the zone that was asked for; so with the time."),
            "time": str,
            "schedule": str,
            "flow": str,
            "runs": int,
            "is_least": Told(bool, "Whether there may be more."),
        },
        listed_by=("calendar",),
    ),
    Thing(
        name="change",
        about="What files would make of one thing.",
        keys=keys_of(Step),
        listed_by=("apply",),
    ),
)
