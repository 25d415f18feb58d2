"""Starts `celery …` by a fork of a process that has imported Celery and the product already.

A child is what a new Python would be once it has imported all that: in a session of its own, with
its own environment, working directory, log and default signals, and with one thread. Whatever
reads settings when it is imported is left to the children.

`python -m tests.system.fork_server` is the server. It ends with the process that started it, and
its children end with it.
"""

import gc
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from importlib import import_module
from pathlib import Path
from threading import Lock
from typing import Any, Self, cast

from automagik.core.embedded.lifeline import LastWill, die_with_parent
from automagik.core.embedded.processes import ChildProcess

PRELOADED = (
    "automagik.core.logs.rendering",
    "celery.__main__",
    "celery.apps.beat",
    "celery.apps.worker",
    "celery.bin.celery",
    "celery.concurrency.thread",
    "celery.fixups.django",
    "celery.worker.autoscale",
    "celery.worker.consumer",
    "celery.worker.strategy",
    "workers.beat",
    "workers.lifecycle",
    "workers.transport",
)
_PACKET_BYTES = 1024 * 1024
_POLL_SECONDS = 0.01


class ForkedCelery(ChildProcess):
    """Like a child process with `python -m celery ARGUMENTS`, but started in no time."""

    def __init__(
        self, name: str, arguments: Sequence[str], *, log_path: Path, env: Mapping[str, str]
    ) -> None:
        super().__init__(name, ("celery", *arguments), log_path=log_path, env=env)
        # Nothing is drained at the end of a test.
        self._stop_signals = ((signal.SIGKILL, 5.0),)

    def start(self) -> None:
        if self._process is not None and self.poll() is None:
            return
        os.close(self._open_log())
        forked = _Forked.start(self.argv, env=self._env or {}, log_path=self.log_path)
        self._process = cast("subprocess.Popen[bytes]", forked)
        self._will = LastWill(forked.pid, signal.SIGKILL)


class _Forked:
    """What a ChildProcess uses of a Popen. As there, it is a zombie until it is asked for."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self._code: int | None = None

    @classmethod
    def start(cls, argv: Sequence[str], *, env: Mapping[str, str], log_path: Path) -> Self:
        order = {"argv": argv, "env": dict(env), "cwd": str(Path.cwd()), "log": str(log_path)}
        return cls(_server().ask({"fork": order}))

    def poll(self) -> int | None:
        if self._code is None:
            self._code = _server().ask({"poll": self.pid})
        return self._code

    def wait(self, timeout: float | None = None) -> int:
        end = time.monotonic() + (float("inf") if timeout is None else timeout)
        while (code := self.poll()) is None:
            if time.monotonic() > end:
                raise subprocess.TimeoutExpired("celery", timeout or 0)
            time.sleep(_POLL_SECONDS)
        return code

    def send_signal(self, number: signal.Signals) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)


class _Server:
    """The connection to the server, which is started with it."""

    def __init__(self) -> None:
        self._connection, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._lock = Lock()
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", __spec__.name],
                stdin=theirs.fileno(),
                # Nobody may take it for a process of the test that happens to be the first.
                env={name: os.environ[name] for name in os.environ if not _is_ours(name)},
                start_new_session=True,
            )

    def ask(self, question: Mapping[str, Any]) -> Any:
        with self._lock:
            self._connection.sendall(json.dumps(question).encode())
            answer = self._connection.recv(_PACKET_BYTES)
        if not answer:
            raise RuntimeError(f"the fork server ended with {self._process.wait()}")
        return json.loads(answer)

    def close(self) -> None:
        self._connection.close()
        self._process.wait()


def _is_ours(name: str) -> bool:
    return name.startswith("AUTOMAGIK_") or name in {"DATABASE_URL", "REDIS_URL"}


@cache
def _server() -> _Server:
    """Started by the first that needs it, for the whole session."""
    return _Server()


def stop() -> None:
    if _server.cache_info().currsize:
        _server().close()
        _server.cache_clear()


def main() -> None:
    for name in PRELOADED:
        import_module(name)
    gc.collect()
    gc.freeze()
    order = _serve(socket.socket(fileno=sys.stdin.fileno()))
    if order is not None:
        from celery.__main__ import main as celery

        sys.argv = order["argv"]
        celery()


def _serve(connection: socket.socket) -> dict[str, Any] | None:
    """Until the other side has gone. In a child: at once, with what it is to do."""
    tie = die_with_parent(signal.SIGKILL)
    while packet := connection.recv(_PACKET_BYTES):
        question = json.loads(packet)
        if "poll" in question:
            answer = _poll(question["poll"])
        elif (answer := os.fork()) == 0:
            connection.detach()
            order: dict[str, Any] = question["fork"]
            _become(order, tie)
            return order
        connection.sendall(json.dumps(answer).encode())
    return None


def _poll(pid: int) -> int | None:
    ended, status = os.waitpid(pid, os.WNOHANG)
    return os.waitstatus_to_exitcode(status) if ended else None


def _become(order: Mapping[str, Any], tie: Callable[[], object] | None) -> None:
    os.setsid()
    if tie is not None:
        tie()
    os.chdir(order["cwd"])
    os.environ.clear()
    os.environ.update(order["env"])
    time.tzset()
    for number, path, flags in (
        (sys.stdin.fileno(), os.devnull, os.O_RDONLY),
        (sys.stdout.fileno(), order["log"], os.O_WRONLY | os.O_APPEND),
        (sys.stderr.fileno(), order["log"], os.O_WRONLY | os.O_APPEND),
    ):
        opened = os.open(path, flags)
        os.dup2(opened, number)
        os.close(opened)


if __name__ == "__main__":
    main()
