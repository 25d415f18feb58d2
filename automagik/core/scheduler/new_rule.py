"""What is checked of a rule before it is stored. Pure."""

from dataclasses import replace
from datetime import datetime, timedelta
from itertools import islice, pairwise, takewhile
from typing import Any

from automagik.core.scheduler.cadence import Cadence, occurrences, parse_cadence
from automagik.core.scheduler.exceptions import InvalidCadence
from automagik.core.scheduler.idle_options import refuse_idle
from automagik.core.scheduler.interval import in_words
from automagik.core.scheduler.rule import DaysOf, Rule, load_rule
from automagik.core.scheduler.rule_text import CadenceText, RuleText
from automagik.core.scheduler.zones import whole_second

_OCCURRENCES = 1_000
_WITHIN = timedelta(days=3_660)
"""So many occurrences, and so much time, are looked at for gaps that are too short."""


def new_columns(
    text: RuleText, *, name: str, days: DaysOf, now: datetime, shortest: timedelta | None
) -> dict[str, Any]:
    """Of the table of schedules, for a rule that begins now. Raises InvalidCadence."""
    text, anchor = canonical(text, now=now, name=name), whole_second(now)
    rule = checked_rule(text, anchor=anchor, name=name, days=days, now=now, shortest=shortest)
    return text.columns() | {
        "anchor_at": anchor,
        "counts_from": now,
        "next_run_at": first_occurrence(rule, now=now),
    }


def canonical(text: RuleText, *, now: datetime, name: str) -> RuleText:
    """What a person typed, as it is stored. Raises InvalidCadence."""
    parsed = (
        parse_cadence(each.type, each.expr, timezone=text.timezone, now=now, name=name)
        for each in text.cadences
    )
    cadences = (CadenceText(type=str(each.type), expr=each.expr) for each in parsed)
    return replace(text, cadences=tuple(dict.fromkeys(cadences)))


def checked_rule(
    text: RuleText,
    *,
    anchor: datetime,
    name: str,
    days: DaysOf,
    now: datetime,
    shortest: timedelta | None,
) -> Rule:
    """Raises InvalidCadence, also when two occurrences come closer than the shortest gap.

    None: who asks has seen to that. Raises InvalidInput for a limit that says nothing in it.
    """
    limits = text.limits
    if limits.starts_at and limits.ends_at and limits.ends_at <= limits.starts_at:
        raise InvalidCadence(
            "The end of the schedule is not later than its start.",
            hint="For example: --start 2030-12-01 --end 2030-12-31",
        )
    refuse_idle(text)
    rule = load_rule(text, anchor=anchor, name=name, days=days)
    if shortest is not None:
        refuse_short_gaps(rule, after=now, shortest=shortest)
    return rule


def refuse_short_gaps(rule: Rule, *, after: datetime, shortest: timedelta) -> None:
    """Looks at a thousand occurrences, which takes a while. Raises InvalidCadence."""
    found = _shortest_gap(rule, after=after)
    if found is not None and found[0] < shortest:
        gap, at = found
        raise InvalidCadence(
            f"Two runs would be only {_words(gap)} apart, after {at.isoformat()};"
            f" the shortest gap allowed is {_words(shortest)}.",
            hint="Let it occur less often, or set AUTOMAGIK_MIN_INTERVAL_SECONDS.",
        )


def first_occurrence(rule: Cadence, *, now: datetime) -> datetime:
    """Raises InvalidCadence when there is none."""
    occurrence = rule.next_after(now)
    if occurrence is None:
        raise InvalidCadence(
            f"The schedule never fires: {rule.describe()}.",
            hint="Look at it: automagik schedules preview",
        )
    return occurrence


def _shortest_gap(rule: Cadence, *, after: datetime) -> tuple[timedelta, datetime] | None:
    """Between two of the next occurrences, and the first of these two; None: there are no two."""
    soon = takewhile(lambda at: at - after < _WITHIN, occurrences(rule, after))
    instants = islice(soon, _OCCURRENCES)
    return min(((later - earlier, earlier) for earlier, later in pairwise(instants)), default=None)


def _words(length: timedelta) -> str:
    return in_words(length) if length % timedelta(seconds=1) == timedelta() else f"{length}"
