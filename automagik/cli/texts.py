"""The texts of `automagik help`, which lie beside this module."""

import re
from pathlib import Path

_FOLDER = Path(__file__).with_name("texts")
_SECTION = re.compile(r"^## (.+)\n", re.MULTILINE)

TOPICS = {
    "exit-codes": "What the exit code of a command means.",
    "environment": "Settings: their names, their defaults and what they do.",
    "formatting": "How answers look: shapes, fields, times, colours, the pager.",
    "schedules": "Rules and policies of schedules on one page.",
    "errors": "All error codes; `error CODE` says what to do.",
}


def read(name: str) -> str:
    return (_FOLDER / f"{name}.md").read_text(encoding="utf-8")


def sections(name: str) -> dict[str, str]:
    """What stands under each heading."""
    _, *parts = _SECTION.split(read(name))
    return dict(zip(parts[::2], parts[1::2], strict=True))
