"""What a run came to, in figures and as a page."""

import platform
import re
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from importlib.metadata import version
from itertools import pairwise
from pathlib import Path

from automagik import __version__
from tests.system.chaos.conductor import Incident
from tests.system.chaos.memory import Growth
from tests.system.chaos.plan import Fault, Kind
from tests.system.chaos.stage import Stage

_RECEIVED = re.compile(r"Task automagik\.run\[([0-9a-f-]{36})\] received")
_SURPRISE = re.compile(r"Tick failed|(?:Heartbeat|Task [0-9a-f-]{36}): unexpected error")


@dataclass(frozen=True, kw_only=True, slots=True)
class Report:
    seed: int
    seconds: float
    beats: int
    workers: int
    versions: str
    faults: Counter[Kind]
    missed: Sequence[Fault]
    """Planned, but there was no moment at which they could be done."""
    tasks: Counter[str]
    occurrences: int
    attempts: Counter[str]
    calls: int
    deliveries: Counter[str]
    """By task id, as the workers say that they received them."""
    doubled: int
    cancelled: int
    poisoned: int
    refused: int
    ends: Counter[str]
    """How beats and workers ended that were started again."""
    surprises: Counter[str]
    """What the loops of beats and workers caught without having foreseen it."""
    recoveries: dict[Kind, float]
    """The longest time in seconds from healing to the next completed task, if undisturbed."""
    longest_stillness: float
    """Seconds in which no task was completed."""
    growth: Sequence[Growth]
    violations: Sequence[str]
    evidence: Sequence[str]
    """The history of some tasks that the violations name."""

    @property
    def is_good(self) -> bool:
        return not self.violations

    def __str__(self) -> str:
        return "\n".join(
            [
                "# A run of the chaos harness",
                "",
                *_table(("", ""), self._figures()),
                "",
                *_table(("fault", "times", "longest recovery"), self._faults()),
                "",
                *_table(("tasks", ""), self.tasks.most_common()),
                "",
                *_table(("attempts", ""), self.attempts.most_common()),
                "",
                *_table(("ends of processes", ""), self.ends.most_common()),
                "",
                *_table(
                    ("memory, MiB", "in each tenth of the time", "growth since the third"),
                    self._memory(),
                ),
                "",
                *(f"- not done: {fault}" for fault in self.missed),
                *(f"- violation: {violation}" for violation in self.violations),
                "",
                *(f"    {line}" for line in self.evidence),
            ]
        )

    def _figures(self) -> list[tuple[object, ...]]:
        tasks = self.tasks.total()
        return [
            ("seed", self.seed),
            ("minutes of faults", f"{self.seconds / 60:.1f}"),
            ("beats, workers", f"{self.beats}, {self.workers}"),
            ("versions", self.versions),
            ("faults", self.faults.total()),
            ("tasks", f"{tasks}, of them {self.occurrences} occurrences of schedules"),
            ("calls that the source remembers", self.calls),
            ("deliveries received", self._received()),
            ("runs cancelled", self.cancelled),
            ("processes killed by a flow", self.poisoned),
            ("runs refused because PostgreSQL was away", self.refused),
            ("restarts by the supervisor", self.ends.total()),
            ("errors that were caught unforeseen", self.surprises.total()),
            ("longest time without a completed task", f"{self.longest_stillness:.1f} s"),
            ("longest recovery", f"{max(self.recoveries.values(), default=0):.1f} s"),
            ("violations", len(self.violations)),
        ]

    def _received(self) -> str:
        received = self.deliveries.total()
        most = max(self.deliveries.values(), default=0)
        each = f"{received / max(1, self.attempts.total()):.3f} per attempt"
        return f"{received}: {each}, at most {most} of a task; {self.doubled} were forged"

    def _faults(self) -> list[tuple[object, ...]]:
        return [
            (kind, times, f"{self.recoveries[kind]:.1f} s" if kind in self.recoveries else "-")
            for kind, times in self.faults.most_common()
        ]

    def _memory(self) -> list[tuple[object, ...]]:
        return [
            (g.name, " ".join(f"{weight:.0f}" for weight in g.course), f"{g.grown:+.1f}")
            for g in self.growth
        ]


def counted(stage: Stage, query: str) -> Counter[str]:
    """Of the query's first column, the second one's number."""
    return Counter({str(row[0]): row[1] for row in stage.fleet.rows(query)})


def versions(stage: Stage) -> str:
    postgres = stage.fleet.value("SHOW server_version")
    others = ", ".join(f"{name} {version(name)}" for name in ("celery", "kombu", "redis"))
    return (
        f"AutoMagik {__version__}, Python {platform.python_version()}, {others}, "
        f"PostgreSQL {postgres}"
    )


def deliveries(logs: Path) -> Counter[str]:
    return Counter(_RECEIVED.findall(_text(logs.glob("worker-*.log"))))


def surprises(logs: Path) -> Counter[str]:
    return Counter(_SURPRISE.findall(_text(logs.glob("*.log"))))


def recoveries(incidents: Sequence[Incident], completions: Sequence[datetime]) -> dict[Kind, float]:
    """The longest of each kind; `completions` are in order.

    Only where nothing else was broken meanwhile.
    """
    longest: dict[Kind, float] = {}
    for incident in incidents:
        after = bisect_left(completions, incident.healed_at)
        if after == len(completions) or _is_disturbed(incident, completions[after], incidents):
            continue
        seconds = (completions[after] - incident.healed_at).total_seconds()
        kind = incident.fault.kind
        longest[kind] = max(seconds, longest.get(kind, 0.0))
    return longest


def _is_disturbed(incident: Incident, until: datetime, incidents: Sequence[Incident]) -> bool:
    others = (other for other in incidents if other is not incident)
    return any(other.begun_at < until and other.healed_at > incident.healed_at for other in others)


def longest_stillness(completions: Sequence[datetime]) -> float:
    return max(((b - a).total_seconds() for a, b in pairwise(completions)), default=0.0)


def _text(logs: Iterable[Path]) -> str:
    return "\n".join(log.read_text(errors="replace") for log in logs)


def _table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> list[str]:
    lines = [head, ["---"] * len(head), *rows]
    return [f"| {' | '.join(map(str, line))} |" for line in lines]
