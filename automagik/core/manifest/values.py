"""What files describe, and what that makes of what is there: values."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

from automagik.core.manifest.problems import Place, Problem


class Kind(StrEnum):
    """What a file describes, in the order in which it is told."""

    SOURCE = "source"
    CALENDAR = "calendar"
    SCHEDULE = "schedule"

    @property
    def plural(self) -> str:
        return f"{self}s"


class Action(StrEnum):
    """What becomes of a thing."""

    CREATE = "create"
    CHANGE = "change"
    DELETE = "delete"


@dataclass(frozen=True, kw_only=True, slots=True)
class ManifestFile:
    """A file that was read."""

    name: str
    text: str = field(repr=False)
    folder: Path
    """What it names is looked for from here."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Item:
    """A source, a calendar or a schedule as a file describes it."""

    kind: Kind
    name: str
    project: str | None
    """None: its file names none, and owns nothing."""
    place: Place
    fields: Mapping[str, Any] = field(repr=False)
    places: Mapping[str, Place] = field(repr=False)
    is_valid: bool = True
    """Else it is only looked at: more may be wrong with it than what is known."""

    @property
    def path(self) -> str:
        return f"{self.kind.plural}.{self.name}"

    def place_of(self, key: str) -> Place:
        return self.places.get(key, self.place)


@dataclass(frozen=True, kw_only=True, slots=True)
class Manifest:
    """All that the files say."""

    items: tuple[Item, ...]
    """No name is there twice among those that are valid."""
    projects: frozenset[str]
    names: frozenset[tuple[Kind, str]]
    """Of all of them."""
    without_project: tuple[Place, ...] = ()
    """The documents that name none."""
    problems: tuple[Problem, ...] = ()
    """Nothing is applied while there are any."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Stored:
    """A thing that is there."""

    name: str
    project: str | None
    """None: a person made it by hand."""
    fields: Mapping[str, Any] = field(repr=False)
    value: Any = field(default=None, repr=False)
    """What its room knows of it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class FieldChange:
    """A key with its old and its new value; None: it is not said."""

    field: str
    old: Any
    new: Any


@dataclass(frozen=True, kw_only=True, slots=True)
class Step:
    """What is to be done to one thing."""

    action: Action
    kind: Kind
    name: str
    changes: tuple[FieldChange, ...] = ()

    @property
    def of(self) -> tuple[Action, Kind, str]:
        """There is one such step in a plan."""
        return self.action, self.kind, self.name

    @property
    def keys(self) -> frozenset[str]:
        """What it changes."""
        return frozenset(change.field for change in self.changes)


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """What it takes until all is as the files say, in the order in which it is told."""

    steps: tuple[Step, ...]
    unchanged: int

    def is_within(self, other: "Plan") -> bool:
        """Whether it does nothing that the other does not."""
        theirs = {step.of: step for step in other.steps}
        return all(theirs.get(step.of) == step for step in self.steps)

    def count(self, action: Action) -> int:
        return sum(step.action is action for step in self.steps)


SECRET = "(changed)"  # noqa: S105 - it stands for one
"""Instead of a key that nobody is to see."""
