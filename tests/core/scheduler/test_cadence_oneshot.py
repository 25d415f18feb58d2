"""One-shots, and what is common to all types: type names, zones, texts."""

from datetime import UTC, datetime, timedelta

import pytest

from automagik.core.scheduler.cadence import (
    OneShot,
    ScheduleType,
    load_cadence,
    parse_cadence,
    upcoming,
)
from automagik.core.scheduler.exceptions import InvalidCadence

NOW = datetime(2026, 11, 20, 12, 0, 0, 500_000, tzinfo=UTC)


def oneshot(expr: str, *, timezone: str = "Europe/Berlin") -> OneShot:
    cadence = parse_cadence("oneshot", expr, timezone=timezone, now=NOW)
    assert isinstance(cadence, OneShot)
    return cadence


@pytest.mark.parametrize(
    "text, expr",
    [
        ("2026-12-01T09:00", "2026-12-01T08:00:00+00:00"),
        ("2026-12-01 09:00:30", "2026-12-01T08:00:30+00:00"),
        (" 2026-12-01t09:00z ", "2026-12-01T09:00:00+00:00"),
        ("2026-12-01 09:00 -05:30", "2026-12-01T14:30:00+00:00"),
        ("2026-12-01T09:00:00.25+0100", "2026-12-01T08:00:00.250000+00:00"),
        ("in 10m", "2026-11-20T12:10:00+00:00"),
        ("in 10 minutes", "2026-11-20T12:10:00+00:00"),
        ("In 1 day 2 hours", "2026-11-21T14:00:00+00:00"),
        ("in 1s", "2026-11-20T12:00:01+00:00"),
    ],
)
def test_what_can_be_written(text: str, expr: str) -> None:
    cadence = oneshot(text)
    assert cadence.expr == expr
    assert load_cadence("oneshot", expr, timezone="Europe/Berlin", anchor=NOW) == cadence


@pytest.mark.parametrize(
    "text, reason",
    [
        ("2026-11-20T12:59", "in the past, 1 minute ago"),
        ("2025-11-20 13:00", "in the past, 365 days ago"),
        ("2025-11-20T11:58:57", "in the past, 365 days 1 hour ago"),
        ("2026-11-20T12:00:00.5Z", "already now"),
        ("2026-13-01T09:00", "there is no such time"),
        ("2026-02-30T09:00", "there is no such time"),
        ("2026-12-01T25:00", "there is no such time"),
        ("9999-12-31T23:59-12:00", "there is no such time"),
        ("2026-12-01", "a date with a time"),
        ("09:00", "a date with a time"),
        ("20261201T0900", "a date with a time"),
        ("tomorrow", "a date with a time"),
        ("in a while", "comes a length"),
        ("in 5", "comes a length"),
        ("\u0662026-12-01T09:00", "plain ASCII"),
        ("", "is empty"),
    ],
)
def test_what_is_refused(text: str, reason: str) -> None:
    with pytest.raises(InvalidCadence, match=reason) as caught:
        oneshot(text)
    assert "T09:00" in str(caught.value.hint)


def test_a_stored_oneshot_may_be_past() -> None:
    cadence = load_cadence("oneshot", "2020-01-01T00:00:00+00:00", timezone="UTC", anchor=NOW)
    assert cadence.next_after(NOW) is None
    assert cadence.describe() == "once, on 2020-01-01 at 00:00 (UTC)"


def test_now_is_the_first_instant_after_now() -> None:
    cadence = oneshot("Now")
    assert upcoming(cadence, after=NOW, count=5) == [NOW + timedelta(microseconds=1)]


def test_a_local_time_in_a_gap_becomes_the_end_of_the_gap() -> None:
    assert oneshot("2027-03-28T02:30").at == datetime(2027, 3, 28, 1, tzinfo=UTC)


def test_an_ambiguous_local_time_is_the_first_of_the_two() -> None:
    assert oneshot("2027-10-31T02:30").at == datetime(2027, 10, 31, 0, 30, tzinfo=UTC)


def test_a_oneshot_occurs_once() -> None:
    cadence = oneshot("2026-12-01T09:00")
    second = timedelta(seconds=1)
    assert cadence.next_after(cadence.at - second) == cadence.at
    assert cadence.next_after(cadence.at) is None
    assert cadence.latest_until(cadence.at, after=NOW) == cadence.at
    assert cadence.latest_until(cadence.at - second, after=NOW) is None
    assert cadence.latest_until(cadence.at + second, after=cadence.at) is None


@pytest.mark.parametrize("name", ["oneshot", "one-shot", "one_time", "ONE-TIME", " once "])
def test_the_spellings_of_the_type(name: str) -> None:
    cadence = parse_cadence(name, "now", timezone="UTC", now=NOW)
    assert cadence.type is ScheduleType.ONESHOT


def test_an_unknown_type_is_refused_with_a_close_one() -> None:
    with pytest.raises(InvalidCadence, match="did you mean cron"):
        parse_cadence("crn", "@daily", timezone="UTC", now=NOW)


@pytest.mark.parametrize(
    "name, close",
    [
        ("Europe/Berlim", "Europe/Berlin"),
        ("europe/berlin", "Europe/Berlin"),
        ("Berlin", "Europe/Berlin"),
        ("New York", "America/New_York"),
    ],
)
@pytest.mark.parametrize(
    "type_, expr", [("interval", "5m"), ("cron", "@daily"), ("oneshot", "now")]
)
def test_an_unknown_zone_is_refused_with_a_close_one(
    type_: str, expr: str, name: str, close: str
) -> None:
    with pytest.raises(InvalidCadence, match=f"did you mean {close}"):
        parse_cadence(type_, expr, timezone=name, now=NOW)


@pytest.mark.parametrize("name", ["", "..", "/etc/localtime", "America", "localtime", "x" * 300])
def test_what_is_no_zone_at_all_is_refused_too(name: str) -> None:
    with pytest.raises(InvalidCadence, match="is no IANA time zone"):
        parse_cadence("cron", "@daily", timezone=name, now=NOW)
