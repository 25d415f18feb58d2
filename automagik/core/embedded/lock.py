"""One `automagik up` per home: a lock that the kernel drops when its holder dies."""

import fcntl
import os
import time
from pathlib import Path
from types import TracebackType
from typing import Self

from automagik.core.embedded.exceptions import EmbeddedError, HomeInUse

LOCK_FILE = "lock"
_GLANCE_SECONDS = 0.5  # others hold the lock for an instant when they look


class HomeLock:
    """Holds `home/lock`, which names the holder's process, and makes the home if need be."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self._file = -1

    def __enter__(self) -> Self:
        """Raises HomeInUse, which names the process that holds it."""
        try:
            _make_home(self.home)
            self._file = os.open(self.home / LOCK_FILE, os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise EmbeddedError(
                f"The data folder cannot be used: {error}",
                hint="Choose another with AUTOMAGIK_HOME.",
            ) from error
        try:
            self._acquire()
        except HomeInUse:
            os.close(self._file)
            raise
        os.ftruncate(self._file, 0)
        os.pwrite(self._file, str(os.getpid()).encode(), 0)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        os.close(self._file)

    def _acquire(self) -> None:
        end = time.monotonic() + _GLANCE_SECONDS
        while not _lock(self._file, fcntl.LOCK_EX):
            if time.monotonic() > end:
                holder = os.pread(self._file, 20, 0).decode() or "unknown"
                raise HomeInUse(
                    f"Another `automagik up` runs in {self.home}: it is process {holder}."
                )
            time.sleep(_GLANCE_SECONDS / 10)


def stack_is_running(home: Path) -> bool:
    """Whether a living process holds the lock of the home; what its state says is then true."""
    try:
        file = os.open(home / LOCK_FILE, os.O_RDONLY)
    except OSError:
        return False
    try:
        return not _lock(file, fcntl.LOCK_SH)
    finally:
        os.close(file)


def _lock(file: int, kind: int) -> bool:
    try:
        fcntl.flock(file, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _make_home(home: Path) -> None:
    """Closed to others, except that root's servers must pass through it as another user."""
    if home.is_dir():
        return
    home.mkdir(parents=True)
    home.chmod(0o711 if os.geteuid() == 0 else 0o700)
