"""YAML as a tree that knows its lines. Pure.

A scalar stays the text that it is, so that `on`, `yes`, `09:00` and dates mean what they say: who
asks for a value knows of what type it must be. Tags are refused. Aliases and `<<` can be used.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import yaml

from automagik.core.exceptions import InvalidInput
from automagik.core.manifest.problems import ManifestInvalid, Place, Problem

LONGEST = 5_000_000
"""So many characters has a file at most."""

_DEEPEST = 50
_MOST = 200_000
"""So many nodes, counted once for each alias: a short text may stand for a giant one."""
_MERGE = "<<"
_PLAIN_TAGS = {f"tag:yaml.org,2002:{name}" for name in ("str", "seq", "map")}
_NUMBER = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?")
_NULLS = {"", "~", "null", "Null", "NULL"}
_TRUTHS = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
_LOADER: Any = getattr(yaml, "CBaseLoader", yaml.BaseLoader)


@dataclass(frozen=True, kw_only=True, slots=True)
class Scalar:
    text: str
    is_plain: bool
    """Without quotes."""
    place: Place

    @property
    def is_null(self) -> bool:
        return self.is_plain and self.text in _NULLS


@dataclass(frozen=True, kw_only=True, slots=True)
class Listing:
    items: tuple["Node", ...]
    place: Place


@dataclass(frozen=True, kw_only=True, slots=True)
class Table:
    entries: Mapping[str, "Node"]
    keys: Mapping[str, Place]
    place: Place


Node = Scalar | Listing | Table


def documents(text: str, *, file: str) -> list[Node]:
    """Those that are not empty. Raises ManifestInvalid."""
    if len(text) > LONGEST:
        raise ManifestInvalid([_too_large(Place(file=file, line=1))])
    _refuse_unprintable(text, file)
    try:
        _refuse_too_large(text, file)
        roots = list(yaml.compose_all(text, Loader=_LOADER))
    except yaml.YAMLError as error:
        raise ManifestInvalid([_unreadable(error, file)]) from None
    tree = _Tree(file)
    found = [tree.node(root, path="") for root in roots if root is not None]
    if tree.problems:
        raise ManifestInvalid(tree.problems)
    return [node for node in found if not (isinstance(node, Scalar) and node.is_null)]


def value_of(node: Node) -> Any:
    """As JSON has it: `true`, `null` and numbers without quotes are what they are in JSON."""
    match node:
        case Table():
            return {key: value_of(each) for key, each in node.entries.items()}
        case Listing():
            return [value_of(each) for each in node.items]
    return plain_value(node.text) if node.is_plain else node.text


def plain_value(text: str) -> Any:
    """What a scalar without quotes is."""
    if text in _NULLS:
        return None
    if text in _TRUTHS:
        return _TRUTHS[text]
    if match := _NUMBER.fullmatch(text):
        return float(text) if match[2] or match[3] else _whole(text)
    return text


def _whole(text: str) -> int | str:
    try:
        return int(text)
    except ValueError:  # It has thousands of digits.
        return text


@dataclass(slots=True)
class _Tree:
    """From PyYAML's nodes to ours."""

    file: str
    problems: list[Problem] = field(default_factory=list)
    count: int = 0

    def node(self, raw: Any, *, path: str, depth: int = 0) -> Node:
        place = self._place(raw)
        self.count += 1
        if self.count > _MOST or depth > _DEEPEST:
            raise ManifestInvalid([_too_large(place)])
        if raw.tag not in _PLAIN_TAGS:
            self._refuse(place, path, "tags such as !!int are not possible here")
        match raw:
            case yaml.ScalarNode():
                return Scalar(text=raw.value, is_plain=not raw.style, place=place)
            case yaml.SequenceNode():
                items = enumerate(raw.value)
                return Listing(
                    items=tuple(
                        self.node(each, path=f"{path}[{number}]", depth=depth + 1)
                        for number, each in items
                    ),
                    place=place,
                )
        return self._table(raw, place, path, depth)

    def _table(self, raw: Any, place: Place, path: str, depth: int) -> Table:
        entries: dict[str, Node] = {}
        keys: dict[str, Place] = {}
        merged: list[Table] = []
        for raw_key, raw_value in raw.value:
            if not isinstance(raw_key, yaml.ScalarNode):
                self._refuse(self._place(raw_key), path, "a key must be one word or text")
                continue
            key, where = raw_key.value, self._place(raw_key)
            inner = f"{path}.{key}" if path else key
            value = self.node(raw_value, path=inner, depth=depth + 1)
            if key == _MERGE and not raw_key.style:
                merged += self._merged(value, path)
            elif key in entries:
                self._refuse(where, inner, f"is there twice; first in line {keys[key].line}")
            else:
                entries[key], keys[key] = value, where
        for table in merged:
            entries = {**table.entries, **entries}
            keys = {**table.keys, **keys}
        return Table(entries=entries, keys=keys, place=place)

    def _merged(self, value: Node, path: str) -> Iterator[Table]:
        for each in value.items if isinstance(value, Listing) else (value,):
            if isinstance(each, Table):
                yield each
            else:
                self._refuse(each.place, path, "<< takes a mapping, or a list of them")

    def _place(self, raw: Any) -> Place:
        return Place(file=self.file, line=raw.start_mark.line + 1)

    def _refuse(self, place: Place, path: str, message: str) -> None:
        self.problems.append(Problem(place=place, path=path, message=message))


def _refuse_unprintable(text: str, file: str) -> None:
    """PyYAML names no line for what it cannot read."""
    found = yaml.reader.Reader.NON_PRINTABLE.search(text)
    if found:
        place = Place(file=file, line=text.count("\n", 0, found.start()) + 1)
        message = f"there is a character that YAML has not: {found[0]!r}"
        raise ManifestInvalid([Problem(place=place, path="", message=message)])


def _refuse_too_large(text: str, file: str) -> None:
    """Before it is composed, which is done by recursion in C: too deep a text ends the process."""
    count = depth = 0
    for event in yaml.parse(text, Loader=_LOADER):
        count += isinstance(event, yaml.NodeEvent)
        depth += isinstance(event, yaml.CollectionStartEvent)
        depth -= isinstance(event, yaml.CollectionEndEvent)
        if depth > _DEEPEST or count > _MOST:
            mark: Any = event.start_mark
            raise ManifestInvalid([_too_large(Place(file=file, line=mark.line + 1))])


def _unreadable(error: yaml.YAMLError, file: str) -> Problem:
    """Without the line itself, which may hold a secret."""
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    reason = getattr(error, "problem", None) or "it cannot be read"
    place = Place(file=file, line=mark.line + 1 if mark else 1)
    return Problem(place=place, path="", message=f"this is no YAML: {reason}")


def _too_large(place: Place) -> Problem:
    return Problem(place=place, path="", message="the file is too large, or nested too deeply")


def read_text(raw: bytes, *, file: str) -> str:
    """Of its first `LONGEST` bytes and one more. Raises InvalidInput."""
    if len(raw) > LONGEST:
        raise InvalidInput(f"{file} is too large: a file has {LONGEST} bytes at most.")
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InvalidInput(f"{file} is not text in UTF-8.") from error
