"""`automagik schedules`: what people do with schedules while they run."""

import re
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from automagik.cli import bulk, known, person
from automagik.cli.commands.schedules_read import manager
from automagik.cli.context import database, printer, settings
from automagik.cli.option_groups import takes
from automagik.cli.options import InputText, Note, Wait, WaitTimeout, Yes
from automagik.cli.printer import Column, Output
from automagik.cli.selection_options import SelectionOptions
from automagik.core.exceptions import InvalidInput
from automagik.core.scheduler.policies import Overlap

if TYPE_CHECKING:
    from automagik.core.scheduler.values import Schedule
    from automagik.core.tasks.values import Task

app = typer.Typer()

_ACTOR = "cli"
_NAMED = 10
"""So many names are in a question."""
_DURATION = re.compile(r"[0-9.\s]+[dhms][0-9.dhms\s]*", re.IGNORECASE)

Names = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="SCHEDULE",
        help="Names, beginnings of ids, or @last; or choose by filters.",
        autocompletion=known.schedules,
    ),
]


@app.command()
@takes(wanted=SelectionOptions)
def pause(
    names: Names = None,
    *,
    note: Note = None,
    until: Annotated[
        str | None,
        typer.Option(
            "--until",
            metavar="TIME",
            help="Then it goes on by itself: 2h, 2030-12-01T09:00, a date; else by resume.",
        ),
    ] = None,
    wanted: SelectionOptions,
) -> None:
    """Start no more runs until it is resumed. Runs under way go on.

    Filters take the active ones, unless --status says otherwise. Of one that is paused already
    --until counts anew; without it the end stays, until it is resumed.

    Example: automagik schedules pause greeter-every-5m --until 2h --note "maintenance"

    Example: automagik schedules pause --label team=ops --dry-run
    """
    from automagik.cli.times import at

    def act(schedule: "Schedule") -> None:
        ends_at = None if until is None else _end_of_pause(until, timezone=schedule.timezone)
        paused = manager().pause(schedule.id, note=note, until=ends_at)
        if paused.paused_until is None:
            printer().say(f"✓ Schedule {paused.name} paused.")
            printer().say(f"  Go on with: automagik schedules resume {paused.name}")
            return
        end = at(paused.paused_until, zone=paused.timezone)
        printer().say(f"✓ Schedule {paused.name} paused until {end}.")

    chosen = bulk.choose(names, wanted, status="active")
    bulk.for_each(chosen, act, done="paused", dry_run=wanted.dry_run)
    bulk.end(chosen)


@app.command()
@takes(wanted=SelectionOptions)
def resume(
    names: Names = None,
    *,
    since: Annotated[
        Literal["now", "last"],
        typer.Option(
            "--from",
            help="now: what was missed stays skipped; last: it is made up for as after downtime.",
        ),
    ] = "now",
    wanted: SelectionOptions,
) -> None:
    """Let a paused schedule go on, by default without the runs that it missed.

    Filters take the paused ones, unless --status says otherwise.

    Example: automagik schedules resume greeter-every-5m

    Example: automagik schedules resume --label team=ops --from last
    """
    from automagik.cli import schedule_report
    from automagik.core.scheduler.changes import ResumeFrom

    def act(schedule: "Schedule") -> None:
        resumed = manager().resume(schedule.id, since=ResumeFrom(since))
        schedule_report.say_when(printer(), resumed, done="resumed")

    chosen = bulk.choose(names, wanted, status="paused")
    bulk.for_each(chosen, act, done="resumed", dry_run=wanted.dry_run)
    bulk.end(chosen)


@app.command()
@takes(wanted=SelectionOptions)
def delete(names: Names = None, *, wanted: SelectionOptions, yes: Yes = False) -> None:
    """Delete schedules, with those that follow them. The tasks that they started stay.

    Example: automagik schedules delete greeter-every-5m --yes

    Example: automagik schedules delete --label team=ops --dry-run
    """
    gone: set[str] = set()

    def act(schedule: "Schedule") -> None:
        if schedule.name in gone:
            return
        along = manager().goes_along([schedule])
        manager().delete(schedule.id)
        gone.update(along)
        printer().say(f"✓ Schedule {schedule.name} deleted{_with(along)}.")

    chosen = bulk.choose(names, wanted)
    if chosen.schedules and not wanted.dry_run:
        person.confirm(f"{_question(chosen)}?", yes=yes)
    bulk.for_each(chosen, act, done="deleted", dry_run=wanted.dry_run)
    bulk.end(chosen)


@app.command()
@takes(wanted=SelectionOptions)
def trigger(
    names: Names = None,
    *,
    text: InputText = None,
    overlap: Annotated[
        Overlap | None,
        typer.Option(
            "--overlap", help="While a run is unfinished; by default allow-all: it starts at once."
        ),
    ] = None,
    wait: Wait = False,
    wait_timeout: WaitTimeout = None,
    wanted: SelectionOptions,
) -> None:
    """Run a schedule's flow at once; its next run stays where it is. Prints the id of the task.

    What follows another gets the input that the latest run of that would have given it. Filters
    take the active ones, unless --status says otherwise.

    Example: automagik schedules trigger greeter-every-5m --wait

    Example: automagik schedules trigger --label team=ops
    """
    from automagik.cli.waiting import finish
    from automagik.core.tasks.manager import TaskManager

    tasks: list[Task] = []
    said = None if text is None else _input_alone(text)

    def act(schedule: "Schedule") -> None:
        tasks.append(
            manager().trigger(schedule.id, actor=_ACTOR, input_value=said, overlap=overlap)
        )

    chosen = bulk.choose(names, wanted, status="active")
    is_watched = wait or wait_timeout is not None
    if is_watched and len(chosen.schedules) > 1:
        raise InvalidInput(
            "--wait waits for one run.", hint="Look at several with: automagik tasks list"
        )
    bulk.for_each(chosen, act, done="triggered", dry_run=wanted.dry_run)
    if is_watched and tasks:
        finish(TaskManager(database(), settings()), tasks[0], timeout=wait_timeout)
    else:
        _print_ids(tasks)
    bulk.end(chosen)


def _input_alone(texts: Sequence[str]) -> str:
    """Raises InvalidInput."""
    from automagik.cli.run_input import run_input_from

    said = run_input_from(texts)
    if said.tweaks or said.session_id:
        raise InvalidInput(
            "Tweaks and the session of a triggered run are those of its schedule.",
            hint="Give others with: automagik flows run",
        )
    return said.input_value


def _print_ids(tasks: "list[Task]") -> None:
    """One in a line; JSON carries all of them."""
    from automagik.cli import task_report
    from automagik.cli.waiting import say_how_to_follow

    items = [task_report.as_item(task) for task in tasks]
    is_plain = printer().shape in (Output.TABLE, Output.TSV) and not printer().fields
    if len(items) > 1 and not is_plain:
        printer().items(items, [Column("id")], empty="")
        return
    for item in items:
        printer().made(item)
    if len(tasks) == 1:
        say_how_to_follow(tasks[0])


def _end_of_pause(text: str, *, timezone: str) -> datetime | timedelta:
    """A length counts from the pause. Raises InvalidInput."""
    from automagik.core.duration import parse_duration
    from automagik.core.scheduler.as_typed import instant_of

    length = text.strip().removeprefix("+")
    if _DURATION.fullmatch(length):
        return parse_duration(length)
    return instant_of(text, timezone=timezone)


def _question(chosen: bulk.Chosen) -> str:
    if chosen.is_single:
        [found] = chosen.schedules
        along = _with(manager().goes_along(chosen.schedules), ", with what follows it:")
        return f"Delete schedule {found.name} of flow {found.flow_name}{along}"
    names = [schedule.name for schedule in chosen.schedules]
    along = _with(manager().goes_along(chosen.schedules), ", with what follows them:")
    return f"Delete {len(names)} schedules: {_enumerated(names)}{along}"


def _with(names: Sequence[str], words: str = ", and with it") -> str:
    return f"{words} {_enumerated(names)}" if names else ""


def _enumerated(names: Sequence[str]) -> str:
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return f"{', '.join(names[:_NAMED])}{more}"
