"""Recurrence rules against dateutil, which walks from DTSTART on."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import islice, pairwise

import pytest
from dateutil.rrule import rrulestr
from hypothesis import event, example, given, settings
from hypothesis import strategies as st

from automagik.core.scheduler.cadence import Cadence, load_cadence

SECOND = timedelta(seconds=1)
SPAN = {
    "YEARLY": timedelta(days=15_000),
    "MONTHLY": timedelta(days=4000),
    "WEEKLY": timedelta(days=2000),
    "DAILY": timedelta(days=1000),
    "HOURLY": timedelta(days=60),
    "MINUTELY": timedelta(days=5),
    "SECONDLY": timedelta(hours=3),
}
"""So far both are followed."""


def numbers(low: int, high: int) -> st.SearchStrategy[str]:
    number = st.integers(low, -1) | st.integers(1, high) if low < 0 else st.integers(low, high)
    return st.lists(number, min_size=1, max_size=4).map(lambda found: ",".join(map(str, found)))


def weekdays(*, numbered: int) -> st.SearchStrategy[str]:
    name = st.sampled_from(["MO", "TU", "WE", "TH", "FR", "SA", "SU"])
    number = st.integers(-numbered, numbered).map(lambda n: f"{n:+d}" if n else "")
    return st.lists(st.tuples(number, name).map("".join), min_size=1, max_size=4).map(",".join)


DATE_PARTS = {
    "BYMONTH": numbers(1, 12),
    "BYMONTHDAY": numbers(-31, 31),
    "BYYEARDAY": numbers(-366, 366),
    "BYWEEKNO": numbers(-53, 53),
    "BYDAY": weekdays(numbered=0),
}
TIME_PARTS = {"BYHOUR": numbers(0, 23), "BYMINUTE": numbers(0, 59), "BYSECOND": numbers(0, 59)}
PERIODS = ["YEARLY", "MONTHLY", "WEEKLY", "DAILY"]
starts = st.integers(0, 40 * 365 * 86_400).map(
    lambda seconds: datetime(1999, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds)
)


NAMED = [
    ["BYDAY"],
    ["BYMONTH"],
    ["BYMONTHDAY"],
    ["BYYEARDAY"],
    ["BYWEEKNO"],
    ["BYMONTH", "BYDAY"],
    ["BYMONTH", "BYMONTHDAY"],
    ["BYMONTHDAY", "BYDAY"],
    ["BYWEEKNO", "BYDAY"],
    [],
]


@st.composite
def rules(draw: st.DrawFn) -> str:
    frequency = draw(st.sampled_from(sorted(SPAN)))
    is_period = frequency in PERIODS
    # In hours most dates never come.
    names = draw(st.sampled_from(NAMED if is_period or draw(st.booleans()) else [[]]))
    parts = {"FREQ": frequency} | {name: draw(DATE_PARTS[name]) for name in names}
    if frequency in ("YEARLY", "MONTHLY") and "BYDAY" in parts:
        parts["BYDAY"] = draw(weekdays(numbered=5))
    if draw(st.booleans()):
        parts["INTERVAL"] = str(draw(st.integers(2, 5 if is_period else 70)))
    if draw(st.booleans()):
        parts["WKST"] = draw(st.sampled_from(["SU", "MO", "WE"]))
    if is_period and names and draw(st.booleans()):
        parts["BYSETPOS"] = draw(numbers(-3, 3))
    else:
        # dateutil tries each second of a day for an hour that it rarely meets.
        able = sorted(TIME_PARTS)[: 1 if frequency == "SECONDLY" and names else 3]
        times = draw(st.lists(st.sampled_from(able), max_size=2, unique=True))
        parts |= {name: draw(TIME_PARTS[name]) for name in times}
    return ";".join(f"{name}={value}" for name, value in parts.items())


def ours(cadence: Cadence, *, after: datetime, until: datetime) -> Iterator[datetime]:
    instant = cadence.next_after(after)
    while instant is not None and instant <= until:
        yield instant
        instant = cadence.next_after(instant)


def theirs(text: str, *, until: datetime) -> Iterator[datetime]:
    with pytest.MonkeyPatch.context() as patch:
        # UNTIL is looked at when something matches; a rule that no longer does goes on to this.
        patch.setattr("datetime.MAXYEAR", until.year)
        for found in rrulestr(f"{text};UNTIL={until:%Y%m%dT%H%M%S}"):
            yield found.replace(tzinfo=UTC)


@settings(deadline=None, max_examples=250)
@given(rule=rules(), start=starts)
# A week that DTSTART, a Wednesday, cuts: its days are counted from there on.
@example(rule="FREQ=WEEKLY;BYDAY=MO,WE,FR;BYSETPOS=1", start=datetime(2026, 11, 18, 9, tzinfo=UTC))
def test_both_agree(rule: str, start: datetime) -> None:
    text = f"DTSTART:{start:%Y%m%dT%H%M%S}\nRRULE:{rule}"
    frequency = rule.partition(";")[0].removeprefix("FREQ=")
    until = start + SPAN[frequency]
    cadence = load_cadence("rrule", text, timezone="UTC", anchor=start)
    found = list(islice(ours(cadence, after=start - SECOND, until=until), 40))
    try:
        expected = list(islice(theirs(text, until=until), 40))
    except ValueError:
        # It finds out by itself that some rules by hours, minutes or seconds never match.
        expected = []
    event(f"{frequency} {min(len(found), 3)}")
    assert found == expected
    assert cadence.latest_until(start - SECOND, after=start - timedelta(days=9)) is None
    for earlier, later in pairwise(found):
        assert cadence.latest_until(later, after=earlier) == later
        assert cadence.latest_until(later - SECOND, after=start - SECOND) == earlier
