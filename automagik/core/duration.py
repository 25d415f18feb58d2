"""Durations as people write them: `90`, `90s`, `5m`, `1h30m`. Seconds without a unit."""

import re
from datetime import timedelta

from automagik.core.exceptions import InvalidInput

_UNITS = {"d": 86_400, "h": 3_600, "m": 60}
_SHAPE = re.compile(r"(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m)?(?:(\d+(?:\.\d+)?)s?)?", re.ASCII)
_HINT = "For example: 90s, 5m, 1h30m."


def parse_duration(text: str) -> timedelta:
    """Longer than nothing. Raises InvalidInput."""
    match = _SHAPE.fullmatch(text.strip().lower().replace(" ", ""))
    counts = [float(count or 0) for count in match.groups()] if match else []
    seconds = sum(count * size for count, size in zip(counts, (*_UNITS.values(), 1), strict=False))
    if seconds <= 0:
        raise InvalidInput(f"{text!r} is no duration, such as 90s, 5m or 1h30m.", hint=_HINT)
    try:
        return timedelta(seconds=seconds)
    except OverflowError:
        raise InvalidInput(f"{text!r} is too long.", hint=_HINT) from None


def parse_grace(text: str) -> timedelta:
    """Unlike other durations it may be nothing. Raises InvalidInput."""
    return timedelta() if text.strip() in {"0", "0s"} else parse_duration(text)


def duration_text(length: timedelta) -> str:
    """What is read as exactly this length again."""
    rest, fraction = divmod(length, timedelta(seconds=1))
    parts = []
    for unit, size in _UNITS.items():
        count, rest = divmod(rest, size)
        parts.append(f"{count}{unit}" if count else "")
    if fraction:
        parts.append(f"{rest}.{fraction.microseconds:06d}".rstrip("0") + "s")
    elif rest or not any(parts):
        parts.append(f"{rest}s")
    return "".join(parts)
