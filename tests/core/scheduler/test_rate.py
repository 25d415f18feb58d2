"""A rate is kept in any minute, whenever beats look, and nearly used up when they look often."""

from datetime import UTC, datetime, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from automagik.core.scheduler.rate import Rate

START = datetime(2026, 3, 29, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


def sent_at(limit: int, pauses: list[float]) -> list[datetime]:
    """When runs go out, with a backlog that never ends, while a beat looks after these pauses."""
    now, used_until, sent = START, None, []
    for pause in pauses:
        now += timedelta(seconds=pause)
        rate = Rate(runs_per_minute=limit, used_until=used_until)
        runs = rate.allows(now)
        if runs:
            sent += [now] * runs
            used_until = rate.used_until_after(runs, now)
    return sent


def most_in_a_minute(sent: list[datetime]) -> int:
    return max(sum(first <= each < first + MINUTE for each in sent) for first in sent)


@settings(deadline=None)
@given(limit=st.integers(1, 600), pauses=st.lists(st.floats(0, 90), min_size=1, max_size=200))
def test_no_minute_has_more_runs_than_the_limit(limit: int, pauses: list[float]) -> None:
    assert most_in_a_minute(sent_at(limit, pauses)) <= limit


@settings(deadline=None)
@given(limit=st.integers(1, 1200))
def test_a_beat_that_looks_often_uses_the_rate_up(limit: int) -> None:
    sent = sent_at(limit, [0.05] * 20 * 60)

    assert len(sent) >= limit * 60 / 61 - 1


def test_runs_are_spread_and_do_not_come_at_once() -> None:
    sent = sent_at(60, [0.05] * 20 * 10)

    assert len(sent) in (10, 11)
    assert max(sent.count(each) for each in sent) == 1


def test_what_was_not_used_is_not_saved_up() -> None:
    rate = Rate(runs_per_minute=600, used_until=START - timedelta(hours=1))

    assert rate.allows(START) == 10


def test_a_source_that_was_never_asked_takes_a_run() -> None:
    assert Rate(runs_per_minute=1, used_until=None).allows(START) == 1
