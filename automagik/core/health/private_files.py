"""Files with secrets: who else may read them."""

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from automagik.core.config import STATE_FILE, Settings
from automagik.core.encryption import Keyring
from automagik.core.health.check import Check, ok, warning
from automagik.core.settings.files import shown
from automagik.core.settings.origins import holds_secret, layers_of

_OTHERS = stat.S_IRGRP | stat.S_IROTH | stat.S_IWGRP | stat.S_IWOTH


@dataclass(frozen=True, kw_only=True, slots=True)
class OpenFile:
    """A file with a secret that others can read or change."""

    path: Path
    mode: int
    is_ours: bool
    """Whether we may close it."""


def check_files(settings: Settings) -> Iterator[Check]:
    found = list(open_files(settings))
    for file in found:
        words = f"others can read or change {shown(file.path)}, which holds a secret"
        yield warning("Files", words, fix=f"chmod 600 {shown(file.path)}")
    if not found:
        yield ok("Files", "nobody else can read those with secrets")


def open_files(settings: Settings) -> Iterator[OpenFile]:
    for path in _with_secrets(settings):
        try:
            about = path.stat()
        except OSError:
            continue
        if about.st_mode & _OTHERS:
            is_ours = about.st_uid == os.geteuid()
            yield OpenFile(path=path, mode=stat.S_IMODE(about.st_mode), is_ours=is_ours)


def _with_secrets(settings: Settings) -> Iterator[Path]:
    yield from (file.path for file in layers_of(settings).files if holds_secret(file))
    yield settings.home / STATE_FILE
    yield Keyring.of(settings).file
