"""A rule in words."""

from collections.abc import Sequence

from automagik.core.scheduler.cadence import Cadence
from automagik.core.scheduler.closure import Closure, Window
from automagik.core.scheduler.exclusions import ExcludedDays, ExcludedMinutes
from automagik.core.scheduler.holidays import Holidays
from automagik.core.scheduler.quiet_hours import QuietHours


def in_words(
    cadences: Sequence[Cadence], closures: Sequence[Closure], holidays: Holidays | None
) -> str:
    """What occurs, then what is left out, such as `every hour; not from 22:00 to 06:00`."""
    parts = [" and ".join(cadence.describe() for cadence in cadences)]
    parts += _described(closures, Window)
    if excluded := _described(closures, (ExcludedDays, ExcludedMinutes)):
        parts.append(f"not {_enumerated(excluded)}")
    if holidays is not None:
        parts.append(holidays.describe())
    parts += [f"quiet from {hours}" for hours in _described(closures, QuietHours)]
    return "; ".join(parts)


def _described(
    closures: Sequence[Closure], kinds: type[object] | tuple[type[object], ...]
) -> list[str]:
    return [closure.describe() for closure in closures if isinstance(closure, kinds)]


def _enumerated(words: list[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} or {words[-1]}"
