"""The children of `automagik up` beside the servers: worker, beat, Flower and the demo server."""

import os
import signal
import socket
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

from sqlalchemy import TextClause, text

from automagik.core.config import Settings
from automagik.core.database.exceptions import DatabaseUnreachable
from automagik.core.database.session import Database
from automagik.core.embedded.processes import ChildProcess

# Other hosts may use the same database, and process numbers come again.
_WORKER_IS_UP = text("""
SELECT 1 FROM workers WHERE pid = :pid AND hostname = :host AND heartbeat_at > started_at
    AND started_at > now() - interval '2 minutes'
""")
_BEAT_IS_UP = text("""
SELECT 1 FROM beats WHERE pid = :pid AND hostname = :host
    AND started_at > now() - interval '2 minutes'
""")


def worker(settings: Settings, environment: Mapping[str, str]) -> ChildProcess:
    # A warm stop lasts as long as the drain; the rest is for Celery itself.
    patience = settings.drain_seconds + 10
    return ChildProcess(
        "worker",
        _celery("worker", "--loglevel", "INFO", "--hostname", "worker@%h"),
        log_path=_log(settings, "worker"),
        env=environment,
        stop_signals=((signal.SIGTERM, patience), (signal.SIGQUIT, 5.0)),
    )


def beat(settings: Settings, environment: Mapping[str, str]) -> ChildProcess:
    return ChildProcess(
        "beat",
        _celery("beat", "--loglevel", "INFO"),
        log_path=_log(settings, "beat"),
        env=environment,
    )


def flower(settings: Settings, environment: Mapping[str, str], *, port: int) -> ChildProcess:
    """On loopback only, because it has no password."""
    return ChildProcess(
        "flower",
        # A flowerconfig.py where the user happens to be may be that of anything.
        _celery("flower", "--address=127.0.0.1", f"--port={port}", f"--conf={os.devnull}"),
        log_path=_log(settings, "flower"),
        env=environment,
    )


def demo(
    settings: Settings, environment: Mapping[str, str], *, port: int, key_file: Path
) -> ChildProcess:
    arguments = ("-P", "-m", "automagik.demo", "--port", str(port), "--api-key-file", str(key_file))
    return ChildProcess(
        "demo",
        (sys.executable, *arguments),
        log_path=_log(settings, "demo"),
        env=environment,
    )


def worker_is_up(database: Database, child: ChildProcess) -> Callable[[], bool]:
    return lambda: _found(database, _WORKER_IS_UP, child)


def beat_is_up(database: Database, child: ChildProcess) -> Callable[[], bool]:
    return lambda: _found(database, _BEAT_IS_UP, child)


def answers(url: str) -> Callable[[], bool]:
    """Whether a page of a child can be fetched."""

    def fetched() -> bool:
        try:
            with urlopen(url, timeout=2) as reply:  # noqa: S310  (our own loopback address)
                return bool(reply.status == 200)
        except (URLError, OSError):
            return False

    return fetched


def _found(database: Database, query: TextClause, child: ChildProcess) -> bool:
    try:
        with database.transaction() as connection:
            return (
                connection.scalar(query, {"pid": child.pid, "host": socket.gethostname()})
                is not None
            )
    except DatabaseUnreachable:
        return False


def _celery(*arguments: str) -> tuple[str, ...]:
    # -P: a file html.py where the user happens to be must not be taken for Python's own.
    return (sys.executable, "-P", "-m", "celery", "-A", "automagik", *arguments)


def _log(settings: Settings, name: str) -> Path:
    return settings.home / "logs" / f"{name}.log"
