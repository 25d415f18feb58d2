"""The days of an iCalendar file (RFC 5545): each day that an event touches is a holiday. Pure."""

from collections.abc import Iterator
from datetime import date, datetime, time, timedelta
from typing import Any

from dateutil.rrule import rrule, rruleset, rrulestr
from icalendar import Calendar, Event

from automagik.core.exceptions import InvalidInput

_DAY = timedelta(days=1)
_LONGEST = 366
"""So many days one event may take."""
_MOST = 20_000
_FREQUENCIES = ("DAILY", "WEEKLY", "MONTHLY", "YEARLY")


def holidays_in(text: str, *, first: date, last: date) -> dict[date, str]:
    """From `first` to `last`, with what they are called; repeating events are expanded.

    Cancelled events do not count, and one occurrence that was changed replaces that of its series.
    Raises InvalidInput.
    """
    try:
        events = [event for event in _calendars(text) for event in event.walk("VEVENT")]
        return dict(sorted(_days(events, first=first, last=last)))
    except (ValueError, TypeError, KeyError, AttributeError, OverflowError) as error:
        raise _refusal(f"it cannot be read ({error})") from error


def _calendars(text: str) -> list[Any]:
    found = [each for each in Calendar.from_ical(text, multiple=True) if each.name == "VCALENDAR"]
    if not found:
        raise _refusal("it has no VCALENDAR")
    return found


def _days(events: list[Event], *, first: date, last: date) -> Iterator[tuple[date, str]]:
    changed = {_identity(each, "RECURRENCE-ID") for each in events if "RECURRENCE-ID" in each}
    count = 0
    for event in events:
        if str(event.get("STATUS", "")).upper() == "CANCELLED":
            continue
        length, title = _length(event), str(event.get("SUMMARY", "")).strip()
        for start in _starts(event, first=first - length * _DAY, last=last):
            if "RECURRENCE-ID" not in event and (_uid(event), start) in changed:
                continue
            days = (start + number * _DAY for number in range(length))
            for day in (day for day in days if first <= day <= last):
                count += 1
                if count > _MOST:
                    raise _refusal(f"it has more than {_MOST} days")
                yield day, title


def _starts(event: Event, *, first: date, last: date) -> list[date]:
    """The first day of each time that the event takes place."""
    begin = _midnight(_day(event, "DTSTART"))
    series = rruleset()
    series.rdate(begin)
    for rule in _listed(event.get("RRULE")):
        series.rrule(_by_days(rule, begin))
    for name, add in (("RDATE", series.rdate), ("EXDATE", series.exdate)):
        for dates in _listed(event.get(name)):
            for each in dates.dts:
                add(_midnight(_date(each.dt)))
    return [at.date() for at in series.between(_midnight(first), _midnight(last), inc=True)]


def _by_days(rule: Any, begin: datetime) -> rrule:
    """An end at a time of day, in whatever zone, is the end of that day."""
    if rule.get("FREQ", [""])[0] not in _FREQUENCIES:
        raise _refusal(f"the event of {begin:%Y-%m-%d} does not repeat by days")
    parts = type(rule)({key: value for key, value in rule.items() if key != "UNTIL"})
    ends = [f"UNTIL={_date(end):%Y%m%d}T235959" for end in rule.get("UNTIL", ())]
    found = rrulestr(";".join([parts.to_ical().decode(), *ends]), dtstart=begin)
    if not isinstance(found, rrule):
        raise _refusal("a rule is a set of rules")
    return found


def _length(event: Event) -> int:
    """In days, at least one; the end of an event does not belong to it."""
    start, end = _value(event, "DTSTART"), _value(event, "DTEND")
    if end is None:
        end = start + (_value(event, "DURATION") or timedelta())
    days = (_date(end) - _date(start)).days
    if isinstance(end, datetime) and end.time() > time():
        days += 1
    if days > _LONGEST:
        raise _refusal(f"the event of {_date(start)} takes more than {_LONGEST} days")
    return max(days, 1)


def _identity(event: Event, name: str) -> tuple[str, date]:
    return _uid(event), _day(event, name)


def _uid(event: Event) -> str:
    return str(event.get("UID"))


def _day(event: Event, name: str) -> date:
    return _date(_value(event, name))


def _value(event: Event, name: str) -> Any:
    """A date, an instant or a duration; None when there is none."""
    found: Any = event.get(name)
    return None if found is None else found.dt


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time())


def _date(value: date) -> date:
    return value.date() if isinstance(value, datetime) else value


def _listed(value: Any) -> list[Any]:
    """A property that stands once is no list."""
    if value is None:
        return []
    return value if isinstance(value, list) else [value]


def _refusal(reason: str) -> InvalidInput:
    return InvalidInput(
        f"The calendar file is not valid: {reason}.",
        hint="It takes an iCalendar file (.ics) with events, such as public holidays.",
    )
