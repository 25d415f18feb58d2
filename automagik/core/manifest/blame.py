"""From what a manager refuses to the line of the file that is to blame."""

from collections.abc import Mapping, Sequence

from automagik.core.exceptions import AutomagikError
from automagik.core.flows.exceptions import ComponentChoiceNeeded, InvalidFlowInput
from automagik.core.manifest.plan import Task
from automagik.core.manifest.problems import Place, Problem
from automagik.core.manifest.schedule_keys import CADENCE_KEYS
from automagik.core.scheduler.exceptions import InvalidCadence


def problem_of(task: Task, error: AutomagikError) -> Problem:
    path, key, place = f"{task.step.kind.plural}.{task.step.name}", _key(task, error), None
    if task.item is not None:
        place = task.item.place_of(key) if key else task.item.place
    return Problem.of(error, place=place, path=f"{path}.{key}" if key else path)


def _key(task: Task, error: AutomagikError) -> str | None:
    """The key that is probably to blame."""
    match error:
        case InvalidCadence():
            likely: Sequence[str] = CADENCE_KEYS
        case InvalidFlowInput():
            likely = ("tweaks", "input", "flow")
        case ComponentChoiceNeeded():
            likely = ("flow",)
        case _:
            likely = ()
    places: Mapping[str, Place] = task.item.places if task.item else {}
    return next((key for key in likely if key in places), None)
