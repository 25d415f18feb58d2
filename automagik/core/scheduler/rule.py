"""The rule of a schedule: all that says when, as one cadence. Pure.

A rule occurs when any of its cadences does, unless something leaves that instant out. An occurrence
on a holiday may move to a business day, at the same time of day. What leaves out instants counts
for both ends of a move: neither what is excluded moves away, nor does anything move to where
nothing occurs. Two occurrences that come to lie on one instant are one.
"""

from bisect import bisect_right
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import date, datetime, time, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

from automagik.core.scheduler.cadence import Cadence, load_cadence
from automagik.core.scheduler.closure import Closed, Closure, Reason, Window
from automagik.core.scheduler.exclusions import parse_exclusion
from automagik.core.scheduler.holidays import Holidays
from automagik.core.scheduler.quiet_hours import parse_quiet_hours
from automagik.core.scheduler.rule_text import RuleLimits, RuleText, StoredRow
from automagik.core.scheduler.rule_words import in_words
from automagik.core.scheduler.schedule_type import ScheduleType
from automagik.core.scheduler.zones import (
    LONGEST_JUMP,
    first_instant,
    steady_from,
    wall_at,
    zone_named,
)

DaysOf = Callable[[str], frozenset[date]]
"""The holidays of a calendar, by its name."""

_MOST_LEAPS = 5_000
_FURTHEST = timedelta(days=36_525)
"""So many stretches in which nothing occurs, and so much time, are passed over in search of an
occurrence; then there is none."""
_MOST_LEFT_OUT = 1_000
_TINY = timedelta.resolution
_DAY = timedelta(days=1)


@dataclass(frozen=True, kw_only=True, slots=True)
class LeftOut:
    """Instants of the cadences in a row, without an occurrence between them, that do not occur."""

    first_at: datetime
    last_at: datetime
    reason: Reason


@dataclass(frozen=True, kw_only=True, slots=True)
class Rule:
    """A cadence made of cadences."""

    cadences: tuple[Cadence, ...]
    closures: tuple[Closure, ...] = ()
    """What leaves out instants, but for the holidays."""
    holidays: Holidays | None = None

    @property
    def type(self) -> ScheduleType:
        return self.cadences[0].type

    @property
    def expr(self) -> str:
        return self.cadences[0].expr

    def next_after(self, instant: datetime) -> datetime | None:
        kept = self._kept_after(instant)
        if self.holidays is None or not self.holidays.moves:
            return kept
        return _first(kept, self._moved_after(instant, self.holidays, limit=kept))

    def latest_until(self, instant: datetime, *, after: datetime) -> datetime | None:
        kept = self._kept_until(instant, after=after)
        if self.holidays is None or not self.holidays.moves:
            return kept
        return _last(kept, self._moved_until(instant, self.holidays, after=kept or after))

    def left_out(self, after: datetime, until: datetime) -> list[LeftOut]:
        """What the cadences say in (after, until] and the rule does not, within 1000 looks.

        What moves to a business day does not occur on its holiday either.
        """
        found: list[LeftOut] = []
        reached: datetime | None = None
        for _ in range(_MOST_LEFT_OUT):
            nominal = self._nominal_after(after)
            if nominal is None or nominal > until:
                break
            closed, after = self.closed_at(nominal), nominal
            if closed is None:
                reached = None
                continue
            end = until if closed.until is None else min(closed.until - _TINY, until)
            after = self._nominal_until(end, after=nominal - _TINY) or nominal
            left = LeftOut(first_at=nominal, last_at=after, reason=closed.reason)
            if found and found[-1].reason is left.reason and _touch(reached, closed.since):
                left = replace(left, first_at=found.pop().first_at)
            found.append(left)
            reached = closed.until
        return found

    def describe(self) -> str:
        return in_words(self.cadences, self.closures, self.holidays)

    def _kept_after(self, instant: datetime) -> datetime | None:
        """What stays where the cadences say."""
        end = instant + _FURTHEST
        for _ in range(_MOST_LEAPS):
            nominal = self._nominal_after(instant)
            closed = None if nominal is None else self.closed_at(nominal)
            if closed is None:
                return nominal
            if closed.until is None or closed.until > end:
                return None
            instant = closed.until - _TINY
        return None

    def _kept_until(self, instant: datetime, *, after: datetime) -> datetime | None:
        for _ in range(_MOST_LEAPS):
            nominal = self._nominal_until(instant, after=after)
            closed = None if nominal is None else self.closed_at(nominal)
            if closed is None:
                return nominal
            if closed.since is None or closed.since <= after:
                return None
            instant = closed.since - _TINY
        return None

    def _nominal_after(self, instant: datetime) -> datetime | None:
        if len(self.cadences) == 1:
            return self.cadences[0].next_after(instant)
        return _first(*(cadence.next_after(instant) for cadence in self.cadences))

    def _nominal_until(self, instant: datetime, *, after: datetime) -> datetime | None:
        return _last(*(each.latest_until(instant, after=after) for each in self.cadences))

    def closed_at(self, instant: datetime) -> Closed | None:
        closed = self.closed_apart_from_holidays(instant)
        if closed is None and self.holidays is not None:
            closed = self.holidays.around(instant)
        return closed

    def closed_apart_from_holidays(self, instant: datetime) -> Closed | None:
        for closure in self.closures:
            closed = closure.around(instant)
            if closed is not None:
                return closed
        return None

    def _moved_after(
        self, instant: datetime, holidays: Holidays, *, limit: datetime | None
    ) -> datetime | None:
        """The first that moved and comes before the limit."""
        begin = wall_at(instant, holidays.zone).date() - _DAY
        for target, sources in holidays.business_days_from(begin):
            if limit is not None and first_instant(_midnight(target), holidays.zone) >= limit:
                return None
            landings = _landings(self, holidays, target, sources)
            place = bisect_right(landings, instant)
            if place < len(landings):
                return landings[place]
        return None

    def _moved_until(
        self, instant: datetime, holidays: Holidays, *, after: datetime
    ) -> datetime | None:
        begin = wall_at(instant, holidays.zone).date() + _DAY
        for target, sources in holidays.business_days_until(begin):
            # A clock that is set back may show a day again.
            end = first_instant(_midnight(target + _DAY), holidays.zone) + LONGEST_JUMP
            if end <= after:
                return None
            landings = _landings(self, holidays, target, sources)
            place = bisect_right(landings, instant)
            if place and landings[place - 1] > after:
                return landings[place - 1]
        return None

    def nominals_on(self, day: date, holidays: Holidays) -> Iterator[datetime]:
        """The instants of the cadences on a day."""
        end = first_instant(_midnight(day + _DAY), holidays.zone)
        if steady_from(end, holidays.zone).ends_in_change:
            end += 2 * LONGEST_JUMP
        nominal = self._nominal_after(first_instant(_midnight(day), holidays.zone) - _TINY)
        while nominal is not None and nominal < end:
            if wall_at(nominal, holidays.zone).date() == day:
                yield nominal
            nominal = self._nominal_after(nominal)


def rule_of(row: StoredRow, days: DaysOf) -> Rule:
    """What is stored of a schedule. Raises InvalidCadence."""
    return load_rule(RuleText.of_row(row), anchor=row["anchor_at"], name=row["name"], days=days)


def load_rule(text: RuleText, *, anchor: datetime, name: str, days: DaysOf) -> Rule:
    """What is stored, so what it says may be past. Raises InvalidCadence."""
    cadences = tuple(
        load_cadence(
            each.type, each.expr, timezone=text.timezone, anchor=anchor, name=name, dst=text.dst
        )
        for each in text.cadences
    )
    return _limited(text, cadences, name=name, days=days)


def _limited(text: RuleText, cadences: tuple[Cadence, ...], *, name: str, days: DaysOf) -> Rule:
    zone, limits = zone_named(text.timezone), text.limits
    closures: list[Closure] = []
    if limits.starts_at is not None or limits.ends_at is not None:
        # First: outside the window a search ends at once.
        closures.append(Window(starts_at=limits.starts_at, ends_at=limits.ends_at, zone=zone))
    closures += (
        parse_exclusion(each, timezone=text.timezone, name=name) for each in limits.exclusions
    )
    if limits.quiet_hours is not None:
        closures.append(parse_quiet_hours(limits.quiet_hours, zone=zone))
    return Rule(cadences=cadences, closures=tuple(closures), holidays=_holidays(limits, zone, days))


def _holidays(limits: RuleLimits, zone: ZoneInfo, days: DaysOf) -> Holidays | None:
    if limits.calendar is None:
        return None
    return Holidays(
        calendar=limits.calendar,
        days=days(limits.calendar),
        on_holiday=limits.on_holiday,
        zone=zone,
    )


@lru_cache(maxsize=128)
def _landings(
    rule: Rule, holidays: Holidays, target: date, sources: tuple[date, ...]
) -> list[datetime]:
    """When that which moves to a business day occurs there."""
    walls = {
        datetime.combine(target, wall_at(nominal, holidays.zone).time())
        for source in sources
        for nominal in rule.nominals_on(source, holidays)
        if rule.closed_apart_from_holidays(nominal) is None
    }
    landings = {first_instant(wall, holidays.zone) for wall in walls}
    return sorted(at for at in landings if rule.closed_apart_from_holidays(at) is None)


def _touch(reached: datetime | None, since: datetime | None) -> bool:
    return reached is not None and since is not None and since <= reached


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time())


def _first(*instants: datetime | None) -> datetime | None:
    return min((each for each in instants if each is not None), default=None)


def _last(*instants: datetime | None) -> datetime | None:
    return max((each for each in instants if each is not None), default=None)
