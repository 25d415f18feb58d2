"""How much memory the long-lived processes take, and whether it grows."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median

import psutil

from tests.system.chaos.crew import Crew

EVERY_SECONDS = 2.0
TENTHS = 10
WARM = 2
MEBIBYTE = 1024 * 1024


@dataclass(frozen=True, kw_only=True, slots=True)
class Growth:
    """Resident memory in MiB: the medians of the tenths of the time."""

    name: str
    course: Sequence[float]

    @property
    def grown(self) -> float:
        """Since it was warm, after two tenths."""
        return self.course[-1] - self.course[WARM]


class Scales:
    """Weighs the steady members, with their children."""

    def __init__(self, crew: Crew) -> None:
        self._crew = crew
        self._samples: dict[str, list[float]] = {}
        self._due = 0.0

    def weigh(self) -> None:
        """To be called often."""
        if time.monotonic() < self._due:
            return
        self._due = time.monotonic() + EVERY_SECONDS
        for member in self._crew.members.values():
            if member.is_steady and (weight := self._weight(member.name)):
                self._samples.setdefault(member.name, []).append(weight)

    def growth(self) -> list[Growth]:
        courses = {name: _course(samples) for name, samples in self._samples.items()}
        return [Growth(name=name, course=course) for name, course in courses.items()]

    def _weight(self, name: str) -> float:
        try:
            return sum(p.memory_info().rss for p in self._crew.processes(name)) / MEBIBYTE
        except psutil.Error:
            return 0.0


def _course(samples: Sequence[float]) -> list[float]:
    edges = [len(samples) * n // TENTHS for n in range(TENTHS + 1)]
    return [median(samples[a : max(b, a + 1)]) for a, b in pairwise(edges)]
