"""What a due schedule comes to: which occurrences run now, which are skipped, and what is next.

Pure, and the one place where policies meet the time rule. A catch-up that goes backwards
(`newest-first`) begins at the top: the clock of the schedule stays at its oldest occurrence, and
beside it stands which stretch was told already. That stretch grows downwards by what is made up
for, upwards by what becomes due meanwhile, and when it reaches the clock, the clock leaps over it.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from itertools import chain, islice
from math import inf

from automagik.core.scheduler.cadence import Cadence
from automagik.core.scheduler.policies import CatchUpOrder, Misfire, Policies

AT_A_TIME = 100
"""So many occurrences of one schedule are looked at in one transaction, if all of them run."""

_TINY = timedelta.resolution
_FIRST_INSTANT = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True, kw_only=True, slots=True)
class Told:
    """A stretch whose occurrences have a task or a reason, although the clock is behind it."""

    since: datetime
    until: datetime


@dataclass(frozen=True, kw_only=True, slots=True)
class Standing:
    """Where a due schedule stands."""

    due: datetime
    now: datetime
    unfinished: int = 0
    """How many of its tasks have not ended; only asked for where the overlap policy looks back."""
    runs: int = 0
    """How many tasks its clock has made."""
    told: Told | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Run:
    """An occurrence that becomes a task."""

    at: datetime
    makes_up_since: datetime | None = None
    """The first of the occurrences that it makes up for."""
    catches_up: bool = False
    """One of a backlog that all runs: what is on time comes first."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Skipped:
    """Occurrences in a row that do not become tasks."""

    first_at: datetime
    last_at: datetime
    reason: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Firing:
    """What becomes of the occurrences that were looked at."""

    runs: tuple[Run, ...] = ()
    """In the order in which they are to begin."""
    skipped: tuple[Skipped, ...] = ()
    next_run_at: datetime | None
    """None: nothing more is to come."""
    told: Told | None = None
    is_used_up: bool = False
    """Whether it has made as many runs as it may."""


def plan(rule: Cadence, standing: Standing, *, policies: Policies, grace: timedelta) -> Firing:
    """What is at most `grace` late runs one by one; on the rest the policies decide."""
    counts = policies.overlap.looks_back or policies.max_runs is not None
    is_on_time = timedelta() <= standing.now - standing.due <= grace
    if is_on_time and not counts and standing.told is None:
        following = rule.next_after(standing.due)
        # As most do it comes alone: there is nothing to weigh.
        if following is None or following > standing.now:
            return Firing(runs=(Run(at=standing.due),), next_run_at=following)
    return weighed(rule, standing, policies=policies, grace=grace)


def weighed(rule: Cadence, standing: Standing, *, policies: Policies, grace: timedelta) -> Firing:
    """By all policies, whatever there is."""
    begin = _begin(rule, standing, policies=policies, grace=grace)
    if begin.start is None or begin.start > standing.now:
        return Firing(skipped=begin.skipped, next_run_at=begin.start)
    is_late = standing.now - begin.start > grace
    newest_first = policies.catch_up_order is CatchUpOrder.NEWEST_FIRST
    stretch = _Stretch(
        rule=rule,
        start=begin.start,
        now=standing.now,
        told=begin.told,
        is_backwards=_runs_all(policies) and newest_first and is_late,
    )
    choice = _choose(stretch, standing, policies)
    runs = tuple(
        Run(
            at=at,
            makes_up_since=begin.makes_up_since,
            catches_up=_runs_all(policies) and standing.now - at > grace,
        )
        for at in choice.runs
    )
    firing = choice.outcome(stretch)
    return replace(firing, runs=runs, skipped=begin.skipped + firing.skipped)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Begin:
    """The first occurrence that may run, after all that is passed by."""

    start: datetime | None
    skipped: tuple[Skipped, ...]
    told: Told | None
    makes_up_since: datetime | None = None


def _begin(rule: Cadence, standing: Standing, *, policies: Policies, grace: timedelta) -> _Begin:
    due, now, told = standing.due, standing.now, standing.told
    if told is not None and due > told.until:
        # Somebody has moved the clock since.
        told = None
    horizon = _horizon(now, told, policies=policies, grace=grace)
    start = due if horizon is None or due >= horizon else rule.next_after(horizon - _TINY)
    end = start
    if told is not None and (start is None or start >= told.since):
        start, end, told = rule.next_after(told.until), told.since, None
    skipped = _between(rule, due, end, now=now, reason="misfire")
    if start is None or start > now:
        return _Begin(start=start, skipped=skipped, told=told)
    is_made_up = policies.misfire is Misfire.RUN_ONCE and now - start > grace
    if not (is_made_up or policies.overlap.replaces):
        return _Begin(start=start, skipped=skipped, told=told)
    newest = rule.latest_until(now, after=start) or start
    reason = "misfire" if is_made_up else "overlap"
    return _Begin(
        start=newest,
        skipped=skipped + _between(rule, start, newest, now=now, reason=reason),
        told=told,
        makes_up_since=start if is_made_up and newest > start else None,
    )


def _runs_all(policies: Policies) -> bool:
    """A run that replaces the others is the newest: the rest of a backlog need not begin."""
    return policies.misfire is Misfire.RUN_ALL and not policies.overlap.replaces


def _horizon(
    now: datetime, told: Told | None, *, policies: Policies, grace: timedelta
) -> datetime | None:
    """What lies before is too old to run."""
    if told is not None and not _runs_all(policies):
        return told.since
    if policies.misfire is Misfire.SKIP:
        oldest = grace
    elif policies.catch_up is not None:
        oldest = max(grace, policies.catch_up)
    else:
        return None
    return now - min(oldest, now - _FIRST_INSTANT)


def _between(
    rule: Cadence, first: datetime, end: datetime | None, *, now: datetime, reason: str
) -> tuple[Skipped, ...]:
    """One stretch of the occurrences that are due from `first` on and lie before `end`."""
    latest = now if end is None else min(now, end - _TINY)
    if latest < first:
        return ()
    last = rule.latest_until(latest, after=first) or first
    return (Skipped(first_at=first, last_at=last, reason=reason),)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Stretch:
    """The occurrences from `start`, which is one, until now, without those that are told."""

    rule: Cadence
    start: datetime
    now: datetime
    told: Told | None
    is_backwards: bool

    @property
    def top(self) -> Told:
        """What is told, or nothing above all that is due."""
        return self.told or Told(since=self.now + _TINY, until=self.now)

    def occurrences(self) -> Iterator[datetime]:
        """What became due since the catch-up began comes first where it goes backwards."""
        if self.is_backwards:
            return chain(self._above(), self._downwards())
        return chain(self._upwards(self.start, self.top.since), self._above())

    def _above(self) -> Iterator[datetime]:
        if self.told is None:
            return iter(())
        return self._upwards(self.rule.next_after(self.told.until), self.now + _TINY)

    def _upwards(self, at: datetime | None, end: datetime) -> Iterator[datetime]:
        while at is not None and at < end:
            yield at
            at = self.rule.next_after(at)

    def _downwards(self) -> Iterator[datetime]:
        at: datetime | None = self.top.since
        while at is not None:
            at = self.rule.latest_until(at - _TINY, after=self.start - _TINY)
            if at is not None:
                yield at

    def rest(self, looked: Sequence[datetime]) -> tuple[datetime | None, Told]:
        """The first of what is left below, and what is told above it once these were looked at."""
        top = self.top
        below = [at for at in looked if at < top.since]
        above = [at for at in looked if at >= top.since]
        told = replace(top, until=max(above, default=top.until))
        if not below:
            return self.start, told
        if self.is_backwards:
            return self.start, replace(told, since=min(below))
        return self.rule.next_after(max(below)), told


@dataclass(frozen=True, kw_only=True, slots=True)
class _Choice:
    """What becomes of the occurrences that were looked at."""

    runs: Sequence[datetime]
    overlaps: Sequence[datetime]
    is_used_up: bool

    def outcome(self, stretch: _Stretch) -> Firing:
        """All but the runs."""
        first, told = stretch.rest([*self.runs, *self.overlaps])
        skipped = _overlaps(self.overlaps, stretch.top)
        if self.is_used_up:
            left = _left_over(stretch, first, told)
            return Firing(skipped=skipped + left, next_run_at=None, is_used_up=True)
        if stretch.told is None and not stretch.is_backwards:
            return Firing(skipped=skipped, next_run_at=first)
        if first is not None and first < told.since:
            return Firing(skipped=skipped, next_run_at=first, told=told)
        return Firing(skipped=skipped, next_run_at=stretch.rule.next_after(told.until))


def _choose(stretch: _Stretch, standing: Standing, policies: Policies) -> _Choice:
    """Room is what the unfinished tasks leave; tasks that are made take it, too."""
    left = _left(policies.max_runs, standing.runs)
    room = _left(policies.overlap.most, standing.unfinished)
    runs: list[datetime] = []
    overlaps: list[datetime] = []
    for at in islice(stretch.occurrences(), AT_A_TIME if _runs_all(policies) else 1):
        if len(runs) >= left:
            break
        (runs if len(runs) < room else overlaps).append(at)
    return _Choice(runs=runs, overlaps=overlaps, is_used_up=len(runs) >= left)


def _left(most: int | None, used: int) -> float:
    return inf if most is None else max(0, most - used)


def _overlaps(instants: Sequence[datetime], top: Told) -> tuple[Skipped, ...]:
    """They came last on either side of what was told, so each side is one stretch."""
    below = [at for at in instants if at < top.since]
    above = [at for at in instants if at >= top.since]
    return tuple(
        Skipped(first_at=min(side), last_at=max(side), reason="overlap")
        for side in (below, above)
        if side
    )


def _left_over(stretch: _Stretch, first: datetime | None, told: Told) -> tuple[Skipped, ...]:
    """What is due beyond the last run that was allowed."""
    rule, now, reason = stretch.rule, stretch.now, "max-runs"
    below: tuple[Skipped, ...] = ()
    if first is not None:
        below = _between(rule, first, told.since, now=now, reason=reason)
    later = rule.next_after(told.until)
    if later is None:
        return below
    return below + _between(rule, later, None, now=now, reason=reason)
