"""Ends the servers that an earlier `up` left behind when it was killed.

A process id in a file proves nothing: ids are used again. A server of ours is a process with the
right name whose working directory is our data folder.
"""

import os
import signal
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from automagik.core.embedded.exceptions import EmbeddedError
from automagik.core.embedded.processes import StopSignals

if TYPE_CHECKING:
    import psutil

_POLL_SECONDS = 0.05
_KILL = (signal.SIGKILL, 5.0)


def end_left_over(data: Path, program: str, *, main_pid: int | None, asking: StopSignals) -> bool:
    """Stops the server that works in the data folder, its main process first.

    Args:
        data: the data folder, resolved.
        program: a part of the server's name, such as `postgres`.
        main_pid: which of its processes gets the signals, if that is known; else all of them.
        asking: as for ChildProcess; SIGKILL to all that is left comes last.

    Returns whether it is certain that no server works there. Raises EmbeddedError, which names the
    processes, when one cannot be stopped.
    """
    if find_spec("psutil") is None:
        _refuse_unless_gone(data, program, pid=main_pid)
        return False
    for number, seconds in (*asking, _KILL):
        _signal(_servers_in(data, program), number, main_pid=main_pid)
        if eventually(lambda: not _servers_in(data, program), seconds=seconds):
            return True
    pids = ", ".join(str(server.pid) for server in _servers_in(data, program))
    raise EmbeddedError(
        f"A left-over {program} works in {data} and does not stop: process {pids}.",
        hint="Stop it yourself, then try again.",
    )


def _refuse_unless_gone(data: Path, program: str, *, pid: int | None) -> None:
    if pid is None or not _is_running(pid):
        return
    raise EmbeddedError(
        f"Process {pid} may be a {program} that an earlier run left in {data}; without psutil"
        " nobody can tell.",
        hint="Install psutil (it is in automagik[embedded]), or stop that process yourself.",
    )


def _is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _servers_in(data: Path, program: str) -> list["psutil.Process"]:
    """Zombies have no working directory any more, and other users' processes show none."""
    import psutil  # only in the extra `embedded`

    return [
        process
        for process in psutil.process_iter(["cwd", "cmdline"])
        if process.info["cwd"] == str(data) and program in (process.info["cmdline"] or [""])[0]
    ]


def _signal(
    servers: list["psutil.Process"], number: signal.Signals, *, main_pid: int | None
) -> None:
    import psutil  # only in the extra `embedded`

    main = [server for server in servers if server.pid == main_pid]
    for server in servers if number == signal.SIGKILL else main or servers:
        try:
            server.send_signal(number)
        except psutil.NoSuchProcess:
            continue


def eventually(true: Callable[[], bool], *, seconds: float) -> bool:
    end = time.monotonic() + seconds
    while not true():
        if time.monotonic() > end:
            return False
        time.sleep(_POLL_SECONDS)
    return True
