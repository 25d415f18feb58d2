"""The keys of a calendar in a file: its days, or the iCalendar file that has them."""

from collections.abc import Callable, Mapping
from datetime import date
from typing import Any

from automagik.core.exceptions import AutomagikError, InvalidInput
from automagik.core.manifest import readers
from automagik.core.manifest.readers import Reader
from automagik.core.manifest.values import ManifestFile
from automagik.core.scheduler.calendars import holidays_of

CALENDAR_KEYS: Mapping[str, Reader] = {"file": readers.text, "days": readers.named_texts}

_HINT = "file: holidays.ics, or days: {2030-12-25: Christmas}"


def calendar_fields(
    fields: dict[str, Any],
    file: ManifestFile,
    *,
    refuse: Callable[[str, AutomagikError], None],
) -> dict[str, Any]:
    """Its days, with the titles, whichever way the file says them."""
    if len(fields) != 1:
        refuse("", InvalidInput("takes either file or days.", hint=_HINT))
        return {}
    [key] = fields
    try:
        days = _days(fields["days"]) if key == "days" else _imported(fields["file"], file)
    except AutomagikError as error:
        refuse(key, error)
        return {}
    return {"days": dict(sorted(days.items()))}


def _days(said: Mapping[str, str]) -> dict[str, str]:
    return {str(_day(text)): title for text, title in said.items()}


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise InvalidInput(f"{text!r} is no day, such as 2030-12-25.") from None


def _imported(name: str, file: ManifestFile) -> dict[str, str]:
    try:
        ics = (file.folder / name).read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError, ValueError):
        raise InvalidInput(f"The file {name} cannot be read.") from None
    return {str(day): title for day, title in holidays_of(ics).items()}
