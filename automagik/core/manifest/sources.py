"""The sources of files. What their servers have accepted is handed in: it is asked before."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any, ClassVar

from sqlalchemy import Connection, func, select

from automagik.core.config import Settings
from automagik.core.database.models import SourceRow
from automagik.core.database.session import Within
from automagik.core.exceptions import InvalidInput
from automagik.core.flows import source_rows
from automagik.core.flows.sources import (
    DEFAULT_MAX_PARALLEL_RUNS,
    SourceManager,
    checked_source_name,
    key_stays,
    needs_key,
)
from automagik.core.flows.values import Source
from automagik.core.manifest.schedule_keys import Fields, Refuse
from automagik.core.manifest.values import SECRET, Item, Kind, Stored

Accepted = Mapping[str, source_rows.Values]
"""By the name of a source: what to store of its URL and its key."""

_ACCESS = ("url", "api-key")
_DISABLED_KEYS = ("disabled", "note")


class SourceRoom:
    """Without what was accepted, sources that need it are left alone."""

    kind: ClassVar[Kind] = Kind.SOURCE

    def __init__(
        self, connection: Connection, settings: Settings, *, accepted: Accepted | None
    ) -> None:
        self._connection = connection
        self._manager = SourceManager(Within(connection), settings)
        self._accepted = accepted

    def stored(self, items: Sequence[Item], *, projects: Collection[str]) -> Mapping[str, Stored]:
        spelled = {item.name.lower(): item.name for item in items}
        query = select(SourceRow.id, SourceRow.project)
        project_of = {row.id: row.project for row in self._connection.execute(query)}
        found = {}
        for source in self._manager.list():
            name, project = spelled.get(source.name.lower()), project_of[source.id]
            if name is None and project not in projects:
                continue
            found[name or source.name] = Stored(
                name=source.name, project=project, fields=fields_of_source(source), value=source
            )
        return found

    def wanted(self, item: Item, stored: Stored | None, refuse: Refuse, /) -> Fields:
        """A key that is stored already is not told, nor is one that the file does not name."""
        if stored is None:
            try:
                checked_source_name(item.name)
            except InvalidInput as error:
                refuse("", error)
        fields = dict(item.fields)
        key = fields.pop("api-key", None)
        if key is not None and not (stored and self._manager.has_key(stored.value, key)):
            fields["api-key"] = SECRET
        if stored is not None and item.is_valid:
            _keep_disabled(fields, stored)
            if key is None and needs_key(stored.value, fields["url"]):
                refuse("url", key_stays(stored.name, hint="Name the key for it: api-key: env:NAME"))
        return fields

    def in_order(self, items: Sequence[Item]) -> Sequence[Item]:
        return items

    def last_first(self, stored: Sequence[Stored]) -> Sequence[Stored]:
        return stored

    def create(self, item: Item) -> None:
        if self._accepted is not None:
            values = {"name": item.name, "project": item.project, **_limits(item)}
            if item.fields.get("disabled"):
                values |= _disabled(item.fields, since=None)
            source_rows.store_new(self._connection, values | self._accepted[item.name])

    def change(self, item: Item, stored: Stored, /, *, keys: Collection[str]) -> None:
        values: dict[str, Any] = {"project": item.project, **_limits(item)}
        if "max-per-minute" in keys:
            # The old rate may have used up minutes ahead.
            values["rate_used_until"] = None
        if not {*keys}.isdisjoint(_DISABLED_KEYS):
            values |= _disabled(item.fields, since=stored.value.disabled_at)
        if needs_access(keys):
            if self._accepted is None:
                return
            values |= self._accepted[item.name]
        source_rows.store_changed(self._connection, stored.value.id, values)

    def delete(self, stored: Stored) -> None:
        self._manager.delete(stored.value)


def fields_of_source(source: Source) -> Fields:
    """What a file says of it, but for its key."""
    limit = source.max_parallel_runs
    fields = {
        "url": source.url,
        "max-parallel": None if limit == DEFAULT_MAX_PARALLEL_RUNS else limit,
        "max-per-minute": source.max_runs_per_minute,
        "disabled": source.disabled_at and True,
        "note": source.disabled_reason,
    }
    return {key: value for key, value in fields.items() if value is not None}


def needs_access(keys: Collection[str]) -> bool:
    """Whether the server is asked before such a change."""
    return any(key in keys for key in _ACCESS)


def _keep_disabled(fields: Fields, stored: Stored) -> None:
    """What a person did to it stays, unless the file says something else."""
    said, is_disabled = fields.get("disabled"), "disabled" in stored.fields
    if said is None or (said and is_disabled):
        for key in _DISABLED_KEYS:
            fields.setdefault(key, stored.fields.get(key))
    elif not said:
        fields["disabled"] = False if is_disabled else None


def _disabled(fields: Mapping[str, Any], *, since: datetime | None) -> dict[str, Any]:
    if not fields["disabled"]:
        return {"disabled_at": None, "disabled_reason": None}
    return {"disabled_at": since or func.now(), "disabled_reason": fields.get("note")}


def _limits(item: Item) -> dict[str, Any]:
    return {
        "max_parallel_runs": item.fields.get("max-parallel", DEFAULT_MAX_PARALLEL_RUNS),
        "max_runs_per_minute": item.fields.get("max-per-minute"),
    }
