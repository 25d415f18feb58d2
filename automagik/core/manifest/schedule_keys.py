"""The keys of a schedule in a file, and what is canonical of what they say. Pure."""

from collections.abc import Callable, Collection, Iterator, Mapping
from datetime import UTC, datetime
from functools import partial
from typing import Any

from automagik.core.exceptions import AutomagikError, InvalidInput
from automagik.core.manifest import readers
from automagik.core.manifest.readers import Reader
from automagik.core.manifest.times import day_text, time_text
from automagik.core.scheduler.after import End, default_input
from automagik.core.scheduler.as_typed import every_text, instant_of
from automagik.core.scheduler.cadence import load_cadence
from automagik.core.scheduler.dst import Fold, Gap
from automagik.core.scheduler.exclusions import parse_exclusion
from automagik.core.scheduler.holidays import OnHoliday
from automagik.core.scheduler.labels import checked_labels
from automagik.core.scheduler.oneshot import OneShot
from automagik.core.scheduler.policies import CatchUpOrder, Misfire, Overlap
from automagik.core.scheduler.quiet_hours import parse_quiet_hours
from automagik.core.scheduler.rule_text import CadenceText
from automagik.core.scheduler.schedule_type import ScheduleType
from automagik.core.scheduler.zones import zone_named
from automagik.core.tasks.run_options import HIGHEST_PRIORITY, LOWEST_PRIORITY

Fields = dict[str, Any]
"""By the names of the options of the command line; what is a default is left out."""
Refuse = Callable[[str, AutomagikError], None]
"""Takes down what is wrong with a key."""

SCHEDULE_KEYS: Mapping[str, Reader] = {
    "flow": readers.text,
    "every": readers.texts,
    "cron": readers.texts,
    "rrule": readers.texts,
    "at": readers.texts,
    "after": readers.text,
    "on": readers.word(End),
    "timezone": readers.text,
    "exclude": readers.texts,
    "calendar": readers.text,
    "on-holiday": readers.word(OnHoliday),
    "quiet-hours": readers.text,
    "start": readers.text,
    "end": readers.text,
    "dst-gap": readers.word(Gap),
    "dst-fold": readers.word(Fold),
    "overlap": readers.word(Overlap),
    "misfire": readers.word(Misfire),
    "misfire-grace": readers.grace,
    "catch-up": readers.duration,
    "catch-up-order": readers.word(CatchUpOrder),
    "jitter": readers.duration,
    "spread": readers.duration,
    "max-runs": readers.number(1),
    "pause-after-failures": readers.number(1),
    "at-most-once": readers.truth,
    "priority": readers.number(LOWEST_PRIORITY, HIGHEST_PRIORITY),
    "queue": readers.text,
    "max-retries": readers.number(0),
    "timeout": readers.duration,
    "input": readers.run_input,
    "tweaks": readers.tweaks,
    "session": readers.exact_text,
    "labels": lambda node: checked_labels(readers.named_texts(node)),
    "paused": readers.truth,
    "paused-until": readers.text,
    "note": readers.exact_text,
}
CADENCE_KEYS = ("every", "cron", "rrule", "at")
PAUSE_KEYS = ("paused", "paused-until", "note")
_DEFAULTS: Fields = {
    "on": End.COMPLETED.value,
    "on-holiday": OnHoliday.SKIP.value,
    "dst-gap": Gap.NEXT.value,
    "dst-fold": Fold.FIRST.value,
    "overlap": Overlap.ALLOW_ALL.value,
    "misfire": Misfire.RUN_ONCE.value,
    "catch-up-order": CatchUpOrder.OLDEST_FIRST.value,
    "exclude": (),
    "tweaks": {},
    "labels": {},
}
_NO_ANCHOR = datetime(2020, 1, 1, tzinfo=UTC)
"""Where a rule counts from does not matter to its text."""


def without_defaults(fields: Fields) -> Fields:
    """In the order of the keys."""
    defaults = _DEFAULTS | {"input": input_unless_said(fields)}
    return {
        key: fields[key]
        for key in SCHEDULE_KEYS
        if fields.get(key) is not None and fields[key] != defaults.get(key)
    }


def input_unless_said(fields: Mapping[str, Any]) -> str:
    """A chain hands on what it follows has said."""
    return default_input(End(fields.get("on", End.COMPLETED))) if "after" in fields else ""


def canonical(
    name: str, fields: Fields, *, said: Collection[str], timezone: str, refuse: Refuse
) -> Fields:
    """The same as it will be stored; `timezone` is that of a schedule that names none.

    `said` are the keys in the file, also those whose values cannot be.
    """
    found = dict(fields)
    if "after" not in said:
        found.setdefault("timezone", timezone)
    attempt = _Attempt(refuse)
    _check_what_starts(said, refuse)
    _check_pause(fields, said, refuse)
    if attempt("timezone", partial(zone_named, found.get("timezone", timezone))):
        _cadences(name, found, attempt)
        _limits(name, found, attempt)
    return without_defaults(found)


def zone_of(fields: Mapping[str, Any]) -> str:
    """A chain has none."""
    zone: str = fields.get("timezone", "UTC")
    return zone


def cadence_texts(fields: Mapping[str, Any]) -> Iterator[CadenceText]:
    """Of what is canonical."""
    for key in CADENCE_KEYS:
        for text in fields.get(key, ()):
            yield _cadence_text(key, text)


def key_and_text(cadence: CadenceText, *, timezone: str) -> tuple[str, str]:
    """What a file says for what is stored. Raises InvalidCadence."""
    match ScheduleType(cadence.type):
        case ScheduleType.CALENDAR:
            return "every", cadence.expr.removeprefix("every ")
        case ScheduleType.ONESHOT:
            at = load_cadence(cadence.type, cadence.expr, timezone=timezone, anchor=_NO_ANCHOR)
            return "at", time_text(at.at if isinstance(at, OneShot) else _NO_ANCHOR, timezone)
        case ScheduleType.INTERVAL:
            return "every", cadence.expr
    return cadence.type, cadence.expr


class _Attempt:
    """Does something; what it raises is a problem of the key."""

    def __init__(self, refuse: Refuse) -> None:
        self._refuse = refuse

    def __call__(self, key: str, what: Callable[[], Any]) -> Any:
        try:
            return what()
        except AutomagikError as error:
            self._refuse(key, error)
            return None


def _cadences(name: str, fields: Fields, attempt: _Attempt) -> None:
    """In place; `@every` in a cron rule becomes an interval."""
    said = [(key, text) for key in CADENCE_KEYS for text in fields.pop(key, ())]
    for key, text in said:
        stored = attempt(key, partial(_cadence, key, text, zone_of(fields), name))
        if stored:
            kind, expr = stored
            fields[kind] = tuple(dict.fromkeys((*fields.get(kind, ()), expr)))


def _limits(name: str, fields: Fields, attempt: _Attempt) -> None:
    zone = zone_of(fields)
    for text in fields.get("exclude", ()):
        attempt("exclude", partial(parse_exclusion, text, timezone=zone, name=name))
    if hours := fields.get("quiet-hours"):
        attempt("quiet-hours", partial(parse_quiet_hours, hours, zone=zone_named(zone)))
    for key in ("start", "end", "paused-until"):
        if text := fields.get(key):
            is_end = key == "end"
            at = attempt(key, partial(instant_of, text, timezone=zone, whole_day=is_end))
            fields[key] = at and day_text(at, zone, is_last=is_end)


def _check_what_starts(said: Collection[str], refuse: Refuse) -> None:
    if "flow" not in said:
        refuse("", InvalidInput("has no flow.", hint="flow: Echo, or flow: SOURCE/Echo"))
    clock = [key for key in CADENCE_KEYS if key in said]
    if "after" in said and clock:
        refuse("after", InvalidInput(f"A schedule that follows another has no {clock[0]} beside."))
    if "after" not in said and not clock:
        hint = "every: 5m, cron: 0 9 * * 1-5, or at: 2030-12-01T09:00"
        refuse("", InvalidInput("has no time rule.", hint=hint))
    if "on" in said and "after" not in said:
        refuse("on", InvalidInput("says which end of another's run counts: after is missing."))


def _check_pause(fields: Fields, said: Collection[str], refuse: Refuse) -> None:
    if "paused" in said and fields.get("paused") is not False:
        return
    for key, says in (("note", "why"), ("paused-until", "until when")):
        if key in said:
            refuse(key, InvalidInput(f"says {says} it is paused: paused: true is missing."))


def _cadence(key: str, text: str, timezone: str, name: str) -> tuple[str, str]:
    if key == "at" and text.lower() == "now":
        raise InvalidInput("A file names a time; now is another each time that it is applied.")
    typed = _cadence_text(key, text)
    parsed = load_cadence(typed.type, typed.expr, timezone=timezone, anchor=_NO_ANCHOR, name=name)
    stored = CadenceText(type=str(parsed.type), expr=parsed.expr)
    return key_and_text(stored, timezone=timezone)


def _cadence_text(key: str, text: str) -> CadenceText:
    if key == "every":
        return every_text(text)
    return CadenceText(type="oneshot" if key == "at" else key, expr=text)
