"""What can be checked on this host alone."""

import platform
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from zoneinfo import TZPATH, ZoneInfo, available_timezones

from automagik.core.config import Settings
from automagik.core.doctor.check import Check, error, ok, warning
from automagik.core.doctor.origins import Origin, origins

OLDEST_PYTHON = (3, 11)
_GIGABYTE = 1_000_000_000
_LITTLE_SPACE = _GIGABYTE
_NO_SPACE = _GIGABYTE // 10
_FEWEST_ZONES = 300
"""A complete tz database has about 600 names."""


def check_python(_: Settings) -> Iterator[Check]:
    found = f"{platform.python_version()} at {sys.executable}"
    if sys.version_info >= OLDEST_PYTHON:
        yield ok("Python", found)
    else:
        yield error("Python", found, fix="Use Python 3.11 or newer.")


def check_settings(settings: Settings) -> Iterator[Check]:
    counts = dict.fromkeys(Origin, 0)
    for setting in origins(settings):
        counts[setting.origin] += 1
    words = [f"{count} from {origin}" for origin, count in counts.items() if count]
    yield ok("Settings", ", ".join(words).replace("from default", "by default"))


def check_time_zones(settings: Settings) -> Iterator[Check]:
    count = len(available_timezones())
    place = next((path for path in TZPATH if Path(path).is_dir()), "the tzdata package")
    now_in = ZoneInfo(settings.timezone)
    found = f"{count} zones from {place}, TIMEZONE is {now_in}"
    if count >= _FEWEST_ZONES:
        yield ok("Time zones", found)
    else:
        yield warning("Time zones", found, fix="Install your system's tzdata.")


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
