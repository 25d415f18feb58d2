"""Celery alone beside AutoMagik: how fast its workers take messages that wait for them."""

import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import redis

from automagik.core.config import with_driver
from benchmarks.peers import FOLDER, peers_python
from benchmarks.report import say
from benchmarks.stack import Stack
from benchmarks.throughput import Throughput, middle

_QUEUE = "celery"
_CONCURRENCY = {"prefork": 2, "gevent": 100}
"""Of threads it is that of ours."""


@dataclass(frozen=True, kw_only=True, slots=True)
class CeleryPeer:
    """Which Celery: `raw` forgets what came out, `db` keeps it in PostgreSQL as ours does."""

    kind: str
    pool: str

    @classmethod
    def of(cls, name: str) -> "CeleryPeer":
        kind, _, pool = name.partition("-")
        return cls(kind=kind, pool=pool)

    @property
    def name(self) -> str:
        return f"{self.kind}-{self.pool}"

    def drain(
        self,
        stack: Stack,
        *arguments: str,
        task: str,
        count: int,
        concurrency: int,
        done: Callable[[], int] | None,
        longest: float,
    ) -> Throughput:
        """So many messages of the task, published before the worker starts."""
        with self._broker(stack) as (environment, broker):
            script = FOLDER / "celery_runs.py"
            subprocess.run(
                [peers_python(), script, task, str(count), *arguments], env=environment, check=True
            )
            slots = _CONCURRENCY.get(self.pool, concurrency)
            words = ("-m", "celery", "-A", "celery_runs", "worker", "--loglevel", "WARNING")
            options = ("-P", self.pool, "-c", str(slots), "-n", f"{self.name}@benchmark")
            python = str(peers_python())
            with stack.process(self.name, python, *words, *options, env=environment) as pid:
                return middle(
                    stack,
                    count,
                    {"worker": [pid]},
                    done=done or (lambda: count - broker.llen(_QUEUE)),
                    longest=longest,
                )

    @contextmanager
    def _broker(self, stack: Stack) -> Iterator[tuple[dict[str, str], "redis.Redis"]]:
        """A database of Redis that is empty before and after, and the environment for it."""
        url = stack.redis_url.removesuffix("/0") + "/1"
        environment = {"BROKER_URL": url, "PYTHONPATH": str(FOLDER)}
        if self.kind == "db":
            environment["RESULT_BACKEND"] = f"db+{with_driver(stack.database_url)}"
        with redis.Redis.from_url(url) as broker:
            broker.flushdb()
            try:
                yield environment, broker
            finally:
                broker.flushdb()


def peer_names(chosen: str) -> list[str]:
    """Of a list with commas, or of `none`."""
    return [] if chosen == "none" else chosen.split(",")


def drain_each(
    names: list[str],
    stack: Stack,
    *arguments: str,
    task: str,
    count: int,
    concurrency: int,
    done: Callable[[], int] | None = None,
    longest: float = 20,
) -> dict[str, Throughput]:
    """Of the peers with these names, such as raw-threads or db-prefork.

    How many are done is how many were taken, unless `done` knows better.
    """
    found = {}
    for peer in map(CeleryPeer.of, names):
        found[peer.name] = peer.drain(
            stack,
            *arguments,
            task=task,
            count=count,
            concurrency=concurrency,
            done=done,
            longest=longest,
        )
        say(f"{peer.name}: {found[peer.name].per_second:.0f} runs/s")
    return found
