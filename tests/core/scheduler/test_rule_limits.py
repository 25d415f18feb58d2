"""What limits a rule: words, searches that end, gaps that are too short, changes of the clock."""

import time
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from automagik.core.scheduler.cadence import upcoming
from automagik.core.scheduler.clock_changes import clock_changes
from automagik.core.scheduler.dst import Fold, Gap
from automagik.core.scheduler.exceptions import InvalidCadence
from automagik.core.scheduler.holidays import OnHoliday
from automagik.core.scheduler.new_rule import new_columns
from automagik.core.scheduler.rule import Rule, load_rule
from automagik.core.scheduler.rule_text import CadenceText, RuleLimits, RuleText

START = datetime(2026, 1, 1, tzinfo=UTC)
YEAR = timedelta(days=366)
CHRISTMAS = frozenset(date(2026, 12, day) for day in (24, 25, 26))


def text_of(*exprs: str, zone: str = "Europe/Berlin", **limits: Any) -> RuleText:
    """Crons, and intervals where there is one word."""
    return RuleText(
        cadences=tuple(
            CadenceText(type="cron" if " " in expr else "interval", expr=expr) for expr in exprs
        ),
        timezone=zone,
        limits=RuleLimits(**limits),
    )


def rule_of(*exprs: str, **limits: Any) -> Rule:
    return load_rule(text_of(*exprs, **limits), anchor=START, name="", days=lambda _: CHRISTMAS)


def test_it_explains_itself_in_words() -> None:
    rule = rule_of(
        "0 9 * * *",
        "6h",
        exclusions=("2026-12-24", "2026-12-27..2027-01-02", "* 12 * * *"),
        calendar="de",
        on_holiday=OnHoliday.NEXT_BUSINESS_DAY,
        quiet_hours="22:00-06:00",
        starts_at=START,
        ends_at=START + YEAR,
    )

    said = rule.describe()
    assert "every 6 hours" in said
    for part in (
        "from 2026-01-01 01:00 until 2027-01-02 01:00",
        "not 2026-12-24, 2026-12-27 to 2027-01-02 or while",
        "on holidays of de on the next business day instead",
        "quiet from 22:00 to 06:00",
    ):
        assert part in said


def test_two_that_move_to_the_same_time_are_one() -> None:
    rule = rule_of("0 9 * * *", calendar="de", on_holiday=OnHoliday.PREVIOUS_BUSINESS_DAY)
    found = upcoming(rule, after=datetime(2026, 12, 22, 12, tzinfo=UTC), count=3)

    # 24th to 26th move to the 23rd, which has one of its own; the 27th, a Sunday, is no holiday.
    assert [at.day for at in found] == [23, 27, 28]


@pytest.mark.parametrize(
    "limits",
    [
        {"exclusions": ("* * * * *",)},
        {"exclusions": ("*/2 * * * *", "1-59/2 * * * *")},
        {"exclusions": ("2025-12-31..8000-01-01",)},
        {"exclusions": ("* 0-11 * * *",), "quiet_hours": "12:00-24:00"},
        {"ends_at": START},
        {"starts_at": START + YEAR, "exclusions": ("* * * * *",)},
    ],
)
def test_a_rule_that_leaves_all_out_never_fires_and_says_so_soon(limits: dict[str, Any]) -> None:
    rule, begun = rule_of("* * * * * *", **limits), time.monotonic()

    assert rule.next_after(START) is None
    assert rule.latest_until(START + YEAR, after=START) is None
    with pytest.raises(InvalidCadence, match="never fires"):
        new_columns(
            text_of("* * * * * *", **limits),
            name="",
            days=lambda _: CHRISTMAS,
            now=START,
            shortest=timedelta(),
        )
    assert time.monotonic() - begun < 20


def test_long_pauses_are_passed_at_a_leap() -> None:
    """Every second, with ten years between."""
    rule = rule_of("* * * * * *", exclusions=("2026-01-02..2035-12-31",))
    before = datetime(2026, 1, 1, 22, 59, 59, tzinfo=UTC)
    after = datetime(2035, 12, 31, 23, tzinfo=UTC)
    begun = time.monotonic()

    assert rule.next_after(before) == after
    assert rule.latest_until(after - timedelta.resolution, after=START) == before
    assert [(each.first_at, each.last_at) for each in rule.left_out(before, after)] == [
        (before + timedelta(seconds=1), after - timedelta(seconds=1))
    ]
    assert time.monotonic() - begun < 20


@pytest.mark.parametrize(
    "exprs, shortest, is_refused",
    [
        (("1s",), 1, False),
        (("30s",), 60, True),
        (("0 * * * *", "1 12 * * *"), 60, False),
        (("0 * * * *", "1 12 * * *"), 61, True),
        (("5m", "0 9 * * *"), 1, False),
        (("0 0 29 2 *",), 86_400, False),
    ],
)
def test_the_real_gaps_between_occurrences_are_checked(
    exprs: tuple[str, ...], shortest: int, *, is_refused: bool
) -> None:
    def make() -> dict[str, Any]:
        return new_columns(
            text_of(*exprs),
            name="",
            days=lambda _: frozenset(),
            now=START + timedelta(microseconds=123_456),
            shortest=timedelta(seconds=shortest),
        )

    if not is_refused:
        assert make()["anchor_at"] == START
        return
    with pytest.raises(InvalidCadence, match="apart") as refusal:
        make()
    assert "AUTOMAGIK_MIN_INTERVAL_SECONDS" in str(refusal.value.hint)


@pytest.mark.parametrize(
    "exprs, limits, said",
    [
        (("30 2 * * *",), {}, ["leave out 02:30: it runs at 03:00 instead", "the first time only"]),
        (
            ("30 2 * * *",),
            {"dst_gap": Gap.SKIP, "dst_fold": Fold.BOTH},
            ["leave out 02:30: it does not run then", "02:30 twice: it runs both times"],
        ),
        (("30 2 * * *",), {"quiet_hours": "02:00-04:00"}, []),
        (("30 * * * *",), {}, []),
        (("30m",), {}, []),
        (("30 9 * * *",), {}, []),
        (("30 2 * * *",), {"zone": "Asia/Tokyo"}, []),
    ],
)
def test_what_changes_of_the_clock_do_to_it_is_said(
    exprs: tuple[str, ...], limits: dict[str, Any], said: list[str]
) -> None:
    found = clock_changes(rule_of(*exprs, **limits), after=START, until=START + YEAR)

    assert len(found) == len(said)
    for hit, words in zip(found, said, strict=True):
        assert words in hit.describe()
        assert "Europe/Berlin" in hit.describe()
