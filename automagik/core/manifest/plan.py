"""What is to be done until all is as the files say. It is found out, not done."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from automagik.core.exceptions import AutomagikError, Conflict
from automagik.core.manifest.problems import Problem
from automagik.core.manifest.room import Room
from automagik.core.manifest.values import (
    Action,
    FieldChange,
    Item,
    Kind,
    Manifest,
    Step,
    Stored,
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Choice:
    """What the person wants done of all that the files say."""

    prune: bool = False
    """Delete what belongs to their projects and is not in them any more."""
    take_over: bool = False
    """Also what belongs to another project."""
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


def draft(manifest: Manifest, rooms: Mapping[Kind, Room], choice: Choice) -> Draft:
    found = Draft(problems=[*manifest.problems])
    for kind in choice.kinds:
        room, items = rooms[kind], [item for item in manifest.items if item.kind is kind]
        stored = room.stored(items, projects=manifest.projects)
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
    if stored.project not in (None, item.project) and not choice.take_over:
        refuse("", _belongs_to(stored.project))
    changes = differences(
        {**stored.fields, "project": stored.project}, {**wanted, "project": item.project}
    )
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


def _belongs_to(project: str | None) -> Conflict:
    return Conflict(
        f"It belongs to the project {project!r}.",
        hint="Take it out of the files of that project, or take it over: --take-over",
    )
