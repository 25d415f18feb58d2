"""A rule is the union of its cadences less what is left out, against a model that lists instants.

The model looks at each instant by itself and knows no stretches, no searches and no leaps.
"""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from hypothesis import given, settings

from automagik.core.scheduler.cadence import Cadence, load_cadence
from automagik.core.scheduler.holidays import OnHoliday
from automagik.core.scheduler.rule import LeftOut
from tests.core.scheduler.rule_cases import AROUND, DAY, EXCLUSIONS, QUIET, Case, cases

MINUTE = timedelta(minutes=1)
TINY = timedelta.resolution


class Model:
    """Every instant of the cadences, and what becomes of it."""

    def __init__(self, case: Case) -> None:
        self.case = case
        self.zone = ZoneInfo(case.text.timezone)
        self.kept: set[datetime] = set()
        self.left_out: dict[datetime, set[str]] = {}
        for each in case.text.cadences:
            cadence = load_cadence(
                each.type, each.expr, timezone=case.text.timezone, anchor=case.anchor
            )
            for instant in between(cadence, case.start - AROUND, case.end + AROUND):
                self.look_at(instant)

    def look_at(self, instant: datetime) -> None:
        reasons, wall = self.closed(instant), self.wall(instant)
        if wall.date() in self.case.days:
            landing = self.landing(wall)
            if landing and not reasons and not self.closed(landing):
                self.kept.add(landing)
            reasons.add("holiday")
        if reasons:
            self.left_out[instant] = reasons
        else:
            self.kept.add(instant)

    def closed(self, instant: datetime) -> set[str]:
        """All that leaves it out, but for holidays."""
        limits, wall = self.case.text.limits, self.wall(instant)
        is_early = limits.starts_at is not None and instant < limits.starts_at
        is_late = limits.ends_at is not None and instant >= limits.ends_at
        reasons = {
            "window": is_early or is_late,
            "excluded": any(EXCLUSIONS[each](wall) for each in limits.exclusions),
            "quiet-hours": limits.quiet_hours is not None and QUIET[limits.quiet_hours](wall),
        }
        return {reason for reason, holds in reasons.items() if holds}

    def landing(self, wall: datetime) -> datetime | None:
        """When clocks first show that time, or a later one, on the business day."""
        step = {
            OnHoliday.SKIP: 0,
            OnHoliday.NEXT_BUSINESS_DAY: 1,
            OnHoliday.PREVIOUS_BUSINESS_DAY: -1,
        }[self.case.text.limits.on_holiday]
        if not step:
            return None
        target = wall + step * DAY
        while target.weekday() >= 5 or target.date() in self.case.days:
            target += step * DAY
        instant = target.replace(tzinfo=UTC) - 15 * 60 * MINUTE
        while self.wall(instant) < target:
            instant += MINUTE
        return instant

    def wall(self, instant: datetime) -> datetime:
        return instant.astimezone(self.zone).replace(tzinfo=None, fold=0)

    def occurrences(self) -> list[datetime]:
        return sorted(at for at in self.kept if self.case.start < at <= self.case.end)


def between(cadence: Cadence, after: datetime, until: datetime) -> Iterator[datetime]:
    while (found := cadence.next_after(after)) is not None and found <= until:
        yield found
        after = found


def backwards(cadence: Cadence, after: datetime, until: datetime) -> Iterator[datetime]:
    while (found := cadence.latest_until(until, after=after)) is not None:
        yield found
        until = found - TINY


def reasons_of(ranges: list[LeftOut], instant: datetime) -> list[str]:
    return [each.reason for each in ranges if each.first_at <= instant <= each.last_at]


@given(cases())
@settings(max_examples=150, deadline=None)
def test_it_occurs_when_the_model_says(case: Case) -> None:
    expected = Model(case).occurrences()

    assert list(between(case.rule, case.start, case.end)) == expected
    assert list(backwards(case.rule, case.start, case.end)) == expected[::-1]


@given(cases())
@settings(max_examples=100, deadline=None)
def test_each_instant_that_does_not_occur_is_told_with_its_reason(case: Case) -> None:
    model = Model(case)
    ranges = case.rule.left_out(case.start, case.end)
    gone = {at: why for at, why in model.left_out.items() if case.start < at <= case.end}

    for instant, reasons in gone.items():
        [told] = reasons_of(ranges, instant)
        assert told in reasons, instant
    assert [at for at in model.occurrences() if reasons_of(ranges, at)] == []
    assert all(each.first_at in gone and each.last_at in gone for each in ranges)
