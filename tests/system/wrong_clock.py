"""A wall clock that is wrong, and can be set, for processes of the tests: libfaketime, preloaded.

The monotonic clock stays true, as on a host whose wall clock somebody sets.
"""

import os
import subprocess
import sys
import time
from datetime import timedelta
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path

import pytest

PLACES = (
    # The package faketime of Debian.
    Path("/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1"),
    Path("/usr/lib/aarch64-linux-gnu/faketime/libfaketime.so.1"),
)
IN_PACKAGE = "vendor/libfaketime/src/libfaketime.so.1"
"""The package libfaketime of PyPI, which the group `test` installs."""
_SECONDS_UNTIL_NOTICED = "1"


class WrongClock:
    """The clock of one host. Skips the test where there is no library for it."""

    def __init__(self, file: Path, *, ahead: timedelta) -> None:
        library = _library()
        if library is None:
            pytest.skip("no libfaketime works here; install Debian's package faketime")
        self._file = file
        self.environment = {
            "LD_PRELOAD": str(library),
            "FAKETIME_TIMESTAMP_FILE": str(file),
            "FAKETIME_CACHE_DURATION": _SECONDS_UNTIL_NOTICED,
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        }
        self.set(ahead)

    def set(self, ahead: timedelta) -> None:
        """Its processes see it within a second. Negative: behind."""
        written = self._file.with_suffix(".new")
        written.write_text(f"{ahead.total_seconds():+.0f}")
        # In one piece: they may read it at any moment.
        written.replace(self._file)


def sweep() -> None:
    """Removes what the library shares between the processes of a family that was killed."""
    for shared in Path("/dev/shm").glob("*faketime_s*_*"):
        is_left_over = not Path("/proc", shared.name.rpartition("_")[2]).exists()
        if is_left_over and shared.stat().st_uid == os.getuid():
            shared.unlink(missing_ok=True)


@lru_cache(maxsize=1)
def _library() -> Path | None:
    package = find_spec("libfaketime")
    carried = [Path(package.origin).parent / IN_PACKAGE] if package and package.origin else []
    return next((library for library in (*carried, *PLACES) if _works(library)), None)


def _works(library: Path) -> bool:
    """A library for another processor exists and does nothing."""
    told = subprocess.run(
        [sys.executable, "-c", "import time; print(time.time())"],
        env=os.environ | {"LD_PRELOAD": str(library), "FAKETIME": "+1h"},
        capture_output=True,
        text=True,
        check=True,
    )
    return float(told.stdout) > time.time() + 3000
