"""JSON Schema of what `automagik.cli.machine` writes for a value of a type."""

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from datetime import date, datetime, timedelta
from enum import Enum
from inspect import cleandoc
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints
from uuid import UUID

from automagik.cli.settings_guide import attribute_docstrings

Schema = dict[str, Any]
Keys = Mapping[str, Any]
"""Of an object: the type of each value. Also a type is `Keys`, and `[type]` is a list of it."""

_PLAIN: Mapping[Any, Schema] = {
    str: {"type": "string"},
    int: {"type": "integer"},
    float: {"type": "number"},
    bool: {"type": "boolean"},
    UUID: {"type": "string", "format": "uuid"},
    datetime: {"type": "string", "format": "date-time"},
    date: {"type": "string", "format": "date"},
    timedelta: {"type": "number", "description": "Seconds."},
    NoneType: {"type": "null"},
    Any: {},
}


@dataclass(frozen=True, slots=True)
class Told:
    """A type with what is to be said of the value."""

    kind: Any
    words: str
    is_always: bool = True
    """Whether the key is always there."""


def keys_of(kind: type[Any], *, without: Collection[str] = ()) -> Keys:
    """Of a dataclass, each with its docstring."""
    hints, words = get_type_hints(kind), attribute_docstrings(kind)
    names = [each.name for each in fields(kind) if each.name not in without]
    return {
        name: Told(hints[name], words[name]) if name in words else hints[name] for name in names
    }


def document_schema(name: str, about: str, keys: Keys, *, version: int) -> Schema:
    """Of a whole document, or of one of many: only the first says the version of the schema."""
    definitions: dict[str, Schema] = {}
    body = _object(keys, definitions)
    said = {"const": version, "description": "Where it is a document of its own."}
    body["properties"] = {"schema_version": said, **body["properties"]}
    head = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": f"urn:automagik:json:{version}:{name}",
        "title": name,
        "description": about,
    }
    return {**head, **body, **({"$defs": definitions} if definitions else {})}


def _object(keys: Keys, definitions: dict[str, Schema]) -> Schema:
    return {
        "type": "object",
        "properties": {key: schema_of(kind, definitions) for key, kind in keys.items()},
        "required": [key for key, kind in keys.items() if getattr(kind, "is_always", True)],
        "additionalProperties": False,
    }


def schema_of(kind: Any, definitions: dict[str, Schema]) -> Schema:
    """Dataclasses are put among the definitions. Raises KeyError for what JSON has no word for."""
    match kind:
        case Told():
            return _told(schema_of(kind.kind, definitions), kind.words)
        case Mapping():
            return _object(kind, definitions)
        case list():
            return _list_of(kind[0], definitions)
    return _typed(kind, definitions)


def _list_of(kind: Any, definitions: dict[str, Schema]) -> Schema:
    return {"type": "array", "items": schema_of(kind, definitions)}


def _typed(kind: Any, definitions: dict[str, Schema]) -> Schema:
    if get_origin(kind) is not None:
        return _composed(kind, definitions)
    if is_dataclass(kind):
        return _defined(kind, definitions)
    if isinstance(kind, type) and issubclass(kind, Enum):
        return {"enum": [each.value for each in kind]}
    return dict(_PLAIN[kind])


def _composed(kind: Any, definitions: dict[str, Schema]) -> Schema:
    origin, inner = get_origin(kind), get_args(kind)
    if origin is Literal:
        return {"enum": list(inner)}
    if origin in (Union, UnionType):
        return _any_of([schema_of(each, definitions) for each in inner])
    if issubclass(origin, Mapping):
        return {"type": "object", "additionalProperties": schema_of(inner[1], definitions)}
    return _list_of(inner[0], definitions)


def _told(found: Schema, words: str) -> Schema:
    """With the unit, if it has one."""
    unit = found.get("description", "")
    return {**found, "description": f"{_in_json(words)} {unit}".strip()}


def _in_json(words: str) -> str:
    return re.sub(r"\bNone\b", "null", " ".join(words.split()))


def _any_of(found: Sequence[Schema]) -> Schema:
    """`{"type": ["string", "null"]}` where that is enough."""
    first, *others = found
    if others == [{"type": "null"}]:
        if "enum" in first:
            return {**first, "enum": [*first["enum"], None]}
        if "type" in first:
            return {**first, "type": [first["type"], "null"]}
    return {"anyOf": list(found)}


def _defined(kind: Any, definitions: dict[str, Schema]) -> Schema:
    name = kind.__name__
    if name not in definitions:
        # It may have itself for a part.
        definitions[name] = {}
        about = cleandoc(kind.__doc__ or "").split("\n\n")[0]
        definitions[name] = {"description": _in_json(about), **_object(keys_of(kind), definitions)}
    return {"$ref": f"#/$defs/{name}"}
