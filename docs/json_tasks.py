"""Runs, as commands print them."""

from datetime import timedelta
from typing import Any, Literal
from uuid import UUID

from automagik.core.flows.flow_input import FlowInput
from automagik.core.tasks.failures import Failure
from automagik.core.tasks.states import TaskState
from automagik.core.tasks.stats import Quantiles, Runs
from automagik.core.tasks.values import Attempt, Event, LogLine, Task, TaskOutput
from automagik.core.tasks.why import Why
from docs.json_schema import Keys, Told, keys_of
from docs.json_thing import Thing, some

TASK: Keys = keys_of(Task) | {
    "waited_for": Told(
        timedelta | None, "From the instant at which it was due to the start of its latest attempt."
    ),
    "ran_for": Told(timedelta | None, "How long its latest attempt has taken so far."),
}
_QUANTILES: Keys = {
    f"{what}_{each}": kind
    for what in ("waited", "took")
    for each, kind in keys_of(Quantiles).items()
}

TASKS = (
    Thing(
        name="task",
        about="A run, without its input and output.",
        keys=TASK,
        listed_by=("tasks list", "tasks retry", "tasks cancel", "schedules trigger"),
        told_by=("flows run", "schedules trigger", "tasks replay", "tasks watch"),
    ),
    Thing(
        name="task-report",
        about="A run with its input, and with what it went through.",
        keys={
            **TASK,
            "input": FlowInput,
            "attempts": [
                {**keys_of(Attempt), "took": Told(timedelta | None, "None while it runs.")}
            ],
            "events": [Event],
            "started": Told(
                [some(TASK, "id", "schedule_name", "flow_name", "state")],
                "What its end has started.",
            ),
        },
        told_by=("tasks show",),
    ),
    Thing(
        name="task-end",
        about="A completed run that was waited for, with its text.",
        keys={**TASK, "output_text": str | None},
        told_by=("flows run", "schedules trigger", "tasks replay"),
    ),
    Thing(
        name="task-export",
        about="A run with its input and the text of its output: a line of an export.",
        keys={
            **TASK,
            "input_value": Told(str, "With --contents.", is_always=False),
            "tweaks": Told(dict[str, Any], "With --contents.", is_always=False),
            "session_id": Told(str | None, "With --contents.", is_always=False),
            "output_text": Told(str | None, "With --contents.", is_always=False),
        },
        told_by=("tasks export",),
    ),
    Thing(
        name="task-output",
        about="What a run brought.",
        keys={"task_id": UUID, **keys_of(TaskOutput)},
        told_by=("tasks output",),
    ),
    Thing(
        name="task-why",
        about="What became of a run and why.",
        keys=keys_of(Why),
        told_by=("tasks why",),
    ),
    Thing(
        name="log-line",
        about="Something said during a run.",
        keys=keys_of(LogLine),
        listed_by=("tasks logs",),
    ),
    Thing(
        name="task-log-entry",
        about="Something said during a run, while it goes on.",
        keys={"kind": Literal["log"], **keys_of(LogLine)},
        told_by=("tasks watch",),
    ),
    Thing(
        name="task-state-entry",
        about="A change of a run's state, while it goes on.",
        keys={"kind": Literal["state"], **keys_of(Event), "state": TaskState},
        told_by=("tasks watch",),
    ),
    Thing(
        name="failure",
        about="Failed runs that seem to have one cause.",
        keys=keys_of(Failure),
        listed_by=("failures",),
    ),
    Thing(
        name="stats",
        about="The runs of a flow that ended within a time.",
        keys={
            **keys_of(Runs, without=("waited", "took")),
            "flow": Told(str, "`all` in the last line: of all flows."),
            "success_rate": Told(float | None, "Of those that were not cancelled."),
            **_QUANTILES,
        },
        listed_by=("stats",),
    ),
)
