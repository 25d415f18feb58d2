"""What can be checked on this host alone."""

import platform
import shutil
import sys
from collections.abc import Iterator

from automagik.core.config import Settings
from automagik.core.health.check import Check, error, ok, warning

OLDEST_PYTHON = (3, 11)
_GIGABYTE = 1_000_000_000
_LITTLE_SPACE = _GIGABYTE
_NO_SPACE = _GIGABYTE // 10


def check_python(_: Settings) -> Iterator[Check]:
    found = f"{platform.python_version()} at {sys.executable}"
    if sys.version_info >= OLDEST_PYTHON:
        yield ok("Python", found)
    else:
        yield error("Python", found, fix="Use Python 3.11 or newer.")


def check_disk(settings: Settings) -> Iterator[Check]:
    # The home itself may not exist yet.
    place = next(p for p in (settings.home, *settings.home.parents) if p.exists())
    free = shutil.disk_usage(place).free
    found = f"{free / _GIGABYTE:.1f} GB free in {settings.home}"
    fix = "Make room there, or set AUTOMAGIK_HOME to another folder."
    if free < _NO_SPACE:
        yield error("Disk", found, fix=fix)
    elif free < _LITTLE_SPACE:
        yield warning("Disk", found, fix=fix)
    else:
        yield ok("Disk", found)
