"""The page of the reference that says what each key of the answers means."""

from collections.abc import Iterator, Mapping
from typing import Any

from docs.json_schema import Schema
from docs.json_things import EVERYTHING, Thing

_INTRODUCTION = """\
# JSON

Every command that answers with data does so in JSON, too: `-o json` prints one document, `-o jsonl`
one object per line. This page says what is in it, and `json/` holds a schema of each kind of thing
(JSON Schema, draft 2020-12). Both are made from the code.

- With `-o json` a list is `{"schema_version": 1, "items": […], "next": null}`; one thing is an
  object with its own keys beside `schema_version`.
- With `-o jsonl` each line is a thing, without `schema_version`. `-o yaml` has what JSON has.
- What is not known or does not apply is `null`: a key is always there, unless its words say when.
- Instants are RFC 3339 in UTC and end with `Z`. Durations are seconds. Ids are UUIDs.
- `--fields A,B` leaves only these keys, in this order.
- An error goes to stderr as a [problem](#problem), and the exit code says its kind. With `-q`
  nothing else is said there.

**What stays.** Within one `schema_version` keys are added, never taken away or given another
meaning, and a value keeps its type; a set of words may get more of them. So read the keys that you
need and ignore those that you do not know. The schemas say `additionalProperties: false`: they hold
for the version that they come with. A program that checks answers of later versions lifts that.

    automagik tasks list --state failed -o json | jq -r '.items[] | [.id, .error_code] | @tsv'
"""


def json_page() -> Iterator[str]:
    yield _INTRODUCTION
    yield " · ".join(f"[{thing.name}](#{thing.name})" for thing in EVERYTHING)
    for thing in EVERYTHING:
        yield from _thing(thing)


def _thing(thing: Thing) -> Iterator[str]:
    schema = thing.schema
    yield from ("", f"## {thing.name}", "", f"{thing.about} [Schema](json/{thing.file})", "")
    for words, commands in (("A list by", thing.listed_by), ("One by", thing.told_by)):
        if commands:
            yield f"{words} {', '.join(f'`automagik {command}`' for command in commands)}. "
    yield from _table(schema)
    for name, part in schema.get("$defs", {}).items():
        yield from ("", f"**{name}**: {part['description']}", "")
        yield from _table(part)


def _table(schema: Schema) -> Iterator[str]:
    yield from ("", "| key | | |", "| --- | --- | --- |")
    for key, value in schema["properties"].items():
        if key != "schema_version":
            words = value.get("description", "")
            yield f"| `{key}` | {_type(value)} | {_cell(words)} |"


def _type(schema: Mapping[str, Any]) -> str:
    match schema:
        case {"$ref": reference}:
            return f"**{reference.rpartition('/')[2]}**"
        case {"enum": words}:
            return ", ".join(f"`{'null' if word is None else word}`" for word in words)
        case {"anyOf": several}:
            return " or ".join(_type(each) for each in several)
        case {"type": [first, "null"]}:
            return f"{_type({**schema, 'type': first})} or null"
    return _plain_type(schema)


def _plain_type(schema: Mapping[str, Any]) -> str:
    match schema:
        case {"items": item}:
            return f"list of {_type(item)}"
        case {"properties": keys}:
            return f"object: {', '.join(f'`{key}`' for key in keys)}"
        case {"additionalProperties": value}:
            return f"object of {_type(value)}"
    return str(schema.get("format") or schema.get("type", "anything"))


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
