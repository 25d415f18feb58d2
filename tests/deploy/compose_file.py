"""docker-compose.yml as tests read it."""

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
FILE = ROOT / "docker-compose.yml"
OUR_IMAGE = "automagik:local"

_VARIABLE = re.compile(r"\$\$|\$\{(?P<name>\w+)(?::(?P<kind>[-?])(?P<rest>[^}]*))?\}")


def document() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(FILE.read_text())
    return found


def services() -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = document()["services"]
    return found


def ours() -> dict[str, dict[str, Any]]:
    return {name: each for name, each in services().items() if each["image"] == OUR_IMAGE}


def example_variables() -> dict[str, bool]:
    """The names in .env.example, and whether each is set in it, if only to nothing."""
    lines = (ROOT / ".env.example").read_text().splitlines()
    found = (re.match(r"(#?)([A-Z_]+)=", line) for line in lines)
    return {each[2]: not each[1] for each in found if each}


def references(value: Any) -> Iterator[tuple[str, str | None]]:
    """Each variable that is named, and what follows it: `-` a default, `?` an error."""
    for text in texts(value):
        for found in _VARIABLE.finditer(text):
            if found["name"]:
                yield found["name"], found["kind"]


def texts(value: Any) -> Iterator[str]:
    match value:
        case str():
            yield value
        case Mapping():
            for each in value.values():
                yield from texts(each)
        case Sequence():
            for each in value:
                yield from texts(each)


def interpolated(text: str, variables: Mapping[str, str]) -> str:
    """As Compose does it."""

    def value(found: re.Match[str]) -> str:
        if found[0] == "$$":
            return "$"
        said = variables.get(found["name"], "")
        return said or (found["rest"] if found["kind"] == "-" else "")

    return _VARIABLE.sub(value, text)
