"""Names and ids to complete a word with: from the database, kept for half a minute.

Each function here is the `autocompletion` of the arguments and options that take such a name. A
completion that cannot be found is none: nothing is said in the middle of somebody's typing.
"""

import json
import os
import time
from collections.abc import Iterable
from contextlib import suppress
from hashlib import sha256
from pathlib import Path

from typer import Context

from automagik.cli import context
from automagik.core.names import Kind

Found = list[tuple[str, str]]
"""Names, each with a few words that a shell may show beside it."""

FILES = "(files)"
"""Stands beside a word that the shell itself completes, as a path."""

_FRESH_SECONDS = 30


def sources(incomplete: str) -> Found:
    return _known(Kind.SOURCES, incomplete)


def flows(incomplete: str) -> Found:
    return _known(Kind.FLOWS, incomplete)


def schedules(incomplete: str) -> Found:
    return [("@last", "the newest schedule"), *_known(Kind.SCHEDULES, incomplete)]


def calendars(incomplete: str) -> Found:
    return _known(Kind.CALENDARS, incomplete)


def queues(incomplete: str) -> Found:
    return _known(Kind.QUEUES, incomplete)


def workers(incomplete: str) -> Found:
    return _known(Kind.WORKERS, incomplete)


def tasks(incomplete: str) -> Found:
    return [("@last", "the newest task"), *_known(Kind.TASKS, incomplete)]


def backfills(incomplete: str) -> Found:
    return [("@last", "the newest backfill"), *_known(Kind.BACKFILLS, incomplete)]


def parents(incomplete: str) -> Found:
    """What a chain may follow."""
    return [*_known(Kind.SCHEDULES, incomplete), *flows(incomplete)]


def files(incomplete: str) -> Found:
    return [(incomplete, FILES)]


def states(incomplete: str) -> Found:
    """One after another, separated by commas."""
    from automagik.core.tasks.states import TaskState

    return _one_more(incomplete, TaskState)


def statuses(incomplete: str) -> Found:
    """One after another, separated by commas."""
    from automagik.core.scheduler.values import ScheduleStatus

    return _one_more(incomplete, ScheduleStatus)


def types(incomplete: str) -> list[str]:
    """Of rules, for --type."""
    from automagik.core.scheduler.schedule_type import ScheduleType

    return _beginning(incomplete, [each for each in ScheduleType if each != ScheduleType.AFTER])


def unsettable(incomplete: str) -> list[str]:
    """What a schedule can leave open again."""
    from automagik.core.scheduler.unset import UNSETTABLE

    return _beginning(incomplete, [*UNSETTABLE, "label", "label:"])


def levels(incomplete: str) -> list[str]:
    from automagik.core.tasks.values import LOG_LEVELS

    return _beginning(incomplete, LOG_LEVELS)


def zones(incomplete: str) -> list[str]:
    from zoneinfo import available_timezones

    return _beginning(incomplete, sorted(available_timezones()))


def setting_keys(incomplete: str) -> list[str]:
    from automagik.core.config import Settings

    return _beginning(incomplete, Settings.model_fields)


def profiles(incomplete: str) -> list[str]:
    from automagik.core.config import Settings
    from automagik.core.settings.layers import read_layers

    return _beginning(incomplete, read_layers(Settings, {}).profiles)


def error_codes(incomplete: str) -> list[str]:
    from automagik.cli import error_guide

    return _beginning(incomplete, error_guide.error_codes())


def help_words(ctx: Context, incomplete: str) -> Found:
    """What follows the words before: topics, commands and their commands, codes after `error`."""
    from automagik.cli.cli import entered
    from automagik.cli.texts import TOPICS

    words: list[str] = ctx.params.get("words") or []
    if words == ["error"]:
        return [(code, "") for code in error_codes(incomplete)]
    children = getattr(entered(words).command, "commands", {})
    found = [(name, child.get_short_help_str()) for name, child in children.items()]
    return found if words else [*TOPICS.items(), ("error", "What a code means."), *found]


def _one_more(incomplete: str, words: Iterable[str]) -> Found:
    said, comma, _ = incomplete.rpartition(",")
    return [(f"{said}{comma}{word}", "") for word in words if word not in said.split(",")]


def _known(kind: Kind, incomplete: str) -> Found:
    """What is kept counts unless nothing of it fits: it may have been made just now."""
    url = context.settings().require_database_url()
    place = _place(url, kind)
    kept = _kept(place)
    if any(name.startswith(incomplete) for name, _ in kept):
        return kept
    return _read(url, kind, place)


def _read(url: str, kind: Kind, place: Path) -> Found:
    from automagik.core.names import read_names

    found = read_names(url, kind)
    with suppress(OSError):
        _keep(place, found)
    return found


def _place(url: str, kind: Kind) -> Path:
    from platformdirs import user_cache_path

    database = sha256(url.encode()).hexdigest()[:16]
    return user_cache_path("automagik") / "completion" / f"{database}-{kind}.json"


def _kept(place: Path) -> Found:
    try:
        if time.time() - place.stat().st_mtime > _FRESH_SECONDS:
            return []
        return [(name, about) for name, about in json.loads(place.read_text())]
    except (OSError, ValueError, TypeError):
        return []


def _keep(place: Path, found: Found) -> None:
    """Whole or not at all, and for nobody else's eyes."""
    place.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    fresh = place.with_suffix(f".{os.getpid()}")
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        json.dump(found, file)
    fresh.replace(place)


def _beginning(incomplete: str, words: Iterable[str]) -> list[str]:
    return [word for word in words if word.startswith(incomplete)]
