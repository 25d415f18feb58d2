"""What a rule says without effect: it lacks a calendar, or a time that comes again. Pure."""

from collections.abc import Collection
from dataclasses import replace

from automagik.core.exceptions import InvalidInput
from automagik.core.scheduler.rule_text import RuleLimits, RuleText
from automagik.core.scheduler.schedule_type import ScheduleType

_PLAIN = RuleLimits()
_ONCE = "A time that comes once has no {}: it runs at the first time that there is."
_OFFSET = "Say which time is meant by its offset: --at 2030-10-27T02:30+01:00"
_NEEDS = {
    "on_holiday": (
        "--on-holiday says nothing without a calendar.",
        "Add --calendar NAME. Which there are: automagik calendars list",
    ),
    "dst_gap": (_ONCE.format("--dst-gap"), _OFFSET),
    "dst_fold": (_ONCE.format("--dst-fold"), _OFFSET),
}


def refuse_idle(text: RuleText) -> None:
    """What says nothing without something else. Raises InvalidInput."""
    for name in _idle(text):
        message, hint = _NEEDS[name]
        raise InvalidInput(message, hint=hint)


def without_idle(text: RuleText, *, said: Collection[str]) -> RuleText:
    """What says nothing any more, and was not said now, has its default again."""
    defaults = {name: getattr(_PLAIN, name) for name in _idle(text) if name not in said}
    return replace(text, limits=replace(text.limits, **defaults))


def _idle(text: RuleText) -> list[str]:
    """By the names in RuleLimits."""
    names = ["on_holiday"] if text.limits.calendar is None else []
    if all(each.type == ScheduleType.ONESHOT for each in text.cadences):
        names += ["dst_gap", "dst_fold"]
    return [name for name in names if getattr(text.limits, name) != getattr(_PLAIN, name)]
