"""Cron at the known clock changes of the world."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from automagik.core.scheduler.cadence import Cadence, load_cadence, upcoming
from automagik.core.scheduler.dst import Dst, Fold, Gap


def cron(expr: str, zone: str) -> Cadence:
    return load_cadence("cron", expr, timezone=zone, anchor=datetime(2026, 1, 1, tzinfo=UTC))


def local_runs(expr: str, *, zone: str, start: str, count: int) -> list[str]:
    """The next occurrences after a local time, as local times with offset."""
    after = datetime.fromisoformat(start).replace(tzinfo=ZoneInfo(zone)).astimezone(UTC)
    runs = upcoming(cron(expr, zone), after=after, count=count)
    return [run.astimezone(ZoneInfo(zone)).strftime("%d %H:%M%z") for run in runs]


@pytest.mark.parametrize(
    "zone, start, expr, runs",
    [
        # One hour is left out: the nominal times in it are one occurrence, at its end.
        ("Europe/Berlin", "2026-03-28T12:00", "30 2 * * *", ["29 03:00+0200", "30 02:30+0200"]),
        ("Europe/Berlin", "2026-03-29T01:00", "*/20 2,3 * * *", ["29 03:00+0200", "29 03:20+0200"]),
        # One hour is shown twice: the first pass counts.
        ("Europe/Berlin", "2026-10-24T12:00", "30 2 * * *", ["25 02:30+0200", "26 02:30+0100"]),
        # Half an hour of shift.
        (
            "Australia/Lord_Howe",
            "2026-10-04T00:00",
            "15 2 * * *",
            ["04 02:30+1100", "05 02:15+1100"],
        ),
        (
            "Australia/Lord_Howe",
            "2026-04-05T00:00",
            "45 1 * * *",
            ["05 01:45+1100", "06 01:45+1030"],
        ),
        # Midnight is left out.
        ("Africa/Cairo", "2026-04-23T12:00", "0 0 * * *", ["24 01:00+0300", "25 00:00+0300"]),
        ("Asia/Beirut", "2026-03-28T12:00", "@daily", ["29 01:00+0300", "30 00:00+0300"]),
        ("America/Sao_Paulo", "2018-11-03T12:00", "@daily", ["04 01:00-0200", "05 00:00-0200"]),
        # Midnight is shown twice: 24:00 becomes 23:00.
        (
            "America/Sao_Paulo",
            "2018-02-17T12:00",
            "30 23 * * *",
            ["17 23:30-0200", "18 23:30-0300"],
        ),
        # A whole day is left out; what was due on it occurs when it would have ended.
        ("Pacific/Apia", "2011-12-29T13:00", "0 12 * * *", ["31 00:00+1400", "31 12:00+1400"]),
        ("Pacific/Apia", "2011-12-29T13:00", "0 9,12 30 * *", ["31 00:00+1400", "30 09:00+1400"]),
        # New standard offsets, without daylight saving.
        ("Asia/Pyongyang", "2018-05-04T12:00", "45 23 * * *", ["05 00:00+0900", "05 23:45+0900"]),
        ("Asia/Pyongyang", "2015-08-14T12:00", "45 23 * * *", ["14 23:45+0900", "15 23:45+0830"]),
    ],
)
def test_a_fixed_hour_follows_the_wall_clock(
    zone: str, start: str, expr: str, runs: list[str]
) -> None:
    assert local_runs(expr, zone=zone, start=start, count=2) == runs


@pytest.mark.parametrize(
    "zone, start, expr, runs",
    [
        ("Europe/Berlin", "2026-03-29T01:15", "30 * * * *", ["29 01:30+0100", "29 03:30+0200"]),
        ("Europe/Berlin", "2026-03-29T01:15", "0 */2 * * *", ["29 04:00+0200", "29 06:00+0200"]),
        ("Europe/Berlin", "2026-10-25T02:15", "30 * * * *", ["25 02:30+0200", "25 02:30+0100"]),
        ("Europe/Berlin", "2026-10-25T00:15", "0 */2 * * *", ["25 02:00+0200", "25 02:00+0100"]),
        (
            "Australia/Lord_Howe",
            "2026-10-04T01:50",
            "*/20 * * * *",
            ["04 02:40+1100", "04 03:00+1100"],
        ),
        (
            "Australia/Lord_Howe",
            "2026-04-05T01:35",
            "*/20 * * * *",
            ["05 01:40+1100", "05 01:40+1030"],
        ),
        # The last hours of a month are shown twice.
        ("Antarctica/Rothera", "1976-11-30T23:30", "0 * L * *", ["30 21:00-0300", "30 22:00-0300"]),
        # Nearly a whole day is shown twice.
        (
            "Pacific/Kwajalein",
            "1969-09-30T12:30",
            "0 */12 30 9 *",
            ["30 12:00-1200", "30 00:00-1200"],
        ),
        ("Pacific/Apia", "2011-12-29T23:50", "0 */6 * * *", ["31 00:00+1400", "31 06:00+1400"]),
        ("Pacific/Apia", "2011-12-29T23:50", "0 * 30 * *", ["30 00:00+1400", "30 01:00+1400"]),
    ],
)
def test_a_free_hour_follows_elapsed_time(
    zone: str, start: str, expr: str, runs: list[str]
) -> None:
    assert local_runs(expr, zone=zone, start=start, count=2) == runs


@pytest.mark.parametrize(
    "gap, fold, runs",
    [
        ("next", "first", ["28 02:30+0100", "29 03:00+0200", "25 02:30+0200", "26 02:30+0100"]),
        ("next", "both", ["28 02:30+0100", "29 03:00+0200", "25 02:30+0200", "25 02:30+0100"]),
        ("skip", "first", ["28 02:30+0100", "30 02:30+0200", "25 02:30+0200", "26 02:30+0100"]),
        ("skip", "both", ["28 02:30+0100", "30 02:30+0200", "25 02:30+0200", "25 02:30+0100"]),
    ],
)
@pytest.mark.parametrize(
    "type_, expr",
    [
        ("cron", "30 2 * * *"),
        ("rrule", "FREQ=DAILY;BYHOUR=2;BYMINUTE=30"),
        ("calendar", "every day at 02:30"),
    ],
)
def test_what_becomes_of_gaps_and_folds_can_be_chosen(
    type_: str, expr: str, gap: str, fold: str, runs: list[str]
) -> None:
    berlin = ZoneInfo("Europe/Berlin")
    cadence = load_cadence(
        type_,
        expr,
        timezone=berlin.key,
        anchor=datetime(2026, 1, 1, tzinfo=UTC),
        dst=Dst(gap=Gap(gap), fold=Fold(fold)),
    )
    found = [
        run.astimezone(berlin).strftime("%d %H:%M%z")
        for start in ("2026-03-27T12:00+01:00", "2026-10-24T12:00+02:00")
        for run in upcoming(cadence, after=datetime.fromisoformat(start), count=2)
    ]
    assert found == runs


@pytest.mark.parametrize("fold", Fold)
def test_a_gap_right_after_an_occurrence(fold: Fold) -> None:
    cadence = load_cadence(
        "cron",
        "59 59 1-2 * * *",
        timezone="Europe/Berlin",
        anchor=datetime(2026, 1, 1, tzinfo=UTC),
        dst=Dst(fold=fold),
    )
    gap_end = datetime(2026, 3, 29, 1, tzinfo=UTC)
    second = timedelta(seconds=1)
    assert upcoming(cadence, after=gap_end - 2 * second, count=2) == [gap_end - second, gap_end]
    assert cadence.latest_until(gap_end, after=gap_end - second) == gap_end
    assert cadence.latest_until(gap_end - second, after=gap_end - 2 * second) == gap_end - second


def test_the_latest_occurrence_may_be_the_second_of_a_fold_long_ago() -> None:
    cadence = cron("0 * L 11 *", "Antarctica/Rothera")
    latest = cadence.latest_until(
        datetime(1977, 6, 1, tzinfo=UTC), after=datetime(1970, 1, 1, tzinfo=UTC)
    )
    assert latest == datetime(1976, 12, 1, 2, tzinfo=UTC)


def test_the_second_pass_of_a_fold_is_over_for_a_fixed_hour() -> None:
    cadence = cron("*/20 2,3 * * *", "Europe/Berlin")
    second_pass = datetime(2026, 10, 25, 1, 10, tzinfo=UTC)
    assert cadence.next_after(second_pass) == datetime(2026, 10, 25, 2, tzinfo=UTC)
    assert cadence.latest_until(second_pass, after=datetime(2026, 8, 1, tzinfo=UTC)) == datetime(
        2026, 10, 25, 0, 40, tzinfo=UTC
    )
