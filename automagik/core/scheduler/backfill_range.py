"""What a backfill comes to: which occurrences of a stretch of the past become tasks. Pure."""

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from itertools import groupby, takewhile

from automagik.core.scheduler.cadence import Cadence, occurrences
from automagik.core.scheduler.interval import Interval
from automagik.core.scheduler.rule import Rule

AT_A_TIME = 100
"""So many tasks of one backfill are made in one transaction, if so many may be unfinished."""
LOOKS = 500
"""At so many of its occurrences one transaction looks."""

_TINY = datetime.resolution


class Turn(StrEnum):
    """What becomes of an occurrence whose turn has come."""

    RUNS = "runs"
    HAS_TASK = "has-task"
    IS_SKIPPED = "is-skipped"


@dataclass(frozen=True, kw_only=True, slots=True)
class Stretch:
    """What is left of the range [begin, end) of a backfill."""

    begin: datetime
    end: datetime
    with_task: Sequence[datetime] = ()
    """The instants that have a task, in order; the first LOOKS of them."""
    is_skipping: bool = False
    """Whether the overlap policy passes by what has no task."""

    @property
    def known_until(self) -> datetime:
        """From here on nobody has asked which have a task."""
        return self.end if len(self.with_task) < LOOKS else self.with_task[-1] + _TINY

    def turn(self, at: datetime) -> Turn:
        place = bisect_left(self.with_task, at)
        if place < len(self.with_task) and self.with_task[place] == at:
            return Turn.HAS_TASK
        return Turn.IS_SKIPPED if self.is_skipping else Turn.RUNS


@dataclass(kw_only=True, slots=True)
class Step:
    """How far one transaction comes."""

    told_until: datetime
    turns: list[tuple[datetime, Turn]] = field(default_factory=list)
    has_more: bool = False
    """Whether the next transaction comes further, whatever becomes of the tasks."""
    is_through: bool = False
    """Whether nothing is left of the range."""

    @property
    def runs(self) -> list[datetime]:
        return [at for at, turn in self.turns if turn is Turn.RUNS]

    @property
    def with_task(self) -> int:
        return sum(turn is Turn.HAS_TASK for _, turn in self.turns)

    @property
    def skipped(self) -> list[list[datetime]]:
        """In rows without another occurrence between them."""
        rows = groupby(self.turns, key=lambda each: each[1])
        return [[at for at, _ in row] for turn, row in rows if turn is Turn.IS_SKIPPED]


def reaching_back(rule: Rule, begin: datetime) -> Rule:
    """An interval counts from its creation on; here it had the same beat before."""
    return replace(
        rule,
        cadences=tuple(
            _anchored_before(each, begin) if isinstance(each, Interval) else each
            for each in rule.cadences
        ),
    )


def between(rule: Cadence, begin: datetime, end: datetime) -> Iterator[datetime]:
    """The occurrences in [begin, end), oldest first."""
    return takewhile(lambda at: at < end, occurrences(rule, begin - _TINY))


def step(rule: Cadence, stretch: Stretch, *, room: int) -> Step:
    """`room` is how many tasks may be made. An occurrence that is left out uses a place, too."""
    taken = Step(told_until=stretch.begin)
    used = 0
    for at in between(rule, stretch.begin, stretch.end):
        if len(taken.turns) >= LOOKS or at >= stretch.known_until:
            # Tasks of a former rule may fill all that is known: there is no occurrence among them.
            taken.told_until, taken.has_more = at, True
            return taken
        turn = stretch.turn(at)
        used += turn is not Turn.HAS_TASK
        if used > min(room, AT_A_TIME):
            taken.has_more = room > AT_A_TIME and not stretch.is_skipping
            return taken
        taken.turns.append((at, turn))
        taken.told_until = at + _TINY
    taken.told_until, taken.is_through = stretch.end, True
    return taken


def _anchored_before(cadence: Interval, begin: datetime) -> Interval:
    beats = max(0, (cadence.anchor - begin) // cadence.every + 1)
    return replace(cadence, anchor=cadence.anchor - beats * cadence.every)
