"""Runs `automagik` on a terminal, as a person does: with a size, keys, and signals from keys.

`python -m tests.cli.terminal` is a process that has imported everything that commands need; each
run is a fork of it. It ends with the process that started it.
"""

import errno
import fcntl
import gc
import json
import os
import pkgutil
import pty
import re
import select
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import automagik.cli
import automagik.core
from automagik.cli.cli import ENTRIES, load, main

_LATE = (
    "rich.live",
    "rich.markup",
    "rich.progress",
    "rich.table",
    "sqlalchemy.dialects.postgresql",
)
"""What commands import beside our own modules once they need it."""
_CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\x1b[()][AB0]|\r")


@dataclass(frozen=True, kw_only=True, slots=True)
class Shown:
    """What a run left on the terminal."""

    exit_code: int
    raw: str

    @property
    def text(self) -> str:
        """Without colours and movements of the cursor."""
        return _CONTROL.sub("", self.raw)


class Terminal:
    """Of eighty columns and twenty-four rows, unless it is said otherwise."""

    def __init__(self, process: "subprocess.Popen[str]", folder: Path) -> None:
        self._process = process
        self._folder = folder

    def __call__(
        self,
        *args: str,
        columns: int = 80,
        rows: int = 24,
        keys: Mapping[str, str] | None = None,
        seconds: float = 20.0,
    ) -> Shown:
        """`keys`: what is typed once a text has appeared. Raises TimeoutError."""
        order = {
            "args": args,
            "size": (rows, columns),
            "keys": dict(keys or {}),
            "seconds": seconds,
            "folder": str(self._folder),
            "environment": dict(os.environ),
        }
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        answer = json.loads(self._process.stdout.readline())
        if answer["exit_code"] is None:
            raise TimeoutError(f"automagik {' '.join(args)} goes on:\n{answer['raw']}")
        return Shown(**answer)


@contextmanager
def terminal_server() -> Iterator["subprocess.Popen[str]"]:
    with subprocess.Popen(
        [sys.executable, "-m", __spec__.name],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        yield process
        assert process.stdin is not None
        process.stdin.close()


def serve() -> None:
    for package in (automagik.cli, automagik.core):
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            import_module(module.name)
    for name in _LATE:
        import_module(name)
    for name in ENTRIES:
        load(name)
    # Nothing of it is ever garbage, so that the forks share its pages.
    gc.freeze()
    for line in sys.stdin:
        sys.stdout.write(json.dumps(_run(json.loads(line))) + "\n")
        sys.stdout.flush()


def _run(order: Mapping[str, Any]) -> dict[str, Any]:
    pid, terminal = pty.fork()
    if pid == 0:
        _be(order)
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", *order["size"], 0, 0))
    raw = _read(terminal, order["keys"], deadline=time.monotonic() + order["seconds"])
    os.close(terminal)
    if raw is None:
        os.kill(pid, 9)
    _, status = os.waitpid(pid, 0)
    code = None if raw is None else os.waitstatus_to_exitcode(status)
    return {"exit_code": code, "raw": raw or ""}


def _be(order: Mapping[str, Any]) -> None:
    os.environ.clear()
    os.environ.update(order["environment"], TERM="xterm-256color", PAGER="cat")
    for name in ("NO_COLOR", "FORCE_COLOR", "COLUMNS", "LINES"):
        os.environ.pop(name, None)
    os.chdir(order["folder"])
    # What a new Python would have.
    sys.stdin, sys.stdout, sys.stderr = open(0), open(1, "w"), open(2, "w")  # noqa: SIM115
    # The size is set by the parent, at some moment.
    while os.get_terminal_size().columns != order["size"][1]:
        time.sleep(0.001)
    code = main(order["args"])
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def _read(terminal: int, keys: dict[str, str], *, deadline: float) -> str | None:
    """All that is shown until the end; None when that does not come."""
    raw = b""
    ready = select.poll()
    ready.register(terminal, select.POLLIN | select.POLLHUP)
    while (left := deadline - time.monotonic()) > 0:
        if not ready.poll(1000 * left):
            continue
        try:
            chunk = os.read(terminal, 65536)
        except OSError as error:
            if error.errno != errno.EIO:
                raise
            chunk = b""
        if not chunk:
            return raw.decode(errors="replace")
        raw += chunk
        for text in [text for text in keys if text in raw.decode(errors="replace")]:
            os.write(terminal, keys.pop(text).encode())
    return None


if __name__ == "__main__":
    serve()
