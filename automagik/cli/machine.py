"""What programs read: JSON, JSON lines, YAML, tab-separated and comma-separated values.

Instants are RFC 3339 in UTC, durations are seconds, keys are the same in all of them.
"""

import csv
import io
import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, is_dataclass
from datetime import UTC, datetime, timedelta
from enum import Enum
from typing import Any

from automagik.core.exceptions import AutomagikError

SCHEMA_VERSION = 1
_STEERING = re.compile("[\x7f-\x9f\u2028-\u202e\u2066-\u2069]")
"""Control characters that JSON does not escape, and those that turn the direction of writing."""
_ESCAPES = str.maketrans({"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"})


def listed(
    shape: str,
    items: Sequence[Mapping[str, Any]],
    keys: Sequence[str],
    *,
    following: str | None = None,
    header: bool = True,
) -> Iterator[str]:
    """The lines of a list; `following` is the cursor of the next page."""
    if shape in ("json", "yaml"):
        whole = {"schema_version": SCHEMA_VERSION, "items": list(items), "next": following}
        yield _document(shape, whole)
        return
    if shape == "csv" and header:
        yield _csv(keys)
    for item in items:
        yield _line(shape, item, keys)


def single(
    shape: str, item: Mapping[str, Any], keys: Sequence[str], *, header: bool = True
) -> Iterator[str]:
    """The lines of one thing; in a pipe one line per key."""
    if shape in ("json", "yaml"):
        yield _document(shape, {"schema_version": SCHEMA_VERSION, **item})
    elif shape == "tsv":
        yield from ("\t".join((key, _cell(item.get(key)))) for key in keys)
    else:
        yield from listed(shape, [item], keys, header=header)


def problem(error: AutomagikError) -> str:
    """The same object as the API answers (RFC 9457)."""
    title = next(iter((type(error).__doc__ or "").strip().splitlines()), type(error).__name__)
    return _pretty(
        {
            "schema_version": SCHEMA_VERSION,
            "type": "about:blank",
            "title": title,
            "status": error.http_status,
            "detail": error.message,
            "code": error.code,
            "hint": error.hint,
        }
    )


def plain(value: Any) -> Any:
    """A value that JSON has."""
    match value:
        case datetime():
            return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
        case timedelta():
            return value.total_seconds()
        case Enum():
            return value.value
        case set() | frozenset():
            return sorted(value)
    if is_dataclass(value) and not isinstance(value, type):
        return asdict(value)
    return str(value)


def _line(shape: str, item: Mapping[str, Any], keys: Sequence[str]) -> str:
    match shape:
        case "jsonl":
            return _json(item)
        case "name":
            return _cell(item.get("name") or item.get("id") or item.get(next(iter(keys), "")))
        case "csv":
            return _csv([_text(item.get(key)) for key in keys])
    return "\t".join(_cell(item.get(key)) for key in keys)


def _cell(value: Any) -> str:
    return _text(value).translate(_ESCAPES)


def _text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, str):
        return str(value)
    if isinstance(value, bool | int | float | Mapping | list | tuple):
        return _json(value)
    return str(plain(value))


def _csv(cells: Sequence[str]) -> str:
    line = io.StringIO()
    # Before Python 3.13 a cell is quoted for those ends of lines only that end the row.
    csv.writer(line, lineterminator="\r\n").writerow(cells)
    return line.getvalue().removesuffix("\r\n")


def _document(shape: str, document: Mapping[str, Any]) -> str:
    text = _pretty(document)
    if shape == "json":
        return text
    import yaml

    # By way of JSON: what both of them carry is the same.
    return str(
        yaml.safe_dump(json.loads(text), sort_keys=False, allow_unicode=True, width=math.inf)
    ).rstrip("\n")


def _pretty(document: Mapping[str, Any]) -> str:
    return _json(document, indent=2)


def _json(value: Any, *, indent: int | None = None) -> str:
    """Readable, but for characters that would steer a terminal."""
    text = json.dumps(value, default=plain, ensure_ascii=False, indent=indent)
    return _STEERING.sub(lambda found: f"\\u{ord(found[0]):04x}", text)
