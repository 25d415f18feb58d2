"""The rules of time zones: there, whole and not out of date."""

from collections.abc import Iterator
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from zoneinfo import TZPATH, ZoneInfo, available_timezones

from automagik.core.config import Settings
from automagik.core.health.check import Check, ok, warning

_FEWEST_ZONES = 300
"""A complete tz database has about 600 names."""
_OLDEST_YEARS = 2
"""Governments change their clocks several times a year, somewhere."""
_FIX = "Upgrade your system's tzdata."


def check_time_zones(settings: Settings) -> Iterator[Check]:
    count = len(available_timezones())
    place = system_zones()
    now_in = ZoneInfo(settings.timezone)
    found = f"{count} zones from {place or 'the tzdata package'}, TIMEZONE is {now_in}"
    if count >= _FEWEST_ZONES:
        yield ok("Time zones", found)
    else:
        yield warning("Time zones", found, fix="Install your system's tzdata.")
    yield rules_check(_release_in(place), packaged_release(), year=datetime.now(UTC).year)


def rules_check(system: str | None, package: str | None, *, year: int) -> Check:
    """The rule for releases such as 2026a: that of the system is used where there is one."""
    used = system or package
    if used is None:
        return ok("Time zone rules", "of a release that does not say its name")
    if system and package and system < package:
        found = f"release {system} of the system, the tzdata package has {package}"
        fix = f"{_FIX} Or set PYTHONTZPATH to nothing for beats and commands: then the package's."
        return warning("Time zone rules", found, fix=fix)
    if used[:4].isdigit() and int(used[:4]) < year - _OLDEST_YEARS:
        fix = _FIX if system else "Upgrade the package tzdata."
        return warning("Time zone rules", f"release {used} is old", fix=fix)
    return ok("Time zone rules", f"release {used}")


def system_zones() -> Path | None:
    """The folder that zones are read from; None where the package has them."""
    return next((path for path in map(Path, TZPATH) if path.is_dir()), None)


def packaged_release() -> str | None:
    """`2026a` for the package 2026.1."""
    try:
        year, _, number = version("tzdata").partition(".")
    except PackageNotFoundError:
        return None
    return f"{year}{chr(ord('a') + int(number) - 1)}" if number.isdigit() else None


def _release_in(folder: Path | None) -> str | None:
    """As it stands in the first line of tzdata.zi, or in +VERSION."""
    if folder is None:
        return None
    for name in ("tzdata.zi", "+VERSION", "version"):
        try:
            with (folder / name).open(encoding="ascii") as file:
                return file.readline().removeprefix("# version").strip() or None
        except (OSError, UnicodeError):
            continue
    return None
