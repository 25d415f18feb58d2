"""`H` in a cron rule: stable by name, within its range, and spread."""

from collections import Counter
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from automagik.core.scheduler.cadence import Cadence, load_cadence, upcoming
from automagik.core.scheduler.cron_fields import split_fields
from automagik.core.scheduler.cron_hash import without_hashes

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)


def cron(expr: str, *, name: str) -> Cadence:
    return load_cadence("cron", expr, timezone="UTC", anchor=NOW, name=name)


def first_minute(expr: str, *, name: str) -> int:
    found = cron(expr, name=name).next_after(NOW)
    assert found is not None
    return found.minute


def test_the_value_of_a_name_never_changes() -> None:
    """Schedules would move when it did: the figures are part of the promise."""
    assert cron("H H H * *", name="nightly").describe() == "at 01:53, on day 11 of the month (UTC)"
    assert cron("H H H H H", name="nightly").expr == "H H H H H"


def test_only_rules_with_h_depend_on_the_name() -> None:
    assert cron("5 * * * *", name="one") == cron("5 * * * *", name="other")
    assert cron("H * * * *", name="one") != cron("H * * * *", name="other")


def test_names_spread_over_the_hour() -> None:
    """Each minute has 100 of them, give or take six standard deviations."""
    texts = split_fields("H * * * *")
    found = Counter(without_hashes(texts, name=f"schedule-{n}").minute for n in range(6000))
    assert set(found) == {str(minute) for minute in range(60)}
    assert all(40 < count < 160 for count in found.values())


def test_the_fields_of_one_name_are_chosen_apart() -> None:
    pairs = {
        (found.hour, found.minute)
        for n in range(200)
        if (found := cron("H H * * *", name=f"schedule-{n}").next_after(NOW))
    }
    assert len(pairs) > 160


@settings(deadline=None, max_examples=100)
@given(name=st.text(max_size=20), data=st.data())
def test_a_range_and_a_step_are_kept(name: str, data: st.DataObject) -> None:
    low = data.draw(st.integers(0, 59))
    high = data.draw(st.integers(low, 59))
    step = data.draw(st.integers(1, high - low + 1))
    assert low <= first_minute(f"H({low}-{high}) * * * *", name=name) <= high
    minutes = sorted(
        {
            run.minute
            for run in upcoming(
                cron(f"H({low}-{high})/{step} * * * *", name=name), after=NOW, count=60
            )
        }
    )
    assert low <= minutes[0] < low + step
    assert high - step < minutes[-1] <= high
    assert {later - earlier for earlier, later in pairwise(minutes)} <= {step}


@pytest.mark.parametrize("name", ["a", "b", "nightly-report", "ünïcode"])
def test_a_step_alone_goes_over_the_whole_field(name: str) -> None:
    runs = upcoming(cron("H/15 * * * *", name=name), after=NOW, count=9)
    assert {later - earlier for earlier, later in pairwise(runs)} == {timedelta(minutes=15)}


def test_every_month_has_the_day() -> None:
    for n in range(100):
        runs = upcoming(cron("0 0 H * *", name=f"schedule-{n}"), after=NOW, count=12)
        assert len({run.month for run in runs}) == 12


def test_parts_without_h_stay() -> None:
    runs = upcoming(cron("0,H(10-19),30 9 * * THU,H(1-1)", name="x"), after=NOW, count=30)
    assert {run.weekday() for run in runs} == {0, 3}
    assert {0, 30} < {run.minute for run in runs}
    assert len({run.minute for run in runs}) == 3


def test_a_step_of_hours_follows_elapsed_time() -> None:
    """As `*/n` does: both passes of a fold count."""
    before_fold = datetime(2026, 10, 25, 0, tzinfo=UTC)
    stepped, starred, ranged = (
        upcoming(
            load_cadence("cron", f"30 {hour} * * *", timezone="Europe/Berlin", anchor=NOW),
            after=before_fold,
            count=3,
        )
        for hour in ("H/1", "*", "0-23")
    )
    assert stepped == starred
    assert stepped != ranged
