"""Properties of cron over all zones of the tz database, against an oracle that walks real time.

CADENCE_EXAMPLES=2000 in the environment tries more examples.

The oracle knows nothing of gaps and folds: it looks at the wall clock at each tick of UTC and notes
what is shown for the first time.
"""

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import cache
from itertools import pairwise
from zoneinfo import ZoneInfo, available_timezones

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from automagik.core.scheduler.cadence import Cadence, load_cadence, upcoming
from automagik.core.scheduler.dst import Dst, Fold, Gap

ZONES = sorted(available_timezones() - {"Factory", "localtime", "posixrules"})
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
SECOND = timedelta(seconds=1)
MINUTE = timedelta(minutes=1)
EXAMPLES = int(os.environ.get("CADENCE_EXAMPLES", "120"))
CHOICES = [Dst(gap=gap, fold=fold) for gap in Gap for fold in Fold]

Values = dict[str, Callable[[int], bool]]

SECONDS: Values = {
    "0": lambda second: second == 0,
    "*": lambda _: True,
    "*/20": lambda second: second % 20 == 0,
    "59": lambda second: second == 59,
}
MINUTES: Values = {
    "*": lambda _: True,
    "*/15": lambda minute: minute % 15 == 0,
    "7": lambda minute: minute == 7,
    "0,30": lambda minute: minute in (0, 30),
    "50-59/9": lambda minute: minute in (50, 59),
}
HOURS: Values = {
    "*": lambda _: True,
    "*/2": lambda hour: hour % 2 == 0,
    "*/7": lambda hour: hour in (0, 7, 14, 21),
    "0": lambda hour: hour == 0,
    "2": lambda hour: hour == 2,
    "23": lambda hour: hour == 23,
    "1-3": lambda hour: 1 <= hour <= 3,
    "22-1": lambda hour: hour >= 22 or hour <= 1,
    "0-23": lambda _: True,
}
DAYS: dict[str, Callable[[date], bool]] = {
    "*": lambda _: True,
    "*/2": lambda day: day.day % 2 == 1,
    "1-9,25-L": lambda day: day.day < 10 or day.day >= 25,
    "L": lambda day: (day + timedelta(days=1)).day == 1,
}
WEEKDAYS: dict[str, Callable[[date], bool]] = {
    "*": lambda _: True,
    "FRI-SUN": lambda day: day.weekday() >= 4,
    "7L": lambda day: day.weekday() == 6 and (day + timedelta(days=7)).month != day.month,
    "0#1,6#5": lambda day: (day.weekday(), (day.day - 1) // 7) in ((6, 0), (5, 4)),
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Rule:
    second: str
    minute: str
    hour: str
    day: str
    weekday: str
    dst: Dst = CHOICES[0]

    @property
    def text(self) -> str:
        return f"{self.second} {self.minute} {self.hour} {self.day} * {self.weekday}"

    def cadence(self, zone: ZoneInfo) -> Cadence:
        return load_cadence("cron", self.text, timezone=zone.key, anchor=EPOCH, dst=self.dst)

    def matches(self, wall: datetime) -> bool:
        return (
            SECONDS[self.second](wall.second)
            and MINUTES[self.minute](wall.minute)
            and HOURS[self.hour](wall.hour)
            and self._has_day(wall.date())
        )

    def _has_day(self, day: date) -> bool:
        found = DAYS[self.day](day), WEEKDAYS[self.weekday](day)
        return all(found) if "*" in self.day + self.weekday else any(found)


@dataclass(frozen=True, kw_only=True, slots=True)
class Span:
    """Ticks [start, end) around a change of offset, if the zone had one in that year."""

    zone: ZoneInfo
    change: datetime
    start: datetime
    end: datetime
    tick: timedelta

    @classmethod
    def around(cls, change: datetime, *, zone: ZoneInfo) -> "Span":
        margin = timedelta(minutes=75)
        return cls(
            zone=zone, change=change, start=change - margin, end=change + margin, tick=MINUTE
        )

    def walls(self) -> Iterator[tuple[datetime, datetime]]:
        instant = self.start
        while instant < self.end:
            yield instant, instant.astimezone(self.zone).replace(tzinfo=None)
            instant += self.tick


def walk(rule: Rule, span: Span) -> list[datetime]:
    """The oracle."""
    if rule.hour.startswith("*"):
        return [instant for instant, wall in span.walls() if rule.matches(wall)]
    found = []
    shown = span.start.astimezone(span.zone).replace(tzinfo=None) - span.tick
    for instant, wall in span.walls():
        left_out = [shown + span.tick * n for n in range(1, (wall - shown) // span.tick)]
        counts = wall > shown or rule.dst.fold is Fold.BOTH
        moved = rule.dst.gap is Gap.NEXT and any(map(rule.matches, left_out))
        if (counts and rule.matches(wall)) or moved:
            found.append(instant)
        shown = max(shown, wall)
    return found


@cache
def changes(zone: ZoneInfo, year: int) -> list[datetime]:
    """The changes of offset in a year, found by looking every six hours and then closer."""
    probes = [datetime(year, 1, 1, tzinfo=UTC) + timedelta(hours=6 * n) for n in range(1464)]
    shifts = [shift(probe, zone) for probe in probes]
    return [
        change_between(low, high, zone=zone)
        for (low, high), (before, after) in zip(pairwise(probes), pairwise(shifts), strict=True)
        if before != after
    ]


def change_between(low: datetime, high: datetime, *, zone: ZoneInfo) -> datetime:
    before = shift(low, zone)
    while high - low > SECOND:
        middle = low + (high - low) // SECOND // 2 * SECOND
        if shift(middle, zone) == before:
            low = middle
        else:
            high = middle
    return high


def shift(instant: datetime, zone: ZoneInfo) -> timedelta | None:
    return instant.astimezone(zone).utcoffset()


@st.composite
def spans(draw: st.DrawFn) -> Span:
    """Days by the minute, or hours by the second where offsets may have seconds: before 1973."""
    zone = ZoneInfo(draw(st.sampled_from(ZONES)))
    by_minute = draw(st.booleans())
    year = draw(st.integers(1973, 2037) if by_minute else st.integers(1883, 1972))
    before, after = (
        (timedelta(hours=30), timedelta(hours=54))
        if by_minute
        else (timedelta(minutes=70), timedelta(minutes=100))
    )
    fallback = datetime(year, 3, 30, 12, tzinfo=UTC)
    change = draw(st.sampled_from(changes(zone, year) or [fallback]))
    tick = MINUTE if by_minute else SECOND
    return Span(zone=zone, change=change, start=change - before, end=change + after, tick=tick)


@st.composite
def rules(draw: st.DrawFn, *, tick: timedelta) -> Rule:
    return Rule(
        second="0" if tick == MINUTE else draw(st.sampled_from(sorted(SECONDS))),
        minute=draw(st.sampled_from(sorted(MINUTES))),
        hour=draw(st.sampled_from(sorted(HOURS))),
        day=draw(st.sampled_from(sorted(DAYS))),
        weekday=draw(st.sampled_from(sorted(WEEKDAYS))),
        dst=draw(st.sampled_from(CHOICES)),
    )


def occurrences(cadence: Cadence, span: Span) -> list[datetime]:
    found = []
    instant = cadence.next_after(span.start - SECOND)
    while instant is not None and instant < span.end:
        found.append(instant)
        instant = cadence.next_after(instant)
    return found


@settings(deadline=None, max_examples=EXAMPLES)
@given(data=st.data(), span=spans())
def test_occurrences_are_those_of_a_walk_through_real_time(data: st.DataObject, span: Span) -> None:
    rule = data.draw(rules(tick=span.tick))
    assert occurrences(rule.cadence(span.zone), span) == walk(rule, span)


@settings(deadline=None, max_examples=EXAMPLES)
@given(data=st.data(), span=spans())
def test_any_instant_gives_the_same_occurrences(data: st.DataObject, span: Span) -> None:
    """Restart-proof forwards; backwards the newest one is what an iteration would have found."""
    rule = data.draw(rules(tick=span.tick))
    cadence = rule.cadence(span.zone)
    expected = occurrences(cadence, span)
    near = st.timedeltas(-timedelta(minutes=65), timedelta(minutes=65)).map(span.change.__add__)
    anywhere = st.timedeltas(timedelta(0), span.end - span.start).map(span.start.__add__)
    for instant in data.draw(st.lists(near | anywhere, min_size=8, max_size=8)):
        later = [one for one in expected if one > instant]
        earlier = [one for one in expected if one <= instant]
        coming = cadence.next_after(instant)
        latest = cadence.latest_until(instant, after=span.start - SECOND)
        assert (coming == later[0]) if later else (coming is None or coming >= span.end)
        assert latest == (earlier[-1] if earlier else None)


@settings(deadline=None, max_examples=EXAMPLES)
@given(
    data=st.data(),
    zone=st.sampled_from(ZONES),
    start=st.integers(-90 * 365, 130 * 365).map(lambda days: EPOCH + timedelta(days=days)),
)
def test_occurrences_rise_strictly_and_are_found_backwards(
    data: st.DataObject, zone: str, start: datetime
) -> None:
    """Years at once, where the search jumps from one date to a far one."""
    cadence = data.draw(rules(tick=SECOND)).cadence(ZoneInfo(zone))
    found = upcoming(cadence, after=start, count=20)
    assert all(earlier < later for earlier, later in pairwise([start, *found]))
    for earlier, later in pairwise([start, *found]):
        assert cadence.latest_until(later, after=earlier) == later
        assert cadence.latest_until(later - SECOND / 2, after=earlier) is None


@pytest.mark.timeout(1200)
def test_every_zone_keeps_the_contract_at_its_changes(*, full_size: bool) -> None:
    years = range(2026, 2036) if full_size else (2011,)
    elapsed = Rule(second="0", minute="*/15", hour="*", day="*", weekday="*")
    wall_clock = [
        Rule(second="0", minute="*/15", hour="0-23", day="*", weekday="*", dst=dst)
        for dst in CHOICES
    ]
    wrong = [
        (zone, change, rule.text, rule.dst)
        for zone in map(ZoneInfo, ZONES)
        for year in years
        for change in changes(zone, year)
        for rule in (elapsed, *wall_clock)
        for span in [Span.around(change, zone=zone)]
        if occurrences(rule.cadence(zone), span) != walk(rule, span)
    ]
    assert wrong == []


@pytest.mark.parametrize("dst", CHOICES, ids=str)
def test_a_rule_that_only_names_a_gap(dst: Dst) -> None:
    """Clocks in Berlin go from 02:00 to 03:00 on the last Sunday of March, for ever."""
    cadence = load_cadence("cron", "30 2 * 3 SUNL", timezone="Europe/Berlin", anchor=EPOCH, dst=dst)
    moved = datetime(2026, 3, 29, 1, tzinfo=UTC)
    expected = moved if dst.gap is Gap.NEXT else None
    assert cadence.next_after(datetime(2026, 1, 1, tzinfo=UTC)) == expected
    now = datetime(2026, 5, 1, tzinfo=UTC)
    assert cadence.latest_until(now, after=datetime(2000, 1, 1, tzinfo=UTC)) == expected
