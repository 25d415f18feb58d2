"""What a schedule does when its runs overlap, come late, fail or are enough. Pure.

Every policy has a default, under which an occurrence is never left out in silence. What the
policies make of due occurrences is decided in `plan.py`.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from hashlib import blake2b
from uuid import UUID

from automagik.core.scheduler.interval import in_words

BUFFERED = 1000
"""So many tasks may wait for their turn; what comes then is skipped."""
_HASH_BYTES = 8


class Overlap(StrEnum):
    """What becomes of an occurrence while tasks of its schedule are unfinished."""

    ALLOW_ALL = "allow-all"
    SKIP = "skip"
    BUFFER_ONE = "buffer-one"
    BUFFER_ALL = "buffer-all"
    CANCEL_OTHER = "cancel-other"
    TERMINATE_OTHER = "terminate-other"

    @property
    def looks_back(self) -> bool:
        """Whether the unfinished tasks decide."""
        return self is not Overlap.ALLOW_ALL

    @property
    def waits(self) -> bool:
        """Whether tasks wait for their turn."""
        return self in (Overlap.BUFFER_ONE, Overlap.BUFFER_ALL)

    @property
    def replaces(self) -> bool:
        """Whether what is unfinished is cancelled."""
        return self in (Overlap.CANCEL_OTHER, Overlap.TERMINATE_OTHER)

    @property
    def most(self) -> int | None:
        """So many tasks may be unfinished; None: any number."""
        return _MOST.get(self)


_MOST = {Overlap.SKIP: 1, Overlap.BUFFER_ONE: 2, Overlap.BUFFER_ALL: 1 + BUFFERED}


class Misfire(StrEnum):
    """What becomes of occurrences that are later than the grace."""

    RUN_ONCE = "run-once"
    SKIP = "skip"
    RUN_ALL = "run-all"


class CatchUpOrder(StrEnum):
    """In which order a backlog is made up for."""

    OLDEST_FIRST = "oldest-first"
    NEWEST_FIRST = "newest-first"


@dataclass(frozen=True, kw_only=True, slots=True)
class Policies:
    """All policies of a schedule; None: no such bound, unless it says otherwise."""

    overlap: Overlap = Overlap.ALLOW_ALL
    misfire: Misfire = Misfire.RUN_ONCE
    misfire_grace: timedelta | None = None
    """How late is too late; None: as the setting says."""
    catch_up: timedelta | None = None
    """Occurrences that are older are never made up for."""
    catch_up_order: CatchUpOrder = CatchUpOrder.OLDEST_FIRST
    jitter: timedelta | None = None
    """Each run starts up to so much later, each by another time."""
    spread: timedelta | None = None
    """All runs start later by one time below this, which is another one for each schedule."""
    max_runs: int | None = None
    pause_after_failures: int | None = None
    at_most_once: bool | None = None
    """None: as the flow says."""

    def delay(self, schedule_id: UUID, occurrence: datetime) -> timedelta:
        """From an occurrence to its start: the same whoever asks, and how often."""
        seed = schedule_id.bytes
        at = f"{occurrence.timestamp():.6f}".encode()
        return _share(self.spread, seed) + _share(self.jitter, seed + at)


def _share(length: timedelta | None, seed: bytes) -> timedelta:
    """At least nothing and less than the length, evenly."""
    if length is None:
        return timedelta()
    drawn = int.from_bytes(blake2b(seed, digest_size=_HASH_BYTES).digest())
    microseconds = length // timedelta.resolution
    return timedelta(microseconds=drawn * microseconds >> 8 * _HASH_BYTES)


def sentences(policies: Policies, *, grace: timedelta | None) -> Iterator[str]:
    """Each policy in words; the grace is that of the settings, None where there is no clock."""
    yield f"Overlap {policies.overlap}: {_OVERLAPPING[policies.overlap]}."
    if grace is not None:
        grace = grace if policies.misfire_grace is None else policies.misfire_grace
        yield f"Misfire {policies.misfire}: {_misfiring(policies, grace)}."
    if policies.jitter is not None:
        yield f"Jitter: each run starts up to {_words(policies.jitter)} later."
    if policies.spread is not None:
        yield f"Spread: all runs start later by one time below {_words(policies.spread)}."
    if policies.max_runs is not None:
        yield f"Max runs: completed after {_runs(policies.max_runs)}."
    if policies.pause_after_failures is not None:
        yield f"Pause after failures: paused after {policies.pause_after_failures} in a row."
    if policies.at_most_once is not None:
        yield f"At most once: {_CALLED[policies.at_most_once]}."


_OVERLAPPING = {
    Overlap.ALLOW_ALL: "a run starts whether or not earlier ones have ended",
    Overlap.SKIP: "an occurrence is skipped while an earlier run is unfinished",
    Overlap.BUFFER_ONE: "one run waits for the end of the earlier one, more are skipped",
    Overlap.BUFFER_ALL: f"runs wait for the end of the earlier ones, at most {BUFFERED} of them",
    Overlap.CANCEL_OTHER: "a new run cancels earlier ones that are unfinished",
    Overlap.TERMINATE_OTHER: "a new run cancels earlier ones that are unfinished",
}
_CALLED = {
    True: "a run is never sent again once its call may have reached the source",
    False: "a run whose worker was lost is sent again",
}


def _misfiring(policies: Policies, grace: timedelta) -> str:
    late = f"more than {_words(grace)} late"
    window = policies.catch_up
    unless = "" if window is None else f"; what is older than {_words(window)} is skipped"
    match policies.misfire:
        case Misfire.SKIP:
            return f"occurrences {late} are skipped"
        case Misfire.RUN_ONCE:
            return f"one run makes up for occurrences {late}{unless}"
        case Misfire.RUN_ALL:
            order = f"the {policies.catch_up_order.replace('-', ' ')}"
            return f"occurrences {late} all run, {order}{unless}"


def _words(length: timedelta) -> str:
    return in_words(length) or f"{length.total_seconds():g} seconds"


def _runs(count: int) -> str:
    return "1 run" if count == 1 else f"{count} runs"
