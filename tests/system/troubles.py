"""Troubles of a PostgreSQL that runs: each begins and ends while beats and workers are at work."""

import subprocess
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest
from sqlalchemy import text

from automagik.core.database.session import Database

DISK = "224m"
"""A fresh cluster with our schema takes a quarter of it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Place:
    """Where a trouble happens.

    Attributes:
        lord: the database as its superuser sees it, whom no limit hits.
        role: the account of beats, workers and the command line.
        disk: the file system of the database; None when it is that of the machine.
    """

    lord: Database
    role: str
    disk: Path | None = None

    def alter_role(self, change: str) -> None:
        with self.lord.transaction() as connection:
            connection.execute(text(f"ALTER ROLE {self.role} {change}"))

    def end_sessions(self) -> None:
        """Those of the role: settings of a role are for new ones."""
        with self.lord.transaction() as connection:
            connection.execute(_END_SESSIONS, {"role": self.role})


_END_SESSIONS = text("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = :role")

Trouble = Callable[[Place], AbstractContextManager[None]]


@contextmanager
def full_disk(place: Place) -> Iterator[None]:
    assert place.disk is not None
    _begin_a_segment(place)
    filler = place.disk / "filler"
    with filler.open("wb", buffering=0) as file:
        for size in (1024 * 1024, 4096):
            with suppress(OSError):
                while True:
                    file.write(bytes(size))
    yield
    filler.unlink()


@contextmanager
def no_connections(place: Place) -> Iterator[None]:
    place.alter_role("CONNECTION LIMIT 0")
    place.end_sessions()
    yield
    place.alter_role("CONNECTION LIMIT -1")


@contextmanager
def read_only(place: Place) -> Iterator[None]:
    """As after a failover: the sessions break, and the new ones are with a server like that."""
    place.alter_role("SET default_transaction_read_only = on")
    place.end_sessions()
    yield
    place.alter_role("RESET default_transaction_read_only")


def timeout_at_a_lock(setting: str) -> Trouble:
    @contextmanager
    def trouble(place: Place) -> Iterator[None]:
        place.alter_role(f"SET {setting} = '300ms'")
        place.end_sessions()
        with place.lord.transaction() as connection:
            connection.execute(text("LOCK TABLE tasks IN ACCESS EXCLUSIVE MODE"))
            yield
        place.alter_role(f"RESET {setting}")

    return trouble


@contextmanager
def small_disk(mount_point: Path) -> Iterator[Path]:
    """A file system in memory. Skips the test where nobody may mount one."""
    mount = ("mount", "-t", "tmpfs", "-o", f"size={DISK},mode=711", "tmpfs", str(mount_point))
    mount_point.mkdir()
    try:
        done = subprocess.run(mount, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        pytest.skip("there is no mount command here")
    if done.returncode:
        pytest.skip(f"a small disk cannot be mounted here: {done.stderr.strip()}")
    try:
        yield mount_point
    finally:
        subprocess.run(("umount", str(mount_point)), check=True)


def _begin_a_segment(place: Place) -> None:
    """So that there is room to log changes that find no room themselves, as on most full disks."""
    with place.lord.transaction() as connection:
        connection.execute(text("SELECT pg_switch_wal()"))
    with place.lord.transaction() as connection:
        connection.execute(text("SELECT pg_logical_emit_message(true, 'a', 'segment')"))
