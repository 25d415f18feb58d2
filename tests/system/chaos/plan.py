"""What breaks when: a pure function of a seed."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from random import Random

from tests.system.chaos.roster import Job, Member


class Kind(StrEnum):
    BEAT_KILLED = "beat killed"
    BEAT_FROZEN = "beat frozen"
    WORKER_KILLED = "worker killed with its whole session"
    PREFORK_CHILD_KILLED = "prefork child killed"
    WORKER_FROZEN = "worker frozen beyond its lease"
    WORKER_TERMINATED = "worker asked to stop"
    REDIS_FLUSHED = "Redis flushed"
    REDIS_KILLED = "Redis killed, empty when it is back"
    POSTGRES_KILLED = "PostgreSQL killed"
    POSTGRES_STOPPED = "PostgreSQL shut down at once"
    CONNECTIONS_TERMINATED = "half of the connections to PostgreSQL terminated"
    SOURCE_HANGS = "source never answers"
    SOURCE_RESETS = "source drops connections"
    SOURCE_FAILS = "source answers 500"
    SOURCE_THROTTLES = "source answers 429"
    RUNS_CANCELLED = "running tasks cancelled"
    POISON = "flow that kills its worker"
    DELIVERIES_DOUBLED = "deliveries doubled"


LENGTHS: Mapping[Kind, tuple[float, float]] = {
    Kind.BEAT_FROZEN: (2.0, 15.0),
    Kind.WORKER_FROZEN: (5.0, 15.0),
    Kind.REDIS_KILLED: (1.0, 20.0),
    Kind.POSTGRES_KILLED: (0.5, 15.0),
    Kind.POSTGRES_STOPPED: (0.5, 15.0),
    Kind.SOURCE_HANGS: (2.0, 15.0),
    Kind.SOURCE_RESETS: (2.0, 15.0),
    Kind.SOURCE_FAILS: (2.0, 15.0),
    Kind.SOURCE_THROTTLES: (2.0, 15.0),
}
"""Seconds, at least and at most, of the faults that last."""

REST_SECONDS = 1.0
"""Between two faults of the same thing."""

_TARGETS: Mapping[Kind, Callable[[Member], bool]] = {
    Kind.BEAT_KILLED: lambda member: member.job is Job.BEAT and not member.is_steady,
    Kind.BEAT_FROZEN: lambda member: member.job is Job.BEAT,
    Kind.WORKER_KILLED: lambda member: member.job is Job.WORKER and not member.is_steady,
    Kind.PREFORK_CHILD_KILLED: lambda member: member.pool == "prefork",
    Kind.WORKER_FROZEN: lambda member: member.job is Job.WORKER,
    Kind.WORKER_TERMINATED: lambda member: member.job is Job.WORKER and not member.is_steady,
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Fault:
    at: float
    """Seconds after the beginning."""
    kind: Kind
    target: str
    """The name of a beat or worker, or of what else the kind breaks."""
    length: float
    """Seconds; 0 for what is over at once."""

    def __str__(self) -> str:
        lasting = f" for {self.length:.1f} s" if self.length else ""
        named = f" ({self.target})" if self.kind in _TARGETS else ""
        return f"{self.kind}{named}{lasting}"


def plan(
    seed: int, *, seconds: float, pace: float, longest: float, members: Sequence[Member]
) -> list[Fault]:
    """One fault for each `pace` seconds, none longer than `longest` unless its kind needs it.

    Each kind comes once before any comes again. Different things may be broken at the same time,
    one thing is broken once at a time.
    """
    random = Random(seed)
    count = round(seconds / pace)
    free: dict[str, float] = {}
    faults = []
    for number, kind in zip(range(count), _shuffled_kinds(random), strict=False):
        target = _target(kind, members, random)
        at = max(seconds * (number + random.random()) / count, free.get(target, 0.0))
        length = _length(kind, longest, random)
        free[target] = at + length + REST_SECONDS
        faults.append(Fault(at=at, kind=kind, target=target, length=length))
    return sorted(faults, key=lambda fault: fault.at)


def _shuffled_kinds(random: Random) -> Iterator[Kind]:
    while True:
        yield from random.sample([*Kind], len(Kind))


def _target(kind: Kind, members: Sequence[Member], random: Random) -> str:
    """Raises ValueError when nobody can be the target."""
    if kind not in _TARGETS:
        return kind.split()[0].lower()
    candidates = [member.name for member in members if _TARGETS[kind](member)]
    if not candidates:
        raise ValueError(f"nobody there for: {kind}")
    return random.choice(candidates)


def _length(kind: Kind, longest: float, random: Random) -> float:
    low, high = LENGTHS.get(kind, (0.0, 0.0))
    return random.uniform(low, max(low, min(high, longest)))
