"""From files to what they describe. All that is wrong is told at once."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from functools import partial
from typing import Any

from automagik.core.exceptions import AutomagikError, InvalidInput
from automagik.core.manifest.calendar_keys import CALENDAR_KEYS, calendar_fields
from automagik.core.manifest.chain_order import followed
from automagik.core.manifest.document import Node, Scalar, Table, documents
from automagik.core.manifest.problems import ManifestInvalid, Place, Problem
from automagik.core.manifest.readers import Reader, text
from automagik.core.manifest.schedule_keys import SCHEDULE_KEYS, canonical
from automagik.core.manifest.source_keys import SOURCE_KEYS, source_fields
from automagik.core.manifest.values import Item, Kind, Manifest, ManifestFile
from automagik.core.scheduler.calendars import checked_calendar_name
from automagik.core.scheduler.names import checked_name
from automagik.core.scheduler.zones import zone_named

_TOP = ("project", "timezone", *(kind.plural for kind in Kind))
_KEYS: Mapping[Kind, Mapping[str, Reader]] = {
    Kind.SOURCE: SOURCE_KEYS,
    Kind.CALENDAR: CALENDAR_KEYS,
    Kind.SCHEDULE: SCHEDULE_KEYS,
}


def read_manifest(
    files: Sequence[ManifestFile], *, timezone: str, environment: Mapping[str, str]
) -> Manifest:
    """`timezone` is that of schedules that name none; `environment` has the keys that are named."""
    reading = _Reading(timezone=timezone, environment=environment)
    for file in files:
        reading.file(file)
    return Manifest(
        items=tuple(_with_kind(item, reading.seen) for item in reading.items),
        projects=frozenset(reading.projects),
        names=frozenset(reading.seen),
        without_project=tuple(reading.without_project),
        problems=tuple(reading.problems),
    )


def _with_kind(item: Item, names: Collection[tuple[Kind, str]]) -> Item:
    """What follows a schedule of the files follows that one, even if a flow has its name."""
    name = followed(item.fields)
    if item.kind is not Kind.SCHEDULE or (Kind.SCHEDULE, name) not in names:
        return item
    return replace(item, fields={**item.fields, "after": f"schedule:{name}"})


@dataclass(kw_only=True, slots=True)
class _Reading:
    timezone: str
    environment: Mapping[str, str]
    items: list[Item] = field(default_factory=list)
    projects: set[str] = field(default_factory=set)
    without_project: list[Place] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    seen: dict[tuple[Kind, str], Place] = field(default_factory=dict)

    def file(self, file: ManifestFile) -> None:
        try:
            found = documents(file.text, file=file.name)
        except ManifestInvalid as error:
            self.problems += error.problems
            return
        for each in found:
            self._document(each, file)

    def _document(self, node: Node, file: ManifestFile) -> None:
        if not isinstance(node, Table):
            self._refuse(node.place, "", InvalidInput(f"begins with one of: {', '.join(_TOP)}"))
            return
        self._refuse_unknown(node, _TOP, path="")
        project: str | None = self._head(node, "project", _project)
        zone = self._head(node, "timezone", _zone) or self.timezone
        if project is not None:
            self.projects.add(project)
        elif "project" not in node.entries:
            self.without_project.append(node.place)
        for kind in Kind:
            section = node.entries.get(kind.plural)
            if section is None or (isinstance(section, Scalar) and section.is_null):
                continue
            if not isinstance(section, Table):
                self._refuse(section.place, kind.plural, InvalidInput("takes things by name"))
                continue
            for name, each in section.entries.items():
                self._item(kind, name, section.keys[name], each, (project, zone, file))

    def _head(self, node: Table, key: str, read: Reader) -> Any:
        if key not in node.entries:
            return None
        return self._attempt(node.keys[key], key, lambda: read(node.entries[key]))

    def _item(
        self,
        kind: Kind,
        name: str,
        place: Place,
        node: Node,
        around: tuple[str | None, str, ManifestFile],
    ) -> None:
        project, zone, file = around
        path, count = f"{kind.plural}.{name}", len(self.problems)
        self._refuse_name(kind, name, place)
        if not isinstance(node, Table):
            self._refuse(place, path, InvalidInput("takes keys with values"))
            return
        self._refuse_unknown(node, tuple(_KEYS[kind]), path=path)
        fields = self._fields(kind, node, path)

        def refuse(key: str, error: AutomagikError) -> None:
            self._refuse(node.keys.get(key, place), f"{path}.{key}" if key else path, error)

        match kind:
            case Kind.SOURCE:
                fields = source_fields(fields, file, environment=self.environment, refuse=refuse)
            case Kind.CALENDAR:
                fields = calendar_fields(fields, file, refuse=refuse)
            case Kind.SCHEDULE:
                fields = canonical(name, fields, said=_said(node), timezone=zone, refuse=refuse)
        is_valid = len(self.problems) == count
        if is_valid or kind is Kind.SCHEDULE:
            self.items.append(
                Item(
                    kind=kind,
                    name=name,
                    project=project,
                    place=place,
                    fields=fields,
                    places=node.keys,
                    is_valid=is_valid,
                )
            )

    def _fields(self, kind: Kind, node: Table, path: str) -> dict[str, Any]:
        found = {}
        for key in [key for key in _KEYS[kind] if key in _said(node)]:
            read = partial(_KEYS[kind][key], node.entries[key])
            found[key] = self._attempt(node.keys[key], f"{path}.{key}", read)
        return {key: value for key, value in found.items() if value is not None}

    def _attempt(self, place: Place, path: str, what: Callable[[], Any]) -> Any:
        try:
            return what()
        except AutomagikError as error:
            self._refuse(place, path, error)
            return None

    def _refuse_name(self, kind: Kind, name: str, place: Place) -> None:
        # Names of sources are told apart in any case of their letters.
        known = (kind, name.lower() if kind is Kind.SOURCE else name)
        first = self.seen.setdefault(known, place)
        if first is not place:
            twice = InvalidInput(f"is there twice; first in {first}")
            self._refuse(place, f"{kind.plural}.{name}", twice)
        self._attempt(place, f"{kind.plural}.{name}", lambda: _NAMES[kind](name))

    def _refuse_unknown(self, node: Table, known: Sequence[str], *, path: str) -> None:
        for key, place in node.keys.items():
            if key in known:
                continue
            close = get_close_matches(key.lower().replace("_", "-"), known, n=1)
            error = InvalidInput(
                "is no key here" + (f"; did you mean {close[0]}?" if close else "."),
                hint=None if close else f"The keys are: {', '.join(known)}.",
            )
            self._refuse(place, f"{path}.{key}" if path else key, error)

    def _refuse(self, place: Place, path: str, error: AutomagikError) -> None:
        self.problems.append(Problem.of(error, place=place, path=path))


def _said(node: Table) -> Collection[str]:
    """An empty value says nothing."""
    return [
        key
        for key, value in node.entries.items()
        if not (isinstance(value, Scalar) and value.is_null)
    ]


def _project(node: Node) -> str:
    name = text(node)
    if not name.isprintable() or len(name) > 63:
        raise InvalidInput("takes up to 63 printable characters")
    return name


def _zone(node: Node) -> str:
    return zone_named(text(node)).key


def _exact_name(name: str) -> None:
    if checked_name(name) != name:
        raise InvalidInput("The name begins or ends with a space.")


_NAMES: Mapping[Kind, Callable[[str], Any]] = {
    Kind.SOURCE: lambda name: name,  # One that is there may have another.
    Kind.CALENDAR: checked_calendar_name,
    Kind.SCHEDULE: _exact_name,
}
