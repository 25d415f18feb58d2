"""An agenda as an iCalendar file (RFC 5545). Pure.

Each event has the same UID whenever it is written, so that a calendar program which reads the file
again updates what it has.
"""

from datetime import datetime, timedelta

from icalendar import Calendar, Event

from automagik.core.scheduler.agenda import Agenda, Line

MOST_EVENTS = 5_000


def ics_text(agenda: Agenda, *, now: datetime) -> str:
    """The first MOST_EVENTS lines; what starts often is an event of the whole day."""
    calendar = Calendar()
    calendar.add("prodid", "-//AutoMagik//schedules//EN")
    calendar.add("version", "2.0")
    calendar.add("x-wr-calname", "AutoMagik")
    for line in agenda.lines[:MOST_EVENTS]:
        calendar.add_component(_event(line, now))
    return str(calendar.to_ical().decode())


def _event(line: Line, now: datetime) -> Event:
    event, entry = Event(), line.entry
    if line.is_often:
        number = f"at least {line.runs}" if line.is_least else f"{line.runs}"
        event.add("summary", f"{entry.name}: {number} runs")
        event.add("dtstart", line.day)
        event.add("dtend", line.day + timedelta(days=1))
        event.add("uid", f"{entry.schedule_id}-{line.day:%Y%m%d}@automagik")
    else:
        event.add("summary", entry.name)
        event.add("dtstart", line.at)
        event.add("uid", f"{entry.schedule_id}-{line.occurrence:%Y%m%dT%H%M%S%f}Z@automagik")
    event.add("dtstamp", now)
    event.add("description", f"Flow {entry.flow} of {entry.source}")
    event.add("transp", "TRANSPARENT")
    return event
