"""Changing one setting in a file, so that comments, order and everything else stay."""

import copy
import json
import math
import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from pydantic_settings import PydanticBaseSettingsSource

from automagik.core.config import Settings
from automagik.core.exceptions import Conflict, InvalidInput
from automagik.core.settings import files, origins
from automagik.core.settings.files import CHOICE, PROFILES
from automagik.core.settings.layers import is_reference, is_secret

Value = str | int | float | bool


def known_key(text: str) -> str:
    """The key that is meant, also by the name of its variable. Raises InvalidInput."""
    key = text.lower().replace("-", "_").removeprefix("automagik_")
    if key not in Settings.model_fields:
        hint = files.did_you_mean(text, Settings.model_fields)
        raise InvalidInput(
            f"There is no setting {text!r}.",
            hint=hint or "See which there are with: automagik config show",
        )
    return key


def checked_value(key: str, text: str) -> Value:
    """As the file shall have it. Raises InvalidInput when the setting cannot be this."""
    if is_secret(Settings, key) and is_reference(text):
        return text
    value = _number(text) if Settings.model_fields[key].annotation in (int, float) else text
    try:
        _Given.model_validate({key: value})
    except ValidationError as error:
        [first, *_] = error.errors(include_input=False, include_context=False, include_url=False)
        what = first["msg"].removeprefix("Value error, ")
        raise InvalidInput(f"{key}: {what}") from None
    return value


def put(path: Path, key: str, value: Value, *, profile: str | None = None) -> None:
    """Makes the file if need be. Raises InvalidInput, and Conflict for what only a person can do.

    A file that holds a secret is closed to others.
    """
    _write(path, with_setting(_text(path), key, value, profile=profile))


def drop(path: Path, key: str, *, profile: str | None = None) -> bool:
    """False when the file does not say it."""
    text = _text(path)
    document = _parsed(text)
    if key not in _table(document, profile):
        return False
    _write(path, with_setting(text, key, None, profile=profile))
    return True


def with_setting(text: str, key: str, value: Value | None, *, profile: str | None = None) -> str:
    """The same text but for this setting; None takes it out.

    The answer is read again: unless it says exactly what it should, this raises Conflict.
    """
    before = _parsed(text)
    if profile is not None and key == CHOICE:
        raise InvalidInput("A profile cannot choose a profile.", hint="Leave --profile out.")
    table = f"{PROFILES}.{_quoted(profile)}" if profile is not None else ""
    said = None if value is None else f"{key} = {_toml(value)}"
    after = _edited(text.splitlines(), (table.replace('"', ""), key), said, header=table)
    new = "\n".join(after) + "\n"
    wanted = _wanted(before, key, value, profile)
    try:
        is_right = tomllib.loads(new) == wanted
    except tomllib.TOMLDecodeError:
        is_right = False
    if not is_right:
        raise Conflict(
            f"{key} stands in the file in a form that is not changed here.",
            hint="Change it by hand.",
        )
    return new


class _Given(Settings):
    """Checks what it is given, and looks nowhere else."""

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: Any,  # noqa: ARG003
        init_settings: PydanticBaseSettingsSource,
        *_: Any,
        **__: Any,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return (init_settings,)


def _number(text: str) -> Value:
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def _toml(value: Value) -> str:
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    # JSON's words are TOML's, but for a character that TOML wants escaped.
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def _quoted(name: str) -> str:
    is_bare = name.replace("-", "").replace("_", "").isalnum() and name.isascii()
    return name if is_bare else json.dumps(name, ensure_ascii=False)


def _edited(text: list[str], where: tuple[str, str], said: str | None, *, header: str) -> list[str]:
    numbers = files.lines("\n".join(text))
    if where in numbers:
        at = numbers[where] - 1
        return [*text[:at], *_again(text[at], said), *text[at + 1 :]]
    if said is None:
        return text
    table = where[0]
    if not table:
        at = _end_of_top(text)
        return [*text[:at], said, *text[at:]]
    at = max((number for (each, _), number in numbers.items() if each == table), default=0)
    if not at:
        return [*text, *([""] if text else []), f"[{header}]", said]
    return [*text[:at], said, *text[at:]]


def _end_of_top(text: list[str]) -> int:
    """Behind the last line before the first table that is not empty."""
    numbers = files.lines("\n".join(text))
    tables = [n for (table, key), n in numbers.items() if table and not key]
    end = min(tables) - 1 if tables else len(text)
    while end and not text[end - 1].strip():
        end -= 1
    return end


def _again(line: str, said: str | None) -> list[str]:
    """What is said now, before the comment that stood behind it."""
    if said is None:
        return []
    for at, character in enumerate(line):
        if character == "#" and _is_whole(line[:at]):
            return [f"{said}  {line[at:]}"]
    return [said]


def _is_whole(text: str) -> bool:
    try:
        return bool(tomllib.loads(text))
    except tomllib.TOMLDecodeError:
        return False


def _wanted(
    before: Mapping[str, Any], key: str, value: Value | None, profile: str | None
) -> Mapping[str, Any]:
    wanted = copy.deepcopy(dict(before))
    table = wanted if profile is None else wanted.setdefault(PROFILES, {}).setdefault(profile, {})
    if value is None:
        table.pop(key, None)
    else:
        table[key] = value
    return wanted


def _table(document: Mapping[str, Any], profile: str | None) -> Mapping[str, Any]:
    if profile is None:
        return document
    found: Mapping[str, Any] = document.get(PROFILES, {}).get(profile, {})
    return found


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return ""
    except OSError as error:
        raise Conflict(f"{path} cannot be read: {error.strerror}.") from error


def _parsed(text: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise Conflict(f"The file is no TOML: {error}", hint="Mend it by hand.") from error


def _write(path: Path, text: str) -> None:
    """Replaces the file in one step; a link stays a link."""
    target = path.resolve()
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        mode = target.stat().st_mode & 0o777 if target.exists() else 0o666 & ~_umask()
        new = target.with_name(f".{target.name}.new")
        new.unlink(missing_ok=True)
        with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        read = files.read(new, known=Settings.model_fields)
        new.chmod(mode & 0o600 if origins.holds_secret(read) else mode)
        new.replace(target)
    except OSError as error:
        raise Conflict(f"{path} cannot be written: {error.strerror}.") from error


def _umask() -> int:
    current = os.umask(0o077)
    os.umask(current)
    return current
