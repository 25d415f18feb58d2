"""Ties the life of a child to the life of this process, by the kernel and by a will.

The kernel (on Linux) tells the child itself, in no time. It does not tell the child's own children:
a Celery worker's are only safe once they have made the same arrangement, which they may not live to
do. The will (everywhere) is a shell that waits for our end and then kills the whole group.
"""

import ctypes
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable

_PR_SET_PDEATHSIG = 1
_PARENT_GONE = 125
_SCRIPT = 'read -r _; kill -s "$1" -- "$2"'


def die_with_parent(number: signal.Signals) -> Callable[[], object] | None:
    """For `preexec_fn`: the child gets this signal when this process ends, however it ends.

    The kernel watches the thread that forks, not the process: only the main thread may start
    children. It runs after Popen's change of user, which would undo it.
    """
    if threading.current_thread() is not threading.main_thread():
        raise RuntimeError("children are started from the main thread only")
    if sys.platform != "linux":
        return None
    prctl = ctypes.CDLL(None).prctl
    parent = os.getpid()

    def tie() -> None:
        prctl(_PR_SET_PDEATHSIG, int(number))
        if os.getppid() != parent:  # it died between the fork and the line above
            os._exit(_PARENT_GONE)

    return tie


class LastWill:
    """Signals a child when this process has ended; SIGKILL goes to its whole group.

    The shell holds one end of a pipe. The kernel closes the other end, ours, whatever ends us.
    """

    def __init__(self, pid: int, number: signal.Signals) -> None:
        target = -pid if number == signal.SIGKILL else pid
        name = number.name.removeprefix("SIG")
        theirs, self._pipe = os.pipe()
        try:
            self._shell = subprocess.Popen(
                ["/bin/sh", "-c", _SCRIPT, "sh", name, str(target)],
                stdin=theirs,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                env={},
                cwd="/",
                start_new_session=True,
            )
        finally:
            os.close(theirs)

    def revoke(self) -> None:
        self._shell.kill()
        self._shell.wait()
        os.close(self._pipe)
