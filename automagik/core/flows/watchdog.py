"""Calls that last too long are broken off: by one thread, however many there are."""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from math import inf
from threading import TIMEOUT_MAX, Condition, Thread

from automagik.core.flows.run_handle import AbortReason, RunHandle


class _Watchdog:
    def __init__(self) -> None:
        self.forget()

    def forget(self) -> None:
        """Also what the process knew that this one was forked from: its thread is not here."""
        self._changed = Condition()
        self._ends: dict[RunHandle, float] = {}
        self._wakes_at = inf
        self._thread: Thread | None = None

    def watch(self, handle: RunHandle, *, until: float) -> None:
        with self._changed:
            if self._thread is None:
                thread = Thread(target=self._run, name="watchdog", daemon=True)
                # It may be refused by a host that is full: the next call tries again.
                thread.start()
                self._thread = thread
            self._ends[handle] = until
            if until < self._wakes_at:
                self._wakes_at = until
                self._changed.notify()

    def release(self, handle: RunHandle) -> None:
        with self._changed:
            self._ends.pop(handle, None)

    def _run(self) -> None:
        while True:
            for handle in self._wait():
                handle.abort(AbortReason.DEADLINE)

    def _wait(self) -> list[RunHandle]:
        """Whose time is over. It wakes once for a call that was released meanwhile."""
        with self._changed:
            left = self._wakes_at - time.monotonic()
            if left > 0:
                self._changed.wait(min(left, TIMEOUT_MAX))
            now = time.monotonic()
            if now < self._wakes_at:
                return []
            over = [handle for handle, end in self._ends.items() if end <= now]
            for handle in over:
                del self._ends[handle]
            self._wakes_at = min(self._ends.values(), default=inf)
            return over


_watchdog = _Watchdog()
os.register_at_fork(after_in_child=_watchdog.forget)


@contextmanager
def ended_after(deadline: timedelta, handle: RunHandle) -> Iterator[None]:
    """Breaks off by the handle what in the block goes on for longer."""
    _watchdog.watch(handle, until=time.monotonic() + deadline.total_seconds())
    try:
        yield
    finally:
        _watchdog.release(handle)
