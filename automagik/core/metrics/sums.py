"""What a server of metrics has counted since it started: it only grows."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from automagik.core.metrics.families import Family

Labels = tuple[str, ...]
"""The values of a family's labels, in its order."""


@dataclass(kw_only=True, slots=True)
class Durations:
    """A histogram: how many there were in each bucket, and all together."""

    counts: list[int]
    """One more than there are upper bounds."""
    seconds: float = 0.0

    def below(self) -> Iterator[int]:
        """How many there were up to each bound, and at last how many in all."""
        total = 0
        for count in self.counts:
            total += count
            yield total


class Sums:
    """Counters and histograms of one process."""

    def __init__(self) -> None:
        self._counters: dict[Family, dict[Labels, float]] = {}
        self._histograms: dict[Family, dict[Labels, Durations]] = {}

    def add(self, family: Family, *labels: str, count: float = 0) -> None:
        """With nothing to add the series begins: of what was not there no growth is seen."""
        series = self._counters.setdefault(family, {})
        series[labels] = series.get(labels, 0) + count

    def observe(
        self, family: Family, *labels: str, bucket: int = 0, count: int = 0, seconds: float = 0
    ) -> None:
        """So many durations that lie in one bucket; as `add`, also none."""
        series = self._histograms.setdefault(family, {})
        found = series.setdefault(labels, Durations(counts=[0] * (len(family.buckets) + 1)))
        found.counts[bucket] += count
        found.seconds += seconds

    def counters(self, family: Family) -> Mapping[Labels, float]:
        return self._counters.get(family, {})

    def histograms(self, family: Family) -> Mapping[Labels, Durations]:
        return self._histograms.get(family, {})
