"""Which beats and workers there are, and which of them no fault may kill."""

from dataclasses import dataclass
from enum import StrEnum

USUAL_QUEUE = "automagik"
DANGEROUS_QUEUE = "dangerous"
"""For flows that kill whoever runs them. Steady workers do not take from it."""


class Job(StrEnum):
    BEAT = "beat"
    WORKER = "worker"


@dataclass(frozen=True, kw_only=True, slots=True)
class Member:
    name: str
    job: Job
    pool: str = "threads"
    queues: tuple[str, ...] = (USUAL_QUEUE,)
    is_steady: bool = False
    """Lives from beginning to end, frozen at worst, so that its memory tells something."""


def roster(*, beats: int, workers: int) -> tuple[Member, ...]:
    """The first of each job is steady. Of the workers every second one has the prefork pool."""
    return (
        *(Member(name=f"beat-{n}", job=Job.BEAT, is_steady=n == 0) for n in range(beats)),
        *(
            Member(
                name=f"worker-{n}",
                job=Job.WORKER,
                pool="prefork" if n % 2 else "threads",
                queues=(USUAL_QUEUE, DANGEROUS_QUEUE) if n else (USUAL_QUEUE,),
                is_steady=n == 0,
            )
            for n in range(workers)
        ),
    )
