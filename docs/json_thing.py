"""A kind of thing that commands print as JSON."""

from collections.abc import Sequence
from dataclasses import dataclass

from automagik.cli.machine import SCHEMA_VERSION
from docs.json_schema import Keys, Schema, document_schema


@dataclass(frozen=True, kw_only=True, slots=True)
class Thing:
    """One kind of thing."""

    name: str
    about: str
    keys: Keys
    listed_by: Sequence[str] = ()
    """The commands that print a list of it."""
    told_by: Sequence[str] = ()
    """The commands that print one."""

    @property
    def file(self) -> str:
        return f"{self.name}.schema.json"

    @property
    def schema(self) -> Schema:
        return document_schema(self.name, self.about, self.keys, version=SCHEMA_VERSION)


def some(keys: Keys, *names: str) -> Keys:
    return {name: keys[name] for name in names}
