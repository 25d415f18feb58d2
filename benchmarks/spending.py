"""Processor time of a stretch, by who spends it."""

import time
from collections.abc import Mapping, Sequence

from benchmarks.stack import Stack, cpu_seconds


class Spending:
    """Counts from when it is made; the servers of the stack, and processes under their names."""

    def __init__(self, stack: Stack, **processes: Sequence[int]) -> None:
        self._stack = stack
        self._processes = processes
        self._began = time.monotonic()
        self._before = self._total()

    def seconds(self) -> Mapping[str, float]:
        return {name: total - self._before[name] for name, total in self._total().items()}

    def cores(self) -> Mapping[str, float]:
        """How much of a core each kept busy."""
        span = time.monotonic() - self._began
        return {name: seconds / span for name, seconds in self.seconds().items()}

    def _total(self) -> Mapping[str, float]:
        return {name: sum(map(cpu_seconds, pids)) for name, pids in self._processes.items()} | {
            "postgresql": self._stack.server_cpu_seconds(),
            "redis": self._stack.redis_cpu_seconds(),
        }
