"""What is going to start on some days, against a count of each single occurrence."""

from collections import Counter
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from hypothesis import given, settings
from hypothesis import strategies as st
from icalendar import Calendar

from automagik.core.database.base import new_id
from automagik.core.scheduler.agenda import OFTEN, Agenda, Entry, agenda
from automagik.core.scheduler.agenda_ics import ics_text
from automagik.core.scheduler.cadence import occurrences
from automagik.core.scheduler.policies import Policies
from automagik.core.scheduler.rule import Rule, load_rule
from automagik.core.scheduler.rule_text import CadenceText, RuleLimits, RuleText
from tests.core.scheduler.rule_cases import LENGTH, ZONES, Case, cases

BERLIN = ZoneInfo("Europe/Berlin")
NOW = datetime(2030, 11, 30, 12, tzinfo=UTC)
DAYS = [date(2030, 11, 30) + timedelta(days=each) for each in range(8)]


def rule(expr: str, *, type_: str = "cron", **limits: Any) -> Rule:
    cadences = (CadenceText(type=type_, expr=expr),)
    text = RuleText(cadences=cadences, timezone="Europe/Berlin", limits=RuleLimits(**limits))
    return load_rule(text, anchor=NOW, name="", days=lambda _: frozenset())


def entry(expr: str = "0 9 * * *", name: str = "a", **more: Any) -> Entry:
    type_ = "interval" if expr[-1] in "smhd" else "cron"
    plain = Entry(
        schedule_id=new_id(),
        name=name,
        flow="Echo",
        source="demo",
        rule=rule(expr, type_=type_),
        policies=Policies(),
        left=None,
    )
    return replace(plain, **more)


def ahead(*entries: Entry, places: int = 8) -> Agenda:
    return agenda(entries, days=DAYS, zone=BERLIN, now=NOW, places={"demo": places})


@settings(max_examples=60, deadline=None)
@given(
    case=cases(),
    zone=st.sampled_from(ZONES).map(ZoneInfo),
    policies=st.sampled_from(
        [Policies(), Policies(spread=timedelta(hours=30)), Policies(jitter=timedelta(hours=2))]
    ),
    left=st.none() | st.integers(0, 30),
)
def test_each_day_has_the_starts_that_counting_them_all_finds(
    case: Case, zone: ZoneInfo, policies: Policies, left: int | None
) -> None:
    planned = entry(rule=case.rule, policies=policies, left=left)
    first = case.start.astimezone(zone).date()
    days = [first + timedelta(days=each) for each in range(LENGTH.days)]

    found = agenda([planned], days=days, zone=zone, now=case.start, places={})

    expected: Counter[date] = Counter()
    for count, at in enumerate(occurrences(case.rule, case.start - timedelta(hours=32))):
        if at > case.end + timedelta(days=2):
            break
        start = at + policies.delay(planned.schedule_id, at)
        if start >= case.start and (left is None or at <= _last(case.rule, case.start, left)):
            expected[start.astimezone(zone).date()] += 1
        assert count < 10_000
    told = Counter[date]()
    for line in found.lines:
        told[line.day] += line.runs
        assert not line.is_least
    assert {day: told[day] for day in days} == {day: expected[day] for day in days}


def _last(rule: Rule, now: datetime, left: int) -> datetime:
    last = now
    for _ in range(left):
        last = rule.next_after(last) or last
    return last


def test_what_runs_every_second_is_counted_and_not_walked_through() -> None:
    lines = ahead(entry("1s")).on(DAYS[1])

    assert [(line.runs, line.is_least, line.is_often) for line in lines] == [(86_400, False, True)]


def test_of_a_rule_that_takes_too_long_the_least_number_is_told() -> None:
    [line] = ahead(entry("* * * * * *")).on(DAYS[1])

    assert line.is_least
    assert OFTEN < line.runs < 86_400


def test_a_minute_in_which_several_start_is_a_collision_and_the_worst_is_first() -> None:
    found = ahead(
        entry("0 9 * * *", "a"),
        entry("0 9 * * *", "b"),
        entry("0 9 2 12 *", "c"),
        entry("* * * * *", "always"),
        places=2,
    )

    assert [(each.schedules, each.crowded) for each in found.collisions][:2] == [
        (("a", "b", "c"), ("demo",)),
        (("a", "b"), ()),
    ]
    assert found.collisions[0].at == datetime(2030, 12, 2, 8, tzinfo=UTC)
    assert len(found.collisions) == 7


def test_an_event_keeps_its_uid_and_is_read_again() -> None:
    found = ahead(entry("0 9 * * *", "däily; x,y"), entry("5m", "often"))
    text = ics_text(found, now=NOW)
    events: list[Any] = [*Calendar.from_ical(text).walk("VEVENT")]

    assert len(events) == len(found.lines) == 7 + 8
    assert len({str(event["UID"]) for event in events}) == len(events)
    single = next(event for event in events if event["SUMMARY"] == "däily; x,y")
    assert single["DTSTART"].dt == datetime(2030, 12, 1, 8, tzinfo=UTC)
    full = next(event for event in events if event["DTSTART"].dt == DAYS[1])
    assert (str(full["SUMMARY"]), full["DTEND"].dt) == ("often: 288 runs", DAYS[2])
    later = ics_text(found, now=NOW + timedelta(days=1))
    again = Calendar.from_ical(later).walk("VEVENT")
    assert [event["UID"] for event in again] == [event["UID"] for event in events]
