"""Which of the schedules of files come before which. Pure."""

from collections.abc import Mapping
from typing import Any


def followed(fields: Mapping[str, Any]) -> str:
    """The schedule that a chain may mean; an empty name for what is none."""
    reference: str = fields.get("after", "")
    return reference.removeprefix("schedule:")


def depth(name: str, by_name: Mapping[str, Mapping[str, Any]]) -> int:
    """How many of the schedules, with their fields, come before it."""
    seen: set[str] = set()
    while name in by_name and name not in seen:
        seen.add(name)
        name = followed(by_name[name])
    return len(seen)
