"""Every policy against a plain reference model: what runs, in which order, and why not."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import accumulate
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from automagik.core.exceptions import InvalidInput
from automagik.core.scheduler import plan as plan_module
from automagik.core.scheduler.cadence import load_cadence
from automagik.core.scheduler.plan import AT_A_TIME, Standing, plan
from automagik.core.scheduler.policies import CatchUpOrder, Misfire, Overlap, Policies, sentences
from automagik.core.scheduler.policy_columns import (
    COLUMNS,
    PolicyChange,
    PolicyOption,
    policies_of,
)
from tests.core.scheduler.reference import Beat, Listed, expected

SECOND = timedelta(seconds=1)
MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
BEGIN = datetime(2030, 1, 1, tzinfo=UTC)
GRACE = 5 * MINUTE

LENGTHS = st.one_of(st.none(), st.timedeltas(timedelta.resolution, 2 * HOUR))
POLICIES = st.builds(
    Policies,
    overlap=st.sampled_from(Overlap),
    misfire=st.sampled_from(Misfire),
    catch_up=LENGTHS,
    catch_up_order=st.sampled_from(CatchUpOrder),
    max_runs=st.one_of(st.none(), st.integers(1, 12)),
)


def rules(longest_gap: int, most: int) -> st.SearchStrategy[Listed]:
    """At least one occurrence, the gaps between them in seconds."""
    gaps = st.lists(st.integers(1, longest_gap), min_size=1, max_size=most)
    return gaps.map(
        lambda gaps: Listed(instants=[BEGIN + gap * SECOND for gap in accumulate(gaps)])
    )


RULES = rules(1_200, 30)
DENSE = rules(100, 60)
"""Of which a backlog takes many transactions."""


@pytest.fixture(autouse=True, scope="module")
def _few_at_a_time() -> Iterator[None]:
    """So that a backlog takes several transactions."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(plan_module, "AT_A_TIME", 3)
        yield


@given(
    rule=RULES,
    policies=POLICIES,
    late=st.timedeltas(timedelta(), 3 * HOUR),
    grace=st.timedeltas(timedelta(), HOUR),
    before=st.tuples(st.integers(0, 3), st.integers(0, 5)),
)
def test_what_is_due_becomes_what_the_reference_says(
    rule: Listed,
    policies: Policies,
    late: timedelta,
    grace: timedelta,
    before: tuple[int, int],
) -> None:
    unfinished, runs = before
    now = rule.instants[0] + late
    due = [at for at in rule.instants if at <= now]
    beat = Beat(
        rule=rule,
        policies=policies,
        grace=grace,
        next_run_at=due[0],
        unfinished=unfinished,
        runs=runs,
    )
    while (firing := beat.fire(now)) is not None:
        assert len(firing.runs) <= 3

    wanted = expected(
        due, now=now, policies=policies, grace=grace, unfinished=unfinished, runs=runs
    )
    assert (beat.outcome.runs, beat.outcome.skipped) == (wanted.runs, wanted.skipped)
    used_up = policies.max_runs is not None and runs + len(wanted.runs) >= policies.max_runs
    # A schedule whose occurrences were all skipped has not looked at its count.
    if not used_up or len(wanted.skipped) == len(due):
        assert beat.next_run_at in (rule.next_after(now), None)
    else:
        assert beat.next_run_at is None


@given(
    rule=DENSE,
    policies=POLICIES,
    steps=st.lists(st.tuples(st.integers(0, 1_500), st.integers(0, 2)), min_size=1, max_size=30),
    changed=POLICIES,
    when=st.integers(0, 29),
)
def test_each_occurrence_is_told_once_while_time_passes_tasks_end_and_policies_change(
    rule: Listed,
    policies: Policies,
    steps: list[tuple[int, int]],
    changed: Policies,
    when: int,
) -> None:
    beat = Beat(rule=rule, policies=policies, grace=GRACE, next_run_at=rule.instants[0])
    now = BEGIN
    for number, (seconds, ended) in enumerate(steps):
        now += seconds * SECOND
        beat.unfinished = max(0, beat.unfinished - ended)
        beat.policies = changed if number >= when else policies
        beat.fire(now)
        if beat.policies.overlap.most is not None and number < when:
            assert beat.unfinished <= beat.policies.overlap.most
    while beat.fire(now) is not None:
        pass

    outcome = beat.outcome
    assert not set(outcome.runs) & outcome.skipped.keys()
    told = set(outcome.runs) | outcome.skipped.keys()
    due = {at for at in rule.instants if at <= now}
    if "max-runs" in outcome.skipped.values() or beat.next_run_at is None:
        assert told <= due
        assert told == {at for at in due if at <= max(told)}
    else:
        assert told == due


@given(late=st.integers(2, 100), pause=st.integers(0, 60))
def test_a_catch_up_from_the_newest_takes_what_becomes_due_meanwhile_first(
    late: int, pause: int
) -> None:
    """One occurrence a minute, three at a time, and so many seconds between two transactions."""
    policies = Policies(misfire=Misfire.RUN_ALL, catch_up_order=CatchUpOrder.NEWEST_FIRST)
    rule = Listed(instants=[BEGIN + n * MINUTE for n in range(1_000)])
    now = BEGIN + late * MINUTE
    beat = Beat(rule=rule, policies=policies, grace=10 * SECOND, next_run_at=BEGIN)
    missed = [at for at in rule.instants if at <= now]
    seen = missed
    while beat.next_run_at == BEGIN:
        due = [at for at in rule.instants if at <= now]
        new = [at for at in due if at not in seen]
        firing = beat.fire(now)
        assert firing is not None
        assert [run.at for run in firing.runs][: len(new)] == new
        assert len(firing.runs) == min(3, late + 1) or beat.told is None
        seen, now = due, now + pause * SECOND

    assert [at for at in beat.outcome.runs if at in missed] == missed[::-1]
    assert set(beat.outcome.runs) == set(seen)


@given(batches=st.integers(1, 8), changed=POLICIES, pause=st.integers(0, 400))
def test_policies_may_change_in_the_middle_of_a_catch_up(
    batches: int, changed: Policies, pause: int
) -> None:
    """What was told stays told, and the rest is told by the new policies."""
    rule = Listed(instants=[BEGIN + n * MINUTE for n in range(1_000)])
    now = BEGIN + HOUR
    newest_first = CatchUpOrder.NEWEST_FIRST
    beat = Beat(
        rule=rule,
        policies=Policies(misfire=Misfire.RUN_ALL, catch_up_order=newest_first),
        grace=10 * SECOND,
        next_run_at=BEGIN,
    )
    for _ in range(batches):
        beat.fire(now)
    assert beat.told is not None
    before = list(beat.outcome.runs)
    beat.policies, beat.unfinished, beat.runs = changed, 0, 0
    now += pause * SECOND
    while beat.fire(now) is not None:
        pass

    outcome = beat.outcome
    assert set(outcome.runs) | outcome.skipped.keys() == {at for at in rule.instants if at <= now}
    if changed.overlap.replaces or changed.misfire is not Misfire.RUN_ALL:
        made = outcome.runs[len(before) :]
        assert all(at > BEGIN + HOUR for at in made), "the old backlog is given up"
    for at, reason in outcome.skipped.items():
        assert at not in before, f"{at} ran and was skipped: {reason}"


@pytest.mark.parametrize(
    "policies, runs, missed",
    [
        (Policies(misfire=Misfire.SKIP), 0, 1_440),
        (Policies(), 1, 1_439),
        (Policies(misfire=Misfire.RUN_ALL), 1_440, 0),
        (
            Policies(misfire=Misfire.RUN_ALL, catch_up_order=CatchUpOrder.NEWEST_FIRST),
            1_440,
            0,
        ),
        (Policies(misfire=Misfire.RUN_ALL, catch_up=HOUR), 60, 1_380),
        (Policies(catch_up=10 * SECOND), 0, 1_440),
    ],
)
def test_a_day_of_downtime_of_a_schedule_of_a_minute(
    policies: Policies, runs: int, missed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plan_module, "AT_A_TIME", AT_A_TIME)
    rule = Listed(instants=[BEGIN + n * MINUTE for n in range(2_000)])
    now = BEGIN + DAY - 30 * SECOND
    beat = Beat(rule=rule, policies=policies, grace=SECOND, next_run_at=BEGIN)
    transactions = 0
    while (firing := beat.fire(now)) is not None:
        transactions += 1
        assert len(firing.runs) <= 100
        assert policies.misfire is not Misfire.RUN_ALL or all(r.catches_up for r in firing.runs)

    assert len(beat.outcome.runs) == runs
    assert list(beat.outcome.skipped.values()) == ["misfire"] * missed
    assert transactions <= 15
    assert beat.next_run_at == BEGIN + DAY


def test_what_is_on_time_is_no_catching_up() -> None:
    rule = Listed(instants=[BEGIN + n * MINUTE for n in range(20)])
    standing = Standing(due=BEGIN, now=BEGIN + 2 * MINUTE)
    policies = Policies(misfire=Misfire.RUN_ALL)

    firing = plan(rule, standing, policies=policies, grace=MINUTE)

    assert [run.catches_up for run in firing.runs] == [True, False, False]


def test_any_grace_is_possible() -> None:
    rule = load_cadence("interval", "1m", timezone="UTC", anchor=BEGIN)
    standing = Standing(due=BEGIN + MINUTE, now=BEGIN + DAY)
    for misfire in Misfire:
        firing = plan(rule, standing, policies=Policies(misfire=misfire), grace=timedelta.max)
        assert firing.runs[0].at == BEGIN + MINUTE


class TestDelay:
    @given(
        schedule_id=st.uuids(),
        minutes=st.integers(0, 10**6),
        jitter=st.timedeltas(timedelta.resolution, DAY),
        spread=st.timedeltas(timedelta.resolution, DAY),
    )
    def test_it_is_below_jitter_and_spread_and_always_the_same(
        self, schedule_id: UUID, minutes: int, jitter: timedelta, spread: timedelta
    ) -> None:
        at = BEGIN + minutes * MINUTE
        only_jitter = Policies(jitter=jitter).delay(schedule_id, at)
        only_spread = Policies(spread=spread).delay(schedule_id, at)
        both = Policies(jitter=jitter, spread=spread).delay(schedule_id, at)

        assert timedelta() <= only_jitter < jitter
        assert timedelta() <= only_spread < spread
        assert both == only_jitter + only_spread
        assert only_spread == Policies(spread=spread).delay(schedule_id, at + DAY)

    def test_without_either_a_run_starts_on_time(self) -> None:
        assert Policies().delay(uuid4(), BEGIN) == timedelta()

    def test_jitter_is_spread_evenly_over_the_instants(self) -> None:
        schedule_id, policies = UUID(int=7), Policies(jitter=100 * SECOND)
        delays = [policies.delay(schedule_id, BEGIN + n * MINUTE) for n in range(2_000)]
        quarters = [
            sum(q * 25 * SECOND <= d < (q + 1) * 25 * SECOND for d in delays) for q in range(4)
        ]

        assert all(400 < count < 600 for count in quarters)

    def test_spread_differs_from_schedule_to_schedule(self) -> None:
        policies = Policies(spread=HOUR)

        assert len({policies.delay(UUID(int=n), BEGIN) for n in range(100)}) == 100


class TestWords:
    def test_the_defaults_are_said_too(self) -> None:
        assert list(sentences(Policies(), grace=MINUTE)) == [
            "Overlap allow-all: a run starts whether or not earlier ones have ended.",
            "Misfire run-once: one run makes up for occurrences more than 1 minute late.",
        ]

    def test_every_policy_that_is_set_is_said(self) -> None:
        policies = Policies(
            overlap=Overlap.BUFFER_ONE,
            misfire=Misfire.RUN_ALL,
            misfire_grace=timedelta(),
            catch_up=DAY,
            catch_up_order=CatchUpOrder.NEWEST_FIRST,
            jitter=MINUTE / 2,
            spread=MINUTE,
            max_runs=1,
            pause_after_failures=3,
            at_most_once=True,
        )

        said = list(sentences(policies, grace=MINUTE))

        assert said[1] == (
            "Misfire run-all: occurrences more than 0 seconds late all run, the newest first;"
            " what is older than 1 day is skipped."
        )
        assert said[2:5] == [
            "Jitter: each run starts up to 30 seconds later.",
            "Spread: all runs start later by one time below 1 minute.",
            "Max runs: completed after 1 run.",
        ]
        assert len(said) == 7


class TestColumns:
    @given(POLICIES)
    def test_what_is_written_is_what_is_read(self, policies: Policies) -> None:
        if policies.misfire is not Misfire.RUN_ALL:
            policies = replace(policies, catch_up_order=CatchUpOrder.OLDEST_FIRST)
        said = {name: getattr(policies, name) for name in Policies.__dataclass_fields__}
        stored = PolicyChange(**said).columns()

        assert policies_of(dict.fromkeys(COLUMNS) | stored) == policies

    def test_what_is_unset_has_its_default_again(self) -> None:
        columns = PolicyChange().columns(unset=list(PolicyOption))

        assert policies_of(columns) == Policies()
        assert columns["runs"] == 0

    def test_a_new_bound_counts_from_now_on(self) -> None:
        assert PolicyChange(max_runs=5).columns() == {"max_runs": 5, "runs": 0}
        assert "runs" not in PolicyChange(jitter=MINUTE).columns()

    @pytest.mark.parametrize(
        "change",
        [
            PolicyChange(max_runs=0),
            PolicyChange(pause_after_failures=-1),
            PolicyChange(max_runs=2**31),
            PolicyChange(jitter=timedelta()),
            PolicyChange(catch_up=-MINUTE),
            PolicyChange(spread=40_000 * DAY),
            PolicyChange(misfire_grace=-MINUTE),
        ],
    )
    def test_what_cannot_be_is_refused(self, change: PolicyChange) -> None:
        with pytest.raises(InvalidInput):
            change.columns()

    def test_what_is_given_is_not_unset(self) -> None:
        with pytest.raises(InvalidInput):
            PolicyChange(jitter=MINUTE).columns(unset=[PolicyOption.JITTER])

    def test_no_grace_at_all_is_possible(self) -> None:
        columns = PolicyChange(misfire_grace=timedelta()).columns()

        assert columns == {"misfire_grace_seconds": 0.0}
