"""The policies once more, as plainly as they can be said: over a list of all that is due.

The plan of the scheduler goes from one transaction to the next and never sees the whole list.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from automagik.core.scheduler.cadence import Cadence, ScheduleType
from automagik.core.scheduler.plan import Firing, Standing, Told, plan
from automagik.core.scheduler.policies import CatchUpOrder, Misfire, Policies


@dataclass(frozen=True, kw_only=True)
class Listed:
    """A rule that occurs at these instants, oldest first, and never again."""

    instants: Sequence[datetime]
    type: ScheduleType = ScheduleType.CRON
    expr: str = "as listed"

    def next_after(self, instant: datetime) -> datetime | None:
        later = bisect_right(self.instants, instant)
        return self.instants[later] if later < len(self.instants) else None

    def latest_until(self, instant: datetime, *, after: datetime) -> datetime | None:
        until = bisect_right(self.instants, instant)
        found = self.instants[until - 1] if until else None
        return found if found is not None and found > after else None

    def describe(self) -> str:
        return self.expr


@dataclass(kw_only=True)
class Outcome:
    """What became of occurrences: runs in their order, and the reasons of the rest."""

    runs: list[datetime] = field(default_factory=list)
    skipped: dict[datetime, str] = field(default_factory=dict)


def expected(
    due: Sequence[datetime],
    *,
    now: datetime,
    policies: Policies,
    grace: timedelta,
    unfinished: int,
    runs: int,
) -> Outcome:
    """While no task ends and no time passes."""
    outcome = Outcome()
    for at in _remaining(due, outcome, now=now, policies=policies, grace=grace):
        if policies.max_runs is not None and runs >= policies.max_runs:
            outcome.skipped[at] = "max-runs"
        elif policies.overlap.most is not None and unfinished >= policies.overlap.most:
            outcome.skipped[at] = "overlap"
        else:
            outcome.runs.append(at)
            runs, unfinished = runs + 1, unfinished + 1
    return outcome


def _remaining(
    due: Sequence[datetime],
    outcome: Outcome,
    *,
    now: datetime,
    policies: Policies,
    grace: timedelta,
) -> list[datetime]:
    """In the order in which they run."""
    oldest = timedelta.max if policies.catch_up is None else max(grace, policies.catch_up)
    if policies.misfire is Misfire.SKIP:
        oldest = grace
    left = [at for at in due if now - at <= oldest]
    outcome.skipped |= dict.fromkeys(due[: len(due) - len(left)], "misfire")
    is_backlog = any(now - at > grace for at in left)
    if policies.misfire is Misfire.RUN_ONCE and is_backlog:
        outcome.skipped |= dict.fromkeys(left[:-1], "misfire")
        return left[-1:]
    if policies.overlap.replaces:
        outcome.skipped |= dict.fromkeys(left[:-1], "overlap")
        return left[-1:]
    newest_first = policies.catch_up_order is CatchUpOrder.NEWEST_FIRST
    turned = policies.misfire is Misfire.RUN_ALL and newest_first and is_backlog
    return left[::-1] if turned else left


@dataclass(kw_only=True)
class Beat:
    """Fires one schedule, transaction by transaction, and keeps what became of it."""

    rule: Cadence
    policies: Policies
    grace: timedelta
    next_run_at: datetime | None
    unfinished: int = 0
    runs: int = 0
    told: Told | None = None
    outcome: Outcome = field(default_factory=Outcome)

    def fire(self, now: datetime) -> Firing | None:
        """None: nothing is due."""
        if self.next_run_at is None or self.next_run_at > now:
            return None
        standing = Standing(
            due=self.next_run_at,
            now=now,
            unfinished=self.unfinished,
            runs=self.runs,
            told=self.told,
        )
        firing = plan(self.rule, standing, policies=self.policies, grace=self.grace)
        self._keep(firing)
        return firing

    def _keep(self, firing: Firing) -> None:
        made = [run.at for run in firing.runs]
        self.runs += len(made)
        self.unfinished += len(made)
        self.next_run_at, self.told = firing.next_run_at, firing.told
        for at in made:
            assert at not in self.outcome.runs, f"{at} ran twice"
        self.outcome.runs += made
        for skipped in firing.skipped:
            for at in self._within(skipped.first_at, skipped.last_at):
                assert at not in self.outcome.skipped, f"{at} was told twice"
                self.outcome.skipped[at] = skipped.reason

    def _within(self, first: datetime, last: datetime) -> list[datetime]:
        assert isinstance(self.rule, Listed)
        instants = self.rule.instants
        assert first in instants
        assert last in instants
        return list(instants[bisect_left(instants, first) : bisect_right(instants, last)])
