"""`automagik calendars`: holidays that schedules heed."""

import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from automagik.cli import context, known, person
from automagik.cli.options import DryRun, Yes
from automagik.cli.printer import Column
from automagik.core.exceptions import InvalidInput

if TYPE_CHECKING:
    from automagik.core.scheduler.calendars import CalendarManager

app = typer.Typer()

Name = Annotated[
    str, typer.Argument(metavar="NAME", help="Such as de.", autocompletion=known.calendars)
]

_COLUMNS = [
    Column("name"),
    Column("days"),
    Column("first_day"),
    Column("last_day"),
    Column("schedules"),
    Column("updated_at", "Updated"),
]


@app.command("import")
def import_(
    name: Name,
    file: Annotated[
        str,
        typer.Argument(
            metavar="FILE.ics|-",
            help="An iCalendar file; - reads stdin.",
            autocompletion=known.files,
        ),
    ],
) -> None:
    """Take the days of an iCalendar file for holidays. A calendar of that name gets them instead.

    Holidays that repeat are taken for the next ten years. Schedules that use it move at once.

    Example: automagik calendars import de holidays.ics
    """
    text = _read(file)
    with context.printer().progress(total=None) as tell:
        tell(0, f"Importing {name}, and moving the schedules that use it")
        done = _manager().import_ics(name, text)
    say = context.printer().say
    say(f"✓ Calendar {name}: {done.days} holidays · {done.added} new, {done.removed} gone.")
    if done.added == done.days:
        say(f"  Next: automagik schedules update SCHEDULE --calendar {name}")
    for schedule in done.moved_schedules:
        say(f"  Schedule {schedule} has another next run.")


@app.command("list")
def list_() -> None:
    """List the calendars, with the span of their days and how many schedules use them.

    Example: automagik calendars list
    """
    context.printer().items(
        [asdict(calendar) for calendar in _manager().list()],
        _COLUMNS,
        empty="No calendars here. Import one: automagik calendars import de holidays.ics",
    )


@app.command()
def show(name: Name) -> None:
    """List the holidays of a calendar.

    Example: automagik calendars show de
    """
    days = [asdict(holiday) for holiday in _manager().holidays(name)]
    context.printer().items(days, [Column("day"), Column("title")], empty="It has no days.")


@app.command()
def delete(name: Name, *, dry_run: DryRun = False, yes: Yes = False) -> None:
    """Delete a calendar that no schedule uses.

    Example: automagik calendars delete de --dry-run

    Example: automagik calendars delete de --yes
    """
    calendars = _manager()
    days = len(calendars.holidays(name))
    if dry_run:
        users = next((each.schedules for each in calendars.list() if each.name == name), 0)
        used = f"It stays while {users} schedule(s) use it." if users else "Nothing was changed."
        context.printer().say(f"This would delete calendar {name} with {days} holiday(s). {used}")
        return
    person.confirm(f"Delete calendar {name} with {days} holiday(s)?", yes=yes)
    calendars.delete(name)
    context.printer().say(f"✓ Calendar {name} deleted.")


def _read(file: str) -> str:
    """Raises InvalidInput."""
    if file == "-":
        return sys.stdin.read()
    try:
        return Path(file).read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidInput(
            f"The file {file} cannot be read: {error}",
            hint="Give a file that can be read, or - for stdin.",
        ) from error


def _manager() -> "CalendarManager":
    from automagik.core.scheduler.calendars import CalendarManager

    return CalendarManager(context.database())
