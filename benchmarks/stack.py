"""PostgreSQL and Redis of a benchmark's own, with the processes that work on them.

Durability is that of production: fsync and synchronous_commit are on.
"""

import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Self

import psutil
import redis
from cryptography.fernet import Fernet
from sqlalchemy import text

from automagik.core.config import with_driver
from automagik.core.database.migrate import upgrade
from automagik.core.database.session import Database
from automagik.core.embedded.postgres import EmbeddedPostgres
from automagik.core.embedded.processes import ChildProcess
from automagik.core.embedded.redis_server import EmbeddedRedis

# What an administrator sets for a server of this size; the default of 32 MB is for laptops.
POSTGRES_OPTIONS = {
    "shared_buffers": "1GB",
    "max_wal_size": "4GB",
    "shared_preload_libraries": "pg_stat_statements",
}
_PATIENCE_SECONDS = 60


class Stack:
    """Enter it: the servers run and the schema is there. On the way out all of it is stopped.

    Args:
        home: keeps its database there for the next time; None is a temporary folder.
        options: PostgreSQL's, on top of those of all benchmarks.
    """

    def __init__(
        self, home: Path | None = None, *, options: Mapping[str, str] | None = None
    ) -> None:
        self._kept = home
        self._options = POSTGRES_OPTIONS | dict(options or {})
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        with self._stack:
            self._start()
            self._stack = self._stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def _start(self) -> None:
        self.home = self._kept or Path(
            self._stack.enter_context(tempfile.TemporaryDirectory(prefix="automagik-benchmark-"))
        )
        self.home.mkdir(parents=True, exist_ok=True)
        self.home.chmod(0o711)
        self.postgres = EmbeddedPostgres(self.home, options=self._options)
        self.redis = EmbeddedRedis(self.home)
        self.database_url = self.postgres.start()
        self._stack.callback(self.postgres.stop)
        self.redis_url = self.redis.start()
        self._stack.callback(self.redis.stop)
        upgrade(self.database_url)
        self.database = Database(with_driver(self.database_url))
        self._stack.callback(self.database.dispose)
        self.environment = {
            "DATABASE_URL": self.database_url,
            "REDIS_URL": self.redis_url,
            "AUTOMAGIK_HOME": str(self.home),
            "AUTOMAGIK_SECRET_KEY": Fernet.generate_key().decode(),
        }

    def redis_client(self) -> redis.Redis:
        return redis.Redis.from_url(self.redis_url)

    @contextmanager
    def process(
        self,
        name: str,
        *argv: str,
        env: Mapping[str, str] | None = None,
        is_ready: Callable[[], bool] = lambda: True,
    ) -> Iterator[int]:
        """A process with this stack's environment, for the time of the block; its process id."""
        child = ChildProcess(
            name,
            argv,
            log_path=self.home / f"{name}.log",
            env=os.environ | self.environment | dict(env or {}),
        )
        child.start()
        try:
            child.wait_until(is_ready, seconds=_PATIENCE_SECONDS)
            assert child.pid is not None
            yield child.pid
        finally:
            child.stop()

    @contextmanager
    def beat(self, name: str = "beat", *, env: Mapping[str, str] | None = None) -> Iterator[int]:
        """Running and ticking."""
        argv = (sys.executable, "-m", "celery", "-A", "automagik", "beat", "--loglevel", "WARNING")
        count = text("SELECT count(*) FROM beats WHERE stopped_at IS NULL")
        before = self.scalar(count)
        with self.process(
            name, *argv, env=env, is_ready=lambda: self.scalar(count) > before
        ) as pid:
            yield pid

    @contextmanager
    def worker(
        self,
        name: str = "worker",
        *,
        app: str = "automagik",
        concurrency: int = 10,
        pool: str = "threads",
        env: Mapping[str, str] | None = None,
    ) -> Iterator[int]:
        """Ready for deliveries."""
        argv = (sys.executable, "-m", "celery", "-A", app, "worker", "--loglevel", "WARNING")
        options = ("-P", pool, "-c", str(concurrency), "-n", f"{name}@benchmark")
        count = text("SELECT count(*) FROM workers WHERE name = :name AND status = 'online'")
        named = count.bindparams(name=f"{name}@benchmark")
        with self.process(
            name, *argv, *options, env=env, is_ready=lambda: self.scalar(named) > 0
        ) as pid:
            yield pid

    def scalar(self, statement: object) -> int:
        """The one number that a statement gives."""
        with self.database.transaction() as connection:
            return int(connection.scalar(statement) or 0)  # type: ignore[call-overload]

    def server_cpu_seconds(self) -> float:
        """Of PostgreSQL with all that it has started, those that ended included."""
        assert self.postgres.child is not None
        assert self.postgres.child.pid is not None
        return cpu_seconds(self.postgres.child.pid)

    def redis_cpu_seconds(self) -> float:
        assert self.redis.child is not None
        assert self.redis.child.pid is not None
        return cpu_seconds(self.redis.child.pid)


def cpu_seconds(pid: int) -> float:
    """Of a process with its children, living and reaped ones."""
    process = psutil.Process(pid)
    times = process.cpu_times()
    own = times.user + times.system + times.children_user + times.children_system
    return own + sum(_own_seconds(child) for child in process.children(recursive=True))


def rss_mb(pid: int) -> float:
    """Of a process with its children, in MB of 10^6 bytes."""
    process = psutil.Process(pid)
    everyone = [process, *process.children(recursive=True)]
    return sum(each.memory_info().rss for each in everyone) / 1e6


def wait_until(
    is_so: Callable[[], bool],
    *,
    what: str,
    seconds: float = _PATIENCE_SECONDS,
    pause: float = 0.02,
) -> None:
    end = time.monotonic() + seconds
    while not is_so():
        if time.monotonic() > end:
            raise TimeoutError(f"{what}: not within {seconds:g} s")
        time.sleep(pause)


def _own_seconds(process: psutil.Process) -> float:
    try:
        times = process.cpu_times()
    except psutil.NoSuchProcess:
        return 0.0
    return times.user + times.system + times.children_user + times.children_system
