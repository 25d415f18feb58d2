"""Ties the life of a child to the life of this process, on Linux by the kernel."""

import ctypes
import os
import signal
import sys
import threading
from collections.abc import Callable

_PR_SET_PDEATHSIG = 1
_PARENT_GONE = 125


def die_with_parent(number: signal.Signals) -> Callable[[], object] | None:
    """For `preexec_fn`: the child gets this signal when this process ends, however it ends.

    The kernel watches the thread that forks, not the process: only the main thread may start
    children. It runs after Popen's change of user, which would undo it. Elsewhere than on Linux
    there is no such thing, and the next start clears away what is left.
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
