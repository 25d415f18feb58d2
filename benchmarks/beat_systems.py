"""Beats of ours and of others: filled with the same schedules, running, and what they publish."""

import json
import subprocess
from base64 import b64decode
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from typing import IO, Protocol
from uuid import UUID

import redis
from sqlalchemy import create_engine, text

from automagik.core.scheduler.delivery import task_id_of
from automagik.core.scheduler.interval import Interval
from benchmarks.groups import Group
from benchmarks.peers import FOLDER, peers_python
from benchmarks.rows import add_flow, add_schedules, analyze
from benchmarks.stack import Stack

OURS = "automagik"
FLOW = "benchmark"
_DATABASE = "peer"


class BeatSystem(Protocol):
    """A beat with the place where its schedules are."""

    @property
    def name(self) -> str: ...

    @property
    def queue(self) -> str: ...

    @property
    def zones(self) -> Sequence[str]:
        """Of its cron rules."""
        ...

    def broker(self) -> redis.Redis: ...

    def fill(self, *groups: Group) -> None:
        """In addition to those that are there."""
        ...

    def settle(self) -> None:
        """What takes place by itself when so many schedules have been there for a while."""
        ...

    def running(self, beats: int = 1) -> AbstractContextManager[Sequence[int]]:
        """Their process ids."""
        ...

    def end(self, messages: Sequence[bytes]) -> None:
        """What becomes of runs whose messages a worker has taken."""
        ...

    def due_at(self, messages: Sequence[bytes]) -> Sequence[float]:
        """For which instant each was sent."""
        ...

    def clear(self) -> None:
        """Leaves nothing behind."""
        ...


def beat_system(stack: Stack, name: str) -> BeatSystem:
    """Ours, or that of a peer by its name."""
    return OurBeats(stack) if name == OURS else PeerBeats(stack, name)


# The shortest way to their end. Without one a beat would take their deliveries for lost. Pending is
# what is sent and not yet committed: this waits for it.
_END = text("""
UPDATE tasks SET state = 'cancelled', finished_at = now(), state_actor = 'benchmark'
WHERE id = ANY(:ids) AND state IN ('pending', 'queued')
""")
_SCHEDULED_FOR = text("SELECT id, scheduled_for FROM tasks WHERE id = ANY(:ids)")


class OurBeats:
    """Default settings, but for a ready-queue that takes whatever is due."""

    name = OURS
    queue = "automagik"
    zones = ("Europe/Berlin", "America/New_York", "Asia/Tokyo", "Australia/Sydney")

    def __init__(self, stack: Stack) -> None:
        self._stack = stack
        add_flow(stack.database, FLOW)

    def broker(self) -> redis.Redis:
        return self._stack.redis_client()

    def fill(self, *groups: Group) -> None:
        for group in groups:
            is_cron = isinstance(group.rule, str)
            add_schedules(
                self._stack.database,
                FLOW,
                group.count,
                prefix=group.prefix,
                type="cron" if is_cron else "interval",
                expr=_expr(group.rule),
                first_at=group.first_at,
                step=f"{group.step.total_seconds():f} s",
                together=group.together,
                timezone=group.zone,
            )

    def settle(self) -> None:
        analyze(self._stack.database)

    @contextmanager
    def running(self, beats: int = 1) -> Iterator[Sequence[int]]:
        target = {"AUTOMAGIK_READY_QUEUE_TARGET": "1000000"}
        with ExitStack() as all_of_them:
            yield [
                all_of_them.enter_context(self._stack.beat(f"beat-{number}", env=target))
                for number in range(beats)
            ]

    def end(self, messages: Sequence[bytes]) -> None:
        with self._stack.database.transaction() as connection:
            connection.execute(_END, {"ids": self.task_ids(messages)})

    def due_at(self, messages: Sequence[bytes]) -> Sequence[float]:
        """Raises KeyError for an occurrence that is not committed."""
        ids = self.task_ids(messages)
        with self._stack.database.transaction() as connection:
            rows = connection.execute(_SCHEDULED_FOR, {"ids": ids})
            known = {row.id: row.scheduled_for.timestamp() for row in rows}
        return [known[task_id] for task_id in ids]

    def task_ids(self, messages: Sequence[bytes]) -> Sequence[UUID]:
        return [task_id for message in messages if (task_id := task_id_of(message)) is not None]

    def clear(self) -> None:
        with self._stack.database.long_transaction() as connection:
            connection.execute(text("TRUNCATE sources, beats CASCADE"))
        with self.broker() as client:
            client.flushdb()


class PeerBeats:
    """A program of benchmarks/peers, with a database in each of the two servers."""

    queue = "celery"
    zones = ("Europe/Berlin",)

    def __init__(self, stack: Stack, name: str) -> None:
        self.name = name
        self._stack = stack
        self._program = FOLDER / f"beat_{name.replace('-', '_')}.py"
        if not self._program.exists():
            raise ValueError(f"there is no beat named {name}")
        self._redis_url = stack.redis_url.removesuffix("/0") + "/1"
        self._home = stack.home / name
        self._home.mkdir(exist_ok=True)
        self._administrate(f"CREATE DATABASE {_DATABASE}")

    def broker(self) -> redis.Redis:
        return redis.Redis.from_url(self._redis_url)

    def fill(self, *groups: Group) -> None:
        filling = subprocess.Popen(
            [peers_python(), self._program, "fill"],
            stdin=subprocess.PIPE,
            env=self._environment,
            text=True,
        )
        with filling:
            assert filling.stdin is not None
            _write(filling.stdin, groups)
        if filling.returncode:
            raise RuntimeError(f"{self.name} could not be filled")

    def settle(self) -> None:
        self._administrate("VACUUM (ANALYZE)", "CHECKPOINT", database=_DATABASE)

    @contextmanager
    def running(self, beats: int = 1) -> Iterator[Sequence[int]]:
        """At once: not every one of them tells when it is ready."""
        assert beats == 1, "peers are measured with one beat"
        argv = (str(peers_python()), str(self._program), "run")
        with self._stack.process(self.name, *argv, env=self._environment) as pid:
            yield [pid]

    def end(self, messages: Sequence[bytes]) -> None:
        """Nobody has kept them."""

    def due_at(self, messages: Sequence[bytes]) -> Sequence[float]:
        """It is their only argument."""
        return [json.loads(b64decode(json.loads(each)["body"]))[0][0] for each in messages]

    def clear(self) -> None:
        self._administrate(f"DROP DATABASE {_DATABASE} WITH (FORCE)")
        with self.broker() as client:
            client.flushdb()

    @property
    def _environment(self) -> dict[str, str]:
        database_url = self._stack.database_url.rpartition("/")[0] + f"/{_DATABASE}"
        return {
            "DATABASE_URL": database_url,
            "REDIS_URL": self._redis_url,
            "PEER_HOME": str(self._home),
        }

    def _administrate(self, *statements: str, database: str | None = None) -> None:
        url = self._stack.database.engine.url
        engine = create_engine(url.set(database=database) if database else url)
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            for statement in statements:
                connection.execute(text(statement))
        engine.dispose()


def _expr(rule: timedelta | str) -> str:
    if isinstance(rule, str):
        return rule
    return Interval(every=rule, anchor=datetime.now(UTC)).expr


def _write(pipe: IO[str], groups: Sequence[Group]) -> None:
    try:
        for group in groups:
            pipe.writelines(group.lines())
    except BrokenPipeError:
        pass  # its exit code says that it has given up
