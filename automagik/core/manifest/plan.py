"""What is to be done until all is as the files say. It is found out, not done."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from automagik.core.exceptions import AutomagikError, Conflict
from automagik.core.manifest.problems import Place, Problem
from automagik.core.manifest.room import Room
from automagik.core.manifest.values import (
    Action,
    FieldChange,
    Item,
    Kind,
    Manifest,
    Plan,
    Step,
    Stored,
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Choice:
    """What the person wants done of all that the files say."""

    prune: bool = False
    """Delete what belongs to their projects and is not in them any more."""
    take_over: bool = False
    """Also change what belongs to another project, or was made by hand."""
    only: Kind | None = None

    @property
    def kinds(self) -> list[Kind]:
        return [kind for kind in Kind if self.only in (None, kind)]


@dataclass(frozen=True, kw_only=True, slots=True)
class Task:
    """A step with what it takes."""

    step: Step
    item: Item | None
    """None: it is deleted."""
    stored: Stored | None
    """None: it is created."""


@dataclass(kw_only=True, slots=True)
class Draft:
    """Tasks in the order in which they are told, and what is wrong."""

    tasks: list[Task] = field(default_factory=list)
    unchanged: int = 0
    problems: list[Problem] = field(default_factory=list)

    @property
    def plan(self) -> Plan:
        return Plan(steps=tuple(task.step for task in self.tasks), unchanged=self.unchanged)


def draft(manifest: Manifest, rooms: Mapping[Kind, Room], choice: Choice) -> Draft:
    found = Draft(problems=[*manifest.problems])
    if choice.prune:
        found.problems += map(_nobodys, manifest.without_project)
    for kind in choice.kinds:
        room, items = rooms[kind], [item for item in manifest.items if item.kind is kind]
        stored = room.stored(items, projects=manifest.projects if choice.prune else ())
        for item in room.in_order(items):
            _compare(item, stored.get(item.name), room, choice, found)
        if choice.prune:
            _prune(room, items, stored, manifest, found)
    return found


def differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> tuple[FieldChange, ...]:
    """By key, what is new first in its order."""
    keys = dict.fromkeys((*new, *old))
    pairs = ((key, old.get(key), new.get(key)) for key in keys)
    return tuple(
        FieldChange(field=key, old=before, new=after)
        for key, before, after in pairs
        if before != after
    )


def _compare(item: Item, stored: Stored | None, room: Room, choice: Choice, found: Draft) -> None:
    def refuse(key: str, error: AutomagikError) -> None:
        path = f"{item.path}.{key}" if key else item.path
        found.problems.append(Problem.of(error, place=item.place_of(key), path=path))

    wanted = room.wanted(item, stored, refuse)
    if not item.is_valid:
        return
    if stored is None:
        changes = differences({}, wanted)
        step = Step(action=Action.CREATE, kind=item.kind, name=item.name, changes=changes)
        found.tasks.append(Task(step=step, item=item, stored=None))
        return
    changes = differences(stored.fields, wanted)
    if not choice.take_over and (error := _not_theirs(item, stored, changes)):
        refuse("", error)
    changes += differences({"project": stored.project}, {"project": item.project})
    if not changes:
        found.unchanged += 1
        return
    step = Step(action=Action.CHANGE, kind=item.kind, name=stored.name, changes=changes)
    found.tasks.append(Task(step=step, item=item, stored=stored))


def _prune(
    room: Room, items: list[Item], stored: Mapping[str, Stored], manifest: Manifest, found: Draft
) -> None:
    described = {item.name for item in items}
    gone = [
        each
        for name, each in sorted(stored.items())
        if name not in described and each.project in manifest.projects
    ]
    for each in room.last_first(gone):
        step = Step(action=Action.DELETE, kind=room.kind, name=each.name)
        found.tasks.append(Task(step=step, item=None, stored=each))


def _not_theirs(
    item: Item, stored: Stored, changes: tuple[FieldChange, ...]
) -> AutomagikError | None:
    """What was made by hand is theirs as it stands."""
    if stored.project not in (None, item.project):
        return Conflict(
            f"It belongs to the project {stored.project!r}.",
            hint="Take it out of the files of that project, or take it over: --take-over",
        )
    if stored.project is None and item.project is not None and changes:
        return Conflict(
            f"It was made by hand, and is different: {', '.join(each.field for each in changes)}.",
            hint="Say in the file what is there, or take it over: --take-over",
        )
    return None


def _nobodys(place: Place) -> Problem:
    return Problem(
        place=place,
        path="project",
        message="is missing: --prune deletes what left the files of a project.",
        hint="project: NAME",
    )
