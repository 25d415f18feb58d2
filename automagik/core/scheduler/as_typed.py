"""What people type about when, before it is a rule: `3 days at 09:00`, `2030-12-24`."""

import re
from datetime import datetime, timedelta

from automagik.core.scheduler.oneshot import load_oneshot
from automagik.core.scheduler.rule_text import CadenceText

_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")


def every_text(text: str) -> CadenceText:
    """What names a time of day goes by the calendar, the rest is an interval."""
    words = text.split()
    if "at" not in map(str.lower, words):
        return CadenceText(type="interval", expr=text)
    expr = text if words[0].lower() == "every" else f"every {text}"
    return CadenceText(type="calendar", expr=expr)


def instant_of(text: str, *, timezone: str, whole_day: bool = False) -> datetime:
    """A date alone means its midnight there, or with whole_day the next one.

    Raises InvalidCadence.
    """
    text = text.strip()
    if not _DATE.fullmatch(text):
        return load_oneshot(text, timezone=timezone).at
    at = load_oneshot(f"{text}T00:00", timezone=timezone).at
    if not whole_day:
        return at
    following = datetime.fromisoformat(text) + timedelta(days=1)
    return load_oneshot(f"{following:%Y-%m-%dT00:00}", timezone=timezone).at
