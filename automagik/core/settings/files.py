"""Files with settings: where they are looked for, and what stands in them."""

import os
import re
import tomllib
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from platformdirs import user_config_path

from automagik.core.settings.exceptions import SettingProblem

PROFILES = "profiles"
CHOICE = "profile"
"""The setting that chooses a profile; it stands outside of all profiles."""

_TABLE = re.compile(r"\s*\[\s*([^\[\]]+?)\s*\]\s*(?:#.*)?$")
_KEY = re.compile(r"""\s*["']?([A-Za-z0-9_-]+)["']?\s*=""")
_PREFIX = "automagik_"


@dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    """What a file says of one setting."""

    value: Any
    line: int | None
    """None when it cannot be told, as inside of an inline table."""


Entries = Mapping[str, Entry]


@dataclass(frozen=True, kw_only=True, slots=True)
class SettingsFile:
    """What was found in a file, as far as it could be understood."""

    path: Path
    base: Entries
    """What counts with every profile and without one."""
    profiles: Mapping[str, Entries]
    problems: tuple[SettingProblem, ...] = ()

    def place(self, line: int | None) -> str:
        return shown(self.path) if line is None else f"{shown(self.path)}:{line}"


def user_file() -> Path:
    """Of this person, on this machine; it need not exist."""
    return user_config_path("automagik") / "config.toml"


def project_file(name: str) -> Path | None:
    """The file of this name in the working directory, or in the nearest folder above it.

    Above, only a file that belongs to this person or to root counts: in a folder where everybody
    may write, such as /tmp, somebody else could name servers for us.
    """
    return next((path for path, is_trusted in candidates(name) if is_trusted), None)


def candidates(name: str) -> Iterator[tuple[Path, bool]]:
    """All files of this name from here upwards, and whether each may count."""
    here = _here()
    if here is None:
        return
    for folder in (here, *here.parents):
        found = about(folder / name)
        if found is not None:
            yield folder / name, folder == here or found.st_uid in (0, os.geteuid())


def about(path: Path) -> os.stat_result | None:
    """None where it is not there, or in a folder that is closed to us."""
    try:
        return path.stat()
    except OSError:
        return None


def shown(path: Path) -> str:
    """The path as people write it: from here, or from their home."""
    for start, prefix in ((_here(), ""), (_home(), "~/")):
        if start is not None and path.is_relative_to(start):
            return f"{prefix}{path.relative_to(start)}"
    return str(path)


def read(path: Path, *, known: Collection[str]) -> SettingsFile:
    """Raises nothing for what is wrong in it: that is told in `problems`."""
    try:
        text = path.read_text(encoding="utf-8")
        document = tomllib.loads(text)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        problem = SettingProblem(key="", what=f"cannot be read: {reason}", place=shown(path))
        return SettingsFile(path=path, base={}, profiles={}, problems=(problem,))
    return _understood(path, document, lines(text), known)


def lines(text: str) -> dict[tuple[str, str], int]:
    """The line of each key by its table, `""` at the top; tables themselves are keys of theirs."""
    found: dict[tuple[str, str], int] = {}
    table = ""
    for number, line in enumerate(text.splitlines(), start=1):
        if header := _TABLE.match(line):
            table = _normal(header[1])
            found.setdefault((table, ""), number)
            found.setdefault(("", table.partition(".")[0]), number)
        elif key := _KEY.match(line):
            found.setdefault((table, key[1]), number)
    return found


def _normal(header: str) -> str:
    """`profiles . "prod"` is `profiles.prod`."""
    return ".".join(part.strip(" \t\"'") for part in header.split("."))


def _understood(
    path: Path,
    document: dict[str, Any],
    numbers: Mapping[tuple[str, str], int],
    known: Collection[str],
) -> SettingsFile:
    named = document.pop(PROFILES, {})
    tables = named if isinstance(named, dict) else {}
    base = {key: Entry(value=v, line=numbers.get(("", key))) for key, v in document.items()}
    profiles = {
        name: {
            key: Entry(value=v, line=numbers.get((f"{PROFILES}.{name}", key)))
            for key, v in table.items()
        }
        for name, table in tables.items()
        if isinstance(table, dict)
    }
    file = SettingsFile(path=path, base=base, profiles=profiles)
    wrong = list(_unknown(file, base, known))
    wrong += [p for t in profiles.values() for p in _unknown(file, t, {*known} - {CHOICE})]
    wrong += [_no_profile(file, name) for name in _odd(named) if name not in profiles]
    return SettingsFile(
        path=path,
        base={key: entry for key, entry in base.items() if key in known},
        profiles=profiles,
        problems=tuple(wrong),
    )


def _odd(profiles: Any) -> Collection[str]:
    return profiles if isinstance(profiles, dict) else [PROFILES]


def _no_profile(file: SettingsFile, name: str) -> SettingProblem:
    what, hint = "this is no table of settings", "Write [profiles.NAME], and its settings below."
    return SettingProblem(key=name, what=what, place=shown(file.path), hint=hint)


def _unknown(
    file: SettingsFile, entries: Entries, known: Collection[str]
) -> Iterator[SettingProblem]:
    for key, entry in entries.items():
        if key not in known:
            yield SettingProblem(
                key=key,
                what="there is no such setting",
                place=file.place(entry.line),
                hint=did_you_mean(key, known) or "See which there are with: automagik config show",
            )


def did_you_mean(key: str, known: Collection[str]) -> str | None:
    """Also for a key that was written as in the environment."""
    # It comes with SQLAlchemy, which takes a while to import, and most files are right.
    from automagik.core.database.lookup import nearest

    return nearest(key.lower().replace("-", "_").removeprefix(_PREFIX), known)


def _here() -> Path | None:
    try:
        return Path.cwd()
    except OSError:
        return None


def _home() -> Path | None:
    try:
        return Path.home()
    except RuntimeError:
        # An account without a name, as containers have them.
        return None
