"""Intervals: what can be written, what is refused, and that nothing drifts."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from automagik.core.scheduler.cadence import (
    Interval,
    ScheduleType,
    load_cadence,
    parse_cadence,
    upcoming,
)
from automagik.core.scheduler.exceptions import InvalidCadence

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)


def interval(expr: str) -> Interval:
    cadence = parse_cadence("interval", expr, timezone="UTC", now=NOW)
    assert isinstance(cadence, Interval)
    return cadence


@pytest.mark.parametrize(
    "text, expr, seconds, words",
    [
        ("30s", "30s", 30, "every 30 seconds"),
        ("5m", "5m", 300, "every 5 minutes"),
        ("2h", "2h", 7200, "every 2 hours"),
        ("1d", "1d", 86_400, "every day"),
        ("1w", "1w", 604_800, "every week"),
        ("1h30m", "1h30m", 5400, "every 1 hour 30 minutes"),
        (" 1H  30m ", "1h30m", 5400, "every 1 hour 30 minutes"),
        ("90 m", "1h30m", 5400, "every 1 hour 30 minutes"),
        ("1h60m", "2h", 7200, "every 2 hours"),
        ("10d", "10d", 864_000, "every 10 days"),
        ("36525d", "36525d", 36_525 * 86_400, "every 36525 days"),
    ],
)
def test_what_can_be_written(text: str, expr: str, seconds: int, words: str) -> None:
    cadence = interval(text)
    assert cadence.every == timedelta(seconds=seconds)
    assert (cadence.expr, cadence.describe()) == (expr, words)
    assert cadence.type is ScheduleType.INTERVAL
    assert load_cadence("interval", cadence.expr, timezone="UTC", anchor=NOW) == cadence


@pytest.mark.parametrize(
    "text, reason",
    [
        ("5", "did you mean 5m or 5s"),
        ("-5m", "cannot be negative"),
        ("1.5h", "whole numbers"),
        ("0s", "shortest interval is 1s"),
        ("0h0m", "shortest interval is 1s"),
        ("500ms", "'ms' is no unit"),
        ("5 minutes", "'minutes' is no unit"),
        ("5m5m", "each unit may stand once"),
        ("30m1h", "the larger before the smaller"),
        ("1 0m", "whole numbers with units"),
        ("m", "whole numbers with units"),
        ("36526d", "longest interval is 100 years"),
        ("9" * 500 + "w", "longest interval is 100 years"),
        ("9" * 5000 + "w", "at most 1000 characters"),
        ("\u0665m", "plain ASCII"),
        ("\uff15m", "plain ASCII"),
        ("  ", "is empty"),
    ],
)
def test_what_is_refused(text: str, reason: str) -> None:
    with pytest.raises(InvalidCadence, match=reason) as caught:
        interval(text)
    assert caught.value.code == "AM-CADENCE"


def test_every_refusal_of_an_interval_shows_how_to_write_one() -> None:
    with pytest.raises(InvalidCadence) as caught:
        interval("often")
    assert "1h30m" in str(caught.value.hint)


def test_the_first_occurrence_is_one_interval_after_the_anchor() -> None:
    cadence = interval("5m")
    assert cadence.next_after(NOW) == NOW + timedelta(minutes=5)
    assert cadence.next_after(NOW - timedelta(days=1)) == NOW + timedelta(minutes=5)
    assert cadence.latest_until(NOW, after=NOW - timedelta(days=1)) is None


def test_an_interval_is_elapsed_time_across_a_clock_change() -> None:
    before = datetime(2026, 10, 25, 0, 30, tzinfo=UTC)  # 02:30 in Berlin, shown twice
    cadence = load_cadence("interval", "1h", timezone="Europe/Berlin", anchor=before)
    assert upcoming(cadence, after=before, count=2) == [
        before + timedelta(hours=1),
        before + timedelta(hours=2),
    ]


def test_the_calendar_ends_without_an_error() -> None:
    cadence = interval("36525d")
    assert cadence.next_after(datetime(9999, 12, 1, tzinfo=UTC)) is None


instants = st.timedeltas(timedelta(0), timedelta(days=36_525)).map(NOW.__add__)


@settings(deadline=None, max_examples=100)
@given(
    seconds=st.integers(1, 10**8),
    anchor=instants,
    instant=instants,
    after=instants,
)
def test_occurrences_lie_on_the_grid_of_the_anchor(
    seconds: int, anchor: datetime, instant: datetime, after: datetime
) -> None:
    every = timedelta(seconds=seconds)
    cadence = load_cadence("interval", f"{seconds}s", timezone="UTC", anchor=anchor)
    coming = cadence.next_after(instant)
    assert coming is not None
    assert instant < coming
    assert (coming - anchor) % every == timedelta(0)
    assert coming - every <= max(instant, anchor)
    assert cadence.next_after(coming - timedelta(microseconds=1)) == coming
    latest = cadence.latest_until(instant, after=after)
    previous = coming - every
    assert latest == (previous if previous > max(anchor, after) else None)


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("3 days", "3d, counted from now on, or '3 days at 09:00'"),
        ("2 weeks", "2w, counted from now on, or '2 weeks on mon at 09:00'"),
        ("1 hour 30 min", "1h30m, counted"),
    ],
)
def test_who_writes_words_is_told_how_to_write_it(text: str, hint: str) -> None:
    with pytest.raises(InvalidCadence) as caught:
        load_cadence("interval", text, timezone="UTC", anchor=datetime(2026, 1, 1, tzinfo=UTC))
    assert hint in str(caught.value.hint)
