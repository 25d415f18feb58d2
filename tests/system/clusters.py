"""The nodes of pytest-celery's clusters as processes of this machine.

Its clusters, nodes and set-up stay as they are. Inside a node there is a child process that answers
like a container of Docker, so that no engine is needed.
"""

import os
import signal
import socket
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

from celery import __version__ as celery_version
from pytest_celery import (
    CeleryTestContainer,
    CeleryTestWorker,
    CeleryWorkerContainer,
    RedisContainer,
)

from automagik.core.embedded.binaries import find_redis
from automagik.core.embedded.ports import LOOPBACK, free_port
from automagik.core.embedded.processes import ChildProcess

READY_SECONDS = 30.0
LOG_LINES = 10_000


class ProcessAsContainer:
    """What the plugin uses of a container, for a child process.

    Its log is that of the present process: after a restart it says "ready" anew.
    """

    def __init__(self, child: ChildProcess) -> None:
        self.child = child
        self.id = self.name = child.name
        self.attrs = {"Config": {"Hostname": LOOPBACK}}
        child.start()

    @property
    def status(self) -> str:
        return "running" if self.child.poll() is None else "exited"

    def reload(self) -> None:
        """Every answer is fresh already."""

    def logs(self) -> bytes:
        return self.child.tail(LOG_LINES).encode()

    def kill(self, number: str | int | None = None) -> None:
        """Sends the signal to the whole session of the process, SIGKILL unless told."""
        named = signal.Signals[number] if isinstance(number, str) else number
        assert self.child.pid is not None
        os.killpg(self.child.pid, named or signal.SIGKILL)
        if named in (None, signal.SIGKILL):
            self.child.wait()

    def restart(self, **_: float) -> None:
        self.child.stop()
        self.child.start()


class LocalContainer(CeleryTestContainer):  # type: ignore[misc]
    """The plugin's wrapper of a container, which asks more often whether it is ready."""

    def ready(self) -> bool:
        """Raises EmbeddedError when the process ends or takes too long."""
        child: ChildProcess = self._container.child
        child.wait_until(lambda: self.ready_prompt in self.logs(), seconds=READY_SECONDS)
        return True

    def teardown(self) -> None:
        self._container.child.stop()


class LocalRedis(LocalContainer, RedisContainer):  # type: ignore[misc]
    """A broker with the plugin's own options: it keeps nothing when it is restarted."""

    @classmethod
    def launch(cls, folder: Path) -> Self:
        port = free_port()
        options = ("--bind", LOOPBACK, "--port", str(port), "--dir", str(folder))
        child = ChildProcess(
            "broker",
            (find_redis().path, *cls.command(*options)[1:]),
            log_path=folder / "broker.log",
        )
        redis = cls(ProcessAsContainer(child))
        redis.own_port = port
        return redis

    @property
    def port(self) -> int:
        own: int = self.own_port
        return own

    @property
    def host_url(self) -> str:
        return f"{self.prefix()}{LOOPBACK}:{self.port}/{self.vhost}"

    @property
    def url(self) -> str:
        """The workers are on this machine, too."""
        return self.host_url


class LocalWorker(LocalContainer, CeleryWorkerContainer):  # type: ignore[misc]
    """A worker of ours, started as a user starts it."""

    @classmethod
    def launch(cls, name: str, *, command: list[str], env: Mapping[str, str], logs: Path) -> Self:
        child = ChildProcess(
            name,
            (*command, "--hostname", f"{name}@%h"),
            log_path=logs / f"{name}.log",
            env=os.environ | env,
            # Nothing is drained at the end of a test.
            stop_signals=((signal.SIGKILL, 5.0),),
        )
        return cls(ProcessAsContainer(child))

    @classmethod
    def command(cls, *args: str, **_: Any) -> list[str]:
        celery = [sys.executable, "-m", "celery", "-A", "automagik"]
        return [*celery, "worker", "--loglevel", cls.log_level(), *args]

    @classmethod
    def initial_env(cls, config: Mapping[str, Any], initial: Any = None) -> dict[str, str]:
        """The broker of the cluster, by the name that our settings have for it."""
        [url] = config["celery_broker_cluster_config"]["urls"]
        return {"REDIS_URL": url, **(initial or {})}

    @classmethod
    def version(cls) -> str:
        return str(celery_version)


class WorkerNode(CeleryTestWorker):  # type: ignore[misc]
    """Known by the name under which Celery and our rows know it."""

    def hostname(self) -> str:
        return f"{self.name()}@{socket.gethostname()}"
