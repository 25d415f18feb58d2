"""Rules of all kinds, around changes of the clock and holidays, for tests of their properties."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from hypothesis import strategies as st

from automagik.core.scheduler.holidays import OnHoliday
from automagik.core.scheduler.rule import Rule, load_rule
from automagik.core.scheduler.rule_text import CadenceText, RuleLimits, RuleText

DAY = timedelta(days=1)
AROUND = 25 * DAY
"""What lies so far outside may still move into what is looked at."""

ZONES = ["UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Africa/Cairo"]
STARTS = [
    datetime(2026, 3, 26, 22, 17, tzinfo=UTC),
    datetime(2026, 10, 22, 9, 41, tzinfo=UTC),
    datetime(2026, 12, 22, 3, 5, tzinfo=UTC),
    datetime(2026, 3, 6, 14, 30, tzinfo=UTC),
    datetime(2026, 10, 30, 12, 0, tzinfo=UTC),
    datetime(2026, 4, 2, 12, 0, tzinfo=UTC),
]
LENGTH = 9 * DAY

CADENCES = [
    CadenceText(type="interval", expr="7h"),
    CadenceText(type="interval", expr="95m"),
    CadenceText(type="cron", expr="30 2 * * *"),
    CadenceText(type="cron", expr="0 9 * * 1-5"),
    CadenceText(type="cron", expr="*/25 * * * *"),
    CadenceText(type="cron", expr="15 0,1,2,3,23 * * *"),
    CadenceText(type="cron", expr="0 12 * * FRI-SUN"),
    CadenceText(type="oneshot", expr="2026-12-25T09:00"),
]

Wall = Callable[[datetime], bool]
EXCLUSIONS: dict[str, Wall] = {
    "* 12-13 * * *": lambda wall: wall.hour in (12, 13),
    "30 2 * * *": lambda wall: (wall.hour, wall.minute) == (2, 30),
    "*/2 * * * SUN": lambda wall: wall.minute % 2 == 0 and wall.weekday() == 6,
    "15,30-59 1-2 * * *": lambda wall: (
        wall.hour in (1, 2) and (wall.minute == 15 or wall.minute >= 30)
    ),
    "* * * * SAT": lambda wall: wall.weekday() == 5,
    "2026-12-24": lambda wall: wall.date() == date(2026, 12, 24),
    "2026-03-29": lambda wall: wall.date() == date(2026, 3, 29),
    "2026-10-24..2026-10-25": lambda wall: date(2026, 10, 24) <= wall.date() <= date(2026, 10, 25),
}
QUIET: dict[str, Wall] = {
    "22:00-06:00": lambda wall: wall.hour >= 22 or wall.hour < 6,
    "02:15-02:45": lambda wall: wall.hour == 2 and 15 <= wall.minute < 45,
    "12:00-24:00": lambda wall: wall.hour >= 12,
}
HOLIDAYS = [
    date(2026, 3, 27),
    date(2026, 3, 30),
    date(2026, 4, 3),
    date(2026, 4, 6),
    date(2026, 10, 23),
    date(2026, 10, 26),
    date(2026, 11, 2),
    date(2026, 12, 24),
    date(2026, 12, 25),
    date(2026, 12, 26),
]


@dataclass(frozen=True, kw_only=True, slots=True)
class Case:
    """A rule, and the stretch (start, end] that is looked at."""

    text: RuleText
    days: frozenset[date]
    start: datetime

    @property
    def end(self) -> datetime:
        return self.start + LENGTH

    @property
    def anchor(self) -> datetime:
        return self.start - AROUND

    @property
    def rule(self) -> Rule:
        return load_rule(self.text, anchor=self.anchor, name="", days=lambda _: self.days)


@st.composite
def cases(draw: st.DrawFn) -> Case:
    start = draw(st.sampled_from(STARTS))
    bounds = st.none() | st.integers(0, 9).map(lambda days: start + days * DAY)
    starts_at, ends_at = draw(bounds), draw(bounds)
    days = draw(st.none() | st.frozensets(st.sampled_from(HOLIDAYS), min_size=1))
    return Case(
        start=start,
        days=days or frozenset(),
        text=RuleText(
            cadences=tuple(draw(st.lists(st.sampled_from(CADENCES), min_size=1, max_size=3))),
            timezone=draw(st.sampled_from(ZONES)),
            limits=RuleLimits(
                exclusions=tuple(draw(st.lists(st.sampled_from(list(EXCLUSIONS)), max_size=3))),
                quiet_hours=draw(st.none() | st.sampled_from(list(QUIET))),
                calendar=None if days is None else "de",
                on_holiday=draw(st.sampled_from(OnHoliday)),
                starts_at=starts_at,
                ends_at=ends_at,
            ),
        ),
    )
