"""Names of schedules: those that people give, and those that are made up for them."""

from collections.abc import Container
from itertools import count

from automagik.core.exceptions import InvalidInput
from automagik.core.scheduler.cadence import ScheduleType

_LONGEST = 200
_LONGEST_PART = 60


def checked_name(name: str) -> str:
    """Raises InvalidInput."""
    name = name.strip()
    if not name or not name.isprintable() or len(name) > _LONGEST:
        raise InvalidInput(
            "The name of a schedule is not valid.",
            hint=f"It takes 1 to {_LONGEST} printable characters.",
        )
    if name.startswith(("-", "@")):
        raise InvalidInput(f"The name of a schedule cannot begin with {name[0]!r}.")
    return name


def derived_name(flow_name: str, *, type_: str, expr: str) -> str:
    """`echo-every-5m`, `echo-daily`, `echo-cron`, `echo-once`, `echo-rrule`, `echo-calendar`.

    Of a chain the expression is the name of what it follows: `echo-after-nightly`.
    """
    flow = _slug(flow_name) or "flow"
    match type_:
        case ScheduleType.INTERVAL:
            return f"{flow}-every-{expr}"
        case ScheduleType.ONESHOT:
            return f"{flow}-once"
        case ScheduleType.AFTER:
            return f"{flow}-after-{_slug(expr) or 'run'}"
        case ScheduleType.RRULE | ScheduleType.CALENDAR:
            return f"{flow}-{ScheduleType(type_)}"
    return f"{flow}-{_slug(expr)}" if expr.startswith("@") else f"{flow}-cron"


def free_name(name: str, *, taken: Container[str]) -> str:
    """The name itself, or with the first free number from 2 on."""
    if name not in taken:
        return name
    return next(numbered for number in count(2) if (numbered := f"{name}-{number}") not in taken)


def _slug(text: str) -> str:
    words = "".join(c if c.isalnum() else " " for c in text.lower()).split()
    return "-".join(words)[:_LONGEST_PART].rstrip("-")
