"""What a benchmark found: a table for people on stderr, JSON on stdout."""

import json
import os
import platform
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from math import ceil

from rich.console import Console
from rich.table import Table


@dataclass(frozen=True, kw_only=True, slots=True)
class Figure:
    """One measured figure of ours, beside those of peers in the same run."""

    what: str
    """Names the figure for good: results of several runs are put together by it."""
    unit: str
    ours: float
    peers: Mapping[str, float] = field(default_factory=dict)
    """Named baselines, in the same unit."""
    most: float | None = None
    """What must not be passed, in the figure's unit."""
    least: float | None = None
    """What must be reached, in the figure's unit."""
    most_ratio: Mapping[str, float] = field(default_factory=dict)
    """By peer: how many times the peer's figure ours may be."""
    least_ratio: Mapping[str, float] = field(default_factory=dict)
    """By peer: how many times the peer's figure ours must be."""

    @property
    def ratios(self) -> dict[str, float]:
        """Ours by theirs."""
        return {name: self.ours / theirs for name, theirs in self.peers.items() if theirs}

    @property
    def missed(self) -> list[str]:
        """Each target that was not reached, in words."""
        found = []
        if self.most is not None and self.ours > self.most:
            found.append(f"more than {self.most:g} {self.unit}")
        if self.least is not None and self.ours < self.least:
            found.append(f"less than {self.least:g} {self.unit}")
        for name, ratio in self.ratios.items():
            if ratio > self.most_ratio.get(name, float("inf")):
                found.append(f"more than {self.most_ratio[name]:g}x {name}")
            if ratio < self.least_ratio.get(name, 0.0):
                found.append(f"less than {self.least_ratio[name]:g}x {name}")
        return found


def report(benchmark: str, figures: Sequence[Figure], *, setting: Mapping[str, object]) -> None:
    """Prints them; `setting` is what they depend on: sizes, durations, options."""
    Console(stderr=True).print(_table(benchmark, figures))
    told = {
        "benchmark": benchmark,
        "setting": dict(setting),
        "machine": machine(),
        "figures": [
            asdict(figure) | {"ratios": figure.ratios, "missed": figure.missed}
            for figure in figures
        ],
    }
    print(json.dumps(told, indent=2))


def say(text: str) -> None:
    """How far it is, for people."""
    print(text, file=sys.stderr, flush=True)


def machine() -> dict[str, object]:
    return {
        "cores": os.cpu_count(),
        "memory_gb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9),
        "system": platform.platform(terse=True),
        "python": platform.python_version(),
    }


def percentile(values: Sequence[float], percent: int) -> float:
    """The least value that so many of a hundred do not pass."""
    return sorted(values)[ceil(len(values) * percent / 100) - 1]


def _table(benchmark: str, figures: Sequence[Figure]) -> Table:
    table = Table(title=benchmark, title_justify="left")
    for name in ("what", "unit", "ours", "peers", "ratio", "missed"):
        table.add_column(name, justify="right" if name == "ours" else "left")
    for figure in figures:
        table.add_row(
            figure.what,
            figure.unit,
            f"{figure.ours:.4g}",
            ", ".join(f"{name} {theirs:.4g}" for name, theirs in figure.peers.items()),
            ", ".join(f"{ratio:.2f}" for ratio in figure.ratios.values()),
            "; ".join(figure.missed),
        )
    return table
