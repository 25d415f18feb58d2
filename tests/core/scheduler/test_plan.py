"""The misfire rule of the default: pure, so it is tried with thousands of rules and instants."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from automagik.core.scheduler.cadence import Cadence, load_cadence
from automagik.core.scheduler.plan import Firing, Run, Standing, plan, weighed
from automagik.core.scheduler.policies import CatchUpOrder, Misfire, Overlap, Policies

CRONS = ["* * * * *", "*/7 * * * *", "0 9 * * 1-5", "30 2 * * *", "0 0 29 2 *", "*/20 * * * * *"]
ANCHORS = st.datetimes(datetime(2020, 1, 1), datetime(2035, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001
ZONES = st.sampled_from(["UTC", "Europe/Berlin", "America/New_York", "Asia/Kathmandu"])


def crons(expr: str, zone: str) -> Cadence:
    return load_cadence("cron", expr, timezone=zone, anchor=datetime(2020, 1, 1, tzinfo=UTC))


def intervals(anchor: datetime, seconds: int) -> Cadence:
    return load_cadence("interval", f"{seconds}s", timezone="UTC", anchor=anchor)


CADENCES = st.one_of(
    st.builds(crons, st.sampled_from(CRONS), ZONES),
    st.builds(intervals, ANCHORS, st.integers(1, 10_000_000)),
)


@given(
    CADENCES,
    ANCHORS,
    st.timedeltas(timedelta(), timedelta(days=400)),
    st.timedeltas(timedelta(), timedelta(days=2)),
)
def test_planning_goes_forward_and_never_into_the_future(
    cadence: Cadence, start: datetime, late: timedelta, grace: timedelta
) -> None:
    due = cadence.next_after(start)
    assert due is not None
    now = due + late
    before = start
    for firing in firings(cadence, due, now, grace)[:10]:
        [run] = firing.runs
        assert before < run.at <= now
        assert firing.next_run_at is None or firing.next_run_at > run.at
        before = run.at


@given(CADENCES, ANCHORS, st.timedeltas(timedelta(), timedelta(days=400)))
def test_a_run_that_makes_up_is_the_last_that_is_due(
    cadence: Cadence, start: datetime, late: timedelta
) -> None:
    due = cadence.next_after(start)
    assert due is not None
    firing = fired(cadence, due, due + late, timedelta())
    [run] = firing.runs

    assert firing.next_run_at is None or firing.next_run_at > due + late
    assert run.makes_up_since == (due if run.at > due else None)
    if not firing.skipped:
        assert run.makes_up_since is None
        return
    [missed] = firing.skipped
    assert missed.first_at == due <= missed.last_at < run.at
    assert missed.reason == "misfire"
    assert cadence.next_after(missed.last_at) == run.at


@given(CADENCES, ANCHORS, st.timedeltas(timedelta(), timedelta(hours=1)))
def test_within_the_grace_nothing_is_left_out(
    cadence: Cadence, start: datetime, late: timedelta
) -> None:
    due = cadence.next_after(start)
    assert due is not None

    firing = fired(cadence, due, due + late, late)

    assert firing == Firing(runs=(Run(at=due),), next_run_at=cadence.next_after(due))


@given(
    CADENCES,
    ANCHORS,
    st.timedeltas(timedelta(), timedelta(hours=30)),
    st.timedeltas(timedelta(), timedelta(hours=30)),
    st.builds(
        Policies,
        overlap=st.sampled_from(Overlap),
        misfire=st.sampled_from(Misfire),
        catch_up=st.sampled_from([None, timedelta(seconds=1), timedelta(hours=2)]),
        catch_up_order=st.sampled_from(CatchUpOrder),
        max_runs=st.sampled_from([None, 1, 5]),
    ),
)
def test_what_needs_no_weighing_comes_to_the_same_as_all_the_rest(
    cadence: Cadence, start: datetime, late: timedelta, grace: timedelta, policies: Policies
) -> None:
    due = cadence.next_after(start)
    assert due is not None
    standing = Standing(due=due, now=due + late)

    firing = plan(cadence, standing, policies=policies, grace=grace)

    assert firing == weighed(cadence, standing, policies=policies, grace=grace)


def firings(cadence: Cadence, due: datetime, now: datetime, grace: timedelta) -> list[Firing]:
    """What a beat plans, one firing after the other, until nothing is due."""
    planned: list[Firing] = []
    next_due: datetime | None = due
    while next_due is not None and next_due <= now and len(planned) < 10:
        planned.append(fired(cadence, next_due, now, grace))
        next_due = planned[-1].next_run_at
    return planned


def fired(cadence: Cadence, due: datetime, now: datetime, grace: timedelta) -> Firing:
    return plan(cadence, Standing(due=due, now=now), policies=Policies(), grace=grace)
