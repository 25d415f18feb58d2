"""Instants as people say them where they look back: so long ago, a date or an instant."""

from datetime import UTC, datetime, timedelta

import typer

from automagik.cli.context import settings
from automagik.cli.times import parse_duration
from automagik.core.exceptions import InvalidInput


def moment(text: str) -> datetime:
    """So long ago, or an instant or a date in the zone of the settings.

    Raises InvalidCadence.
    """
    try:
        return datetime.now(UTC) - parse_duration(text)
    except (typer.BadParameter, OverflowError):
        return _instant(text)


def age(text: str) -> timedelta:
    """How far back it is, longer than nothing. Raises InvalidCadence and InvalidInput."""
    try:
        return parse_duration(text)
    except typer.BadParameter:
        found = datetime.now(UTC) - _instant(text)
    if found <= timedelta():
        raise InvalidInput(f"{text!r} lies in the future.", hint="For example: --since 7d")
    return found


def _instant(text: str) -> datetime:
    from automagik.core.scheduler.as_typed import instant_of

    return instant_of(text, timezone=settings().timezone)
