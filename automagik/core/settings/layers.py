"""Where settings come from, strongest first.

    a flag
    the environment
    a file of one secret: that of `NAME_FILE`, then systemd's credential `NAME`
    `.env` in the working directory
    the chosen profile: that of the project's file, then that of the user's
    the project's file: `automagik.toml` here or in the nearest folder above
    the user's file: `config.toml` in the folder for configurations
    a running embedded stack
    the default

A chosen profile beats what both files say for all profiles: who asks for production means it.
"""

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, ClassVar

from pydantic import SecretStr
from pydantic_settings import BaseSettings, DotEnvSettingsSource, EnvSettingsSource

from automagik.core.settings import files
from automagik.core.settings.exceptions import SettingProblem
from automagik.core.settings.files import CHOICE, Entries, SettingsFile


class Origin(StrEnum):
    """Who has said it, from the strongest to the weakest."""

    FLAG = "flag"
    ENVIRONMENT = "environment"
    SECRET_FILE = "secret file"  # noqa: S105  (where one stands)
    DOTENV = ".env"
    PROJECT = "project file"
    USER = "user file"
    EMBEDDED = "embedded stack"
    DEFAULT = "default"


@dataclass(frozen=True, kw_only=True, slots=True)
class Found:
    """A value that somebody gave."""

    value: Any
    origin: Origin
    place: str
    """`env DATABASE_URL`, `automagik.toml:12`: where to change it."""
    folder: Path | None = None
    """Where the paths begin that it names."""


class Readable(BaseSettings):
    """Settings that files may hold, too."""

    PROJECT_FILE: ClassVar[str | None] = None


Layer = Mapping[str, Found]
"""By the names of fields."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Layers:
    """All that was said of settings, and by whom."""

    winners: Layer
    profile: Found | None
    profiles: Sequence[str]
    """The names of all profiles that the files have."""
    files: Sequence[SettingsFile]
    problems: Sequence[SettingProblem]

    def of_files(self) -> dict[str, Any]:
        """What the files have the last word in, with secrets fetched from where they point to."""
        return {n: found.value for n, found in self.winners.items() if found.origin in _FILES}


def read_layers(kind: type[Readable], given: Mapping[str, Any]) -> Layers:
    """Raises nothing for what is wrong: that is told in `problems`."""
    read = [
        (origin, files.read(path, known=kind.model_fields)) for origin, path in existing_files(kind)
    ]
    above = [_given(given), _environment(kind), secret_files(kind), _dotenv(kind)]
    bases = [_layer(origin, file, file.base) for origin, file in read]
    profile = _merged([*above, *bases]).get(CHOICE)
    tables = [
        _layer(origin, file, file.profiles.get(str(profile.value), {}))
        for origin, file in read
        if profile is not None
    ]
    names = sorted({name for _, file in read for name in file.profiles})
    winners, problems = _fetched(kind, _merged([*above, *tables, *bases]))
    if profile is not None and profile.value not in names:
        problems.append(_no_such_profile(profile, names))
    return Layers(
        winners=winners,
        profile=profile,
        profiles=names,
        files=[file for _, file in read],
        problems=[
            *(p for _, file in read for p in file.problems),
            *_said_twice(kind, above),
            *problems,
        ],
    )


def existing_files(kind: type[Readable]) -> Sequence[tuple[Origin, Path]]:
    """The files that are read, strongest first."""
    found = []
    name = kind.PROJECT_FILE
    project = files.project_file(name) if name else None
    if project is not None:
        found.append((Origin.PROJECT, project))
    user = files.user_file()
    if files.about(user) is not None and user != project:
        found.append((Origin.USER, user))
    return found


def variable(kind: type[Readable], field: str) -> str:
    """The environment's name for a field."""
    alias = kind.model_fields[field].validation_alias
    return alias if isinstance(alias, str) else f"{kind.model_config['env_prefix']}{field}".upper()


def is_secret(kind: type[Readable], field: str) -> bool:
    annotation = kind.model_fields[field].annotation
    return annotation is SecretStr or SecretStr in getattr(annotation, "__args__", ())


FILE_SUFFIX = "_FILE"
"""`DATABASE_URL_FILE` names the file that holds DATABASE_URL."""
CREDENTIALS = "CREDENTIALS_DIRECTORY"
"""systemd's name for the folder with what LoadCredential= gives to a service."""

_FILES = (Origin.SECRET_FILE, Origin.PROJECT, Origin.USER)
_REFERENCE = re.compile(r"(env|file):(.+)", re.DOTALL)


def is_reference(value: Any) -> bool:
    """Whether it says where a secret is, not what it is."""
    return isinstance(value, str) and _REFERENCE.fullmatch(value) is not None


def _given(values: Mapping[str, Any]) -> Layer:
    return {
        field: Found(value=value, origin=Origin.FLAG, place=f"flag --{field}")
        for field, value in values.items()
    }


def _environment(kind: type[Readable]) -> Layer:
    said = _by_field(kind, EnvSettingsSource(kind)())
    return {
        field: Found(value=v, origin=Origin.ENVIRONMENT, place=f"env {variable(kind, field)}")
        for field, v in said.items()
    }


def secret_files(kind: type[Readable]) -> Layer:
    """What is to be read from files of one secret each; they may be missing."""
    found = {}
    for field in kind.model_fields:
        if is_secret(kind, field) and (said := _secret_file(variable(kind, field))):
            path, place = said
            found[field] = Found(value=f"file:{path}", origin=Origin.SECRET_FILE, place=place)
    return found


def _secret_file(name: str) -> tuple[str, str] | None:
    """Its path, and who names it."""
    if path := os.environ.get(f"{name}{FILE_SUFFIX}"):
        return path, f"env {name}{FILE_SUFFIX}"
    folder = os.environ.get(CREDENTIALS)
    if folder and Path(folder, name).exists():
        return f"{folder}/{name}", f"credential {name}"
    return None


def _said_twice(kind: type[Readable], above: Sequence[Layer]) -> Iterator[SettingProblem]:
    """Nobody could tell which of the two is the old one."""
    _, environment, named, _ = above
    for field in environment.keys() & named.keys():
        name = variable(kind, field)
        if named[field].place.startswith("env "):
            yield SettingProblem(
                key=field,
                what=f"{name} and {name}{FILE_SUFFIX} are both set",
                place=environment[field].place,
                hint="Unset one of them.",
            )


def _dotenv(kind: type[Readable]) -> Layer:
    said = _by_field(kind, DotEnvSettingsSource(kind)())
    return {f: Found(value=v, origin=Origin.DOTENV, place=".env") for f, v in said.items()}


def _by_field(kind: type[Readable], said: Mapping[str, Any]) -> dict[str, Any]:
    """Sources answer by the alias or by the name."""
    names = {info.validation_alias: field for field, info in kind.model_fields.items()}
    fields = {key: names.get(key, key) for key in said}
    return {field: said[key] for key, field in fields.items() if field in kind.model_fields}


def _layer(origin: Origin, file: SettingsFile, entries: Entries) -> Layer:
    return {
        key: Found(
            value=entry.value,
            origin=origin,
            place=file.place(entry.line),
            folder=file.path.parent,
        )
        for key, entry in entries.items()
    }


def _merged(layers: Sequence[Layer]) -> dict[str, Found]:
    merged: dict[str, Found] = {}
    for layer in reversed(layers):
        merged |= layer
    return merged


def _fetched(
    kind: type[Readable], winners: Mapping[str, Found]
) -> tuple[Layer, list[SettingProblem]]:
    """Only of what counts: nobody misses the secret of a profile that is not used."""
    found, problems = dict(winners), []
    for field, each in winners.items():
        if not (each.origin in _FILES and is_reference(each.value) and is_secret(kind, field)):
            continue
        try:
            value = _referred(each.value, each.folder or Path())
        except (OSError, ValueError, RuntimeError) as error:
            what = getattr(error, "strerror", None) or str(error)
            what = f"{each.value} gives nothing: {what}"
            problems.append(SettingProblem(key=field, what=what, place=each.place))
            del found[field]
        else:
            place = f"{each.place} ({each.value})"
            found[field] = Found(value=value, origin=each.origin, place=place)
    return found, problems


def _referred(reference: str, folder: Path) -> str:
    """Raises OSError, ValueError for what is not set or empty, and RuntimeError without a home."""
    kind, _, name = reference.partition(":")
    if kind == "env":
        value = os.environ.get(name, "")
    else:
        value = (folder / Path(name).expanduser()).read_text(encoding="utf-8").strip()
    if not value:
        raise ValueError("it is not set" if kind == "env" else "the file is empty")
    return value


def _no_such_profile(profile: Found, names: Sequence[str]) -> SettingProblem:
    from automagik.core.database.lookup import nearest

    known = (
        f"The profiles are: {', '.join(names)}."
        if names
        else ("No file has any: make one with a table [profiles.NAME] in automagik.toml.")
    )
    near = nearest(str(profile.value), names)
    return SettingProblem(
        key=CHOICE,
        what=f"there is no profile {profile.value!r}",
        place=profile.place,
        hint=f"{near} {known}" if near else known,
    )
