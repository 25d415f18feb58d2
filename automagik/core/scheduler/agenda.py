"""What schedules are going to start on some days, and where starts come together. Pure.

What starts oftener than 24 times on a day is one line of that day, with its number. A collision is
a minute in which two or more of the others start.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from itertools import islice, takewhile
from uuid import UUID
from zoneinfo import ZoneInfo

from automagik.core.scheduler.cadence import occurrences
from automagik.core.scheduler.interval import Interval
from automagik.core.scheduler.policies import Policies
from automagik.core.scheduler.rule import Rule
from automagik.core.scheduler.zones import first_instant

OFTEN = 24
_MOST_A_DAY = 1_500
_MOST = 300_000
"""So many starts are looked at, fairly shared; of what goes on the number is the least there is."""
_MOST_LEFT = 10_000
_DAY = timedelta(days=1)
_TINY = timedelta.resolution


@dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    """A schedule that is active."""

    schedule_id: UUID
    name: str
    flow: str
    source: str
    rule: Rule
    policies: Policies
    left: int | None
    """How many more tasks it may make."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Line:
    """One start, or all of a schedule on a day."""

    day: date
    at: datetime
    """The start, or the first one."""
    occurrence: datetime
    """Which of the rule it is."""
    entry: Entry
    runs: int
    is_least: bool = False
    """Whether there are more."""

    @property
    def is_often(self) -> bool:
        return self.runs > OFTEN


@dataclass(frozen=True, kw_only=True, slots=True)
class Collision:
    """A minute in which several start."""

    at: datetime
    schedules: tuple[str, ...]
    crowded: tuple[str, ...]
    """The sources that take fewer at a time."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Agenda:
    """By day and time."""

    days: tuple[date, ...]
    lines: tuple[Line, ...]
    collisions: tuple[Collision, ...]
    """The worst first."""

    def on(self, day: date) -> Sequence[Line]:
        return [line for line in self.lines if line.day == day]


def agenda(
    entries: Sequence[Entry],
    *,
    days: Sequence[date],
    zone: ZoneInfo,
    now: datetime,
    places: Mapping[str, int],
) -> Agenda:
    """From now on. `places` are the parallel runs that each source takes."""
    cap = _MOST // max(len(entries) * len(days), 1)
    cap = max(OFTEN + 1, min(_MOST_A_DAY, cap))
    lines = [
        line
        for entry in entries
        for day in days
        for line in _on_day(entry, day, zone=zone, now=now, until=_end(entry, now), cap=cap)
    ]
    lines.sort(key=lambda line: (line.day, not line.is_often, line.at, line.entry.name))
    return Agenda(
        days=tuple(days), lines=tuple(lines), collisions=tuple(_collisions(lines, places))
    )


def _on_day(
    entry: Entry, day: date, *, zone: ZoneInfo, now: datetime, until: datetime | None, cap: int
) -> Iterator[Line]:
    begin, end = (first_instant(datetime.combine(each, time()), zone) for each in (day, day + _DAY))
    begin = max(begin, now)
    if begin >= end:
        return
    counted = _counted(entry, begin, end, until)
    starts = list(islice(_starts(entry, begin, end, until, cap), OFTEN + 1 if counted else cap))
    runs = counted or len(starts)
    if runs > OFTEN:
        at, occurrence = starts[0]
        is_least = counted is None and runs >= cap
        yield Line(day=day, at=at, occurrence=occurrence, entry=entry, runs=runs, is_least=is_least)
        return
    for at, occurrence in starts:
        yield Line(day=day, at=at, occurrence=occurrence, entry=entry, runs=1)


def _starts(
    entry: Entry, begin: datetime, end: datetime, until: datetime | None, cap: int
) -> Iterator[tuple[datetime, datetime]]:
    """With the occurrence that each is of: jitter and spread delay it."""
    longest = sum((d for d in (entry.policies.jitter, entry.policies.spread) if d), timedelta())
    instants = takewhile(
        lambda at: at < end and (until is None or at <= until),
        occurrences(entry.rule, begin - longest - _TINY),
    )
    for occurrence in islice(instants, 2 * cap):
        start = occurrence + entry.policies.delay(entry.schedule_id, occurrence)
        if begin <= start < end:
            yield start, occurrence


def _counted(entry: Entry, begin: datetime, end: datetime, until: datetime | None) -> int | None:
    """The number of starts of a mere interval, however many; None for other rules."""
    rule, policies = entry.rule, entry.policies
    is_mere = len(rule.cadences) == 1 and not rule.closures and rule.holidays is None
    first = rule.cadences[0]
    if not (is_mere and isinstance(first, Interval)) or policies.jitter or policies.spread:
        return None
    last = end - _TINY if until is None else min(end - _TINY, until)
    before, reached = ((at - first.anchor) // first.every for at in (begin - _TINY, last))
    return max(reached, 0) - max(before, 0) if reached > before else 0


def _end(entry: Entry, now: datetime) -> datetime | None:
    """After which it has made as many runs as it may; None: it is not seen."""
    if entry.left is None or entry.left > _MOST_LEFT:
        return None
    last = now
    for last in islice(occurrences(entry.rule, now), max(entry.left, 0)):  # noqa: B007
        pass
    return last


def _collisions(lines: Sequence[Line], places: Mapping[str, int]) -> list[Collision]:
    by_minute: defaultdict[datetime, list[Entry]] = defaultdict(list)
    for line in lines:
        if not line.is_often:
            by_minute[line.at.astimezone(UTC).replace(second=0, microsecond=0)].append(line.entry)
    found = [
        Collision(
            at=minute,
            schedules=tuple(sorted({entry.name for entry in entries})),
            crowded=tuple(_crowded(entries, places)),
        )
        for minute, entries in by_minute.items()
    ]
    several = [each for each in found if len(each.schedules) > 1]
    return sorted(several, key=lambda each: (-len(each.schedules), not each.crowded, each.at))


def _crowded(entries: Sequence[Entry], places: Mapping[str, int]) -> Iterator[str]:
    starts = Counter(entry.source for entry in entries)
    for source, count in sorted(starts.items()):
        if count > places.get(source, count):
            yield source
