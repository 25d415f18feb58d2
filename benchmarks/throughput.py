"""How fast many runs go by and what each costs, taken over the middle of them.

In the beginning processes still start; in the end some of their threads have nothing left to do.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from benchmarks.spending import Spending
from benchmarks.stack import Stack

_POLL_SECONDS = 0.1
_START_SECONDS = 120


@dataclass(frozen=True, kw_only=True, slots=True)
class Throughput:
    per_second: float
    cpu_ms: Mapping[str, float]
    """Of one run, by who spends it."""

    @classmethod
    def of(cls, runs: int, seconds: float, spent: Mapping[str, float]) -> "Throughput":
        cpu_ms = {name: 1000 * each / runs for name, each in spent.items()}
        return cls(per_second=runs / seconds, cpu_ms=cpu_ms)


def middle(
    stack: Stack,
    total: int,
    processes: Mapping[str, Sequence[int]],
    *,
    done: Callable[[], int],
    longest: float = 60,
) -> Throughput:
    """From a tenth to nine tenths of `total`, or as far as one gets in `longest` seconds."""
    give_up = time.monotonic() + _START_SECONDS
    first, begun, spending = done(), time.monotonic(), Spending(stack, **processes)
    while True:
        time.sleep(_POLL_SECONDS)
        count, span = done(), time.monotonic() - begun
        if count > total * 0.1 and (count >= total * 0.9 or span > longest):
            return Throughput.of(count - first, span, spending.seconds())
        if count <= total * 0.1:
            first, begun, spending = count, time.monotonic(), Spending(stack, **processes)
            if begun > give_up:
                raise TimeoutError(f"{count} of {total} runs within {_START_SECONDS} s")
