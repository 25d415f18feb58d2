"""What each kind of thing can be asked and told, in the one transaction that applies files."""

from collections.abc import Collection, Mapping, Sequence
from typing import ClassVar, Protocol

from automagik.core.manifest.schedule_keys import Fields, Refuse
from automagik.core.manifest.values import Item, Kind, Stored


class Room(Protocol):
    """The things of one kind. Errors of what is told are those of its manager."""

    kind: ClassVar[Kind]

    def stored(self, items: Sequence[Item], *, projects: Collection[str]) -> Mapping[str, Stored]:
        """By name: what the items describe, and all of these projects."""
        ...

    def wanted(self, item: Item, stored: Stored | None, refuse: Refuse, /) -> Fields:
        """What its fields will be, to be compared with those that are stored."""
        ...

    def in_order(self, items: Sequence[Item]) -> Sequence[Item]:
        """Each after what it needs."""
        ...

    def last_first(self, stored: Sequence[Stored]) -> Sequence[Stored]:
        """Each before what it needs, as they can be deleted."""
        ...

    def create(self, item: Item) -> None: ...

    def change(self, item: Item, stored: Stored, /, *, keys: Collection[str]) -> None:
        """These keys alone; `project` is one, too."""
        ...

    def delete(self, stored: Stored) -> None: ...
