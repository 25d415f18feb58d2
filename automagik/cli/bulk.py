"""One command for many schedules: named, or chosen by what they have in common.

Each is a transaction of its own, so what goes wrong with one stops no other.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import typer

from automagik.cli.commands.schedules_read import manager, resolve
from automagik.cli.context import printer
from automagik.cli.selection_options import SelectionOptions
from automagik.core.exceptions import AutomagikError, InvalidInput, Unreachable

if TYPE_CHECKING:
    from automagik.core.scheduler.values import Schedule


@dataclass(frozen=True, kw_only=True, slots=True)
class Chosen:
    """The schedules that a command is for."""

    schedules: "Sequence[Schedule]"
    is_one_name: bool = False
    """Then what goes wrong with it is what goes wrong with the command."""
    errors: list[AutomagikError] = field(default_factory=list)

    @property
    def is_single(self) -> bool:
        return len(self.schedules) == 1


def choose(
    names: Sequence[str] | None, wanted: SelectionOptions, *, status: str | None = None
) -> Chosen:
    """By names, or by filters with a status where none was said. Raises InvalidInput, NotFound."""
    if names and wanted.says_which:
        raise InvalidInput("Either names of schedules or filters, not both.")
    if names:
        return _named(dict.fromkeys(names))
    if wanted.says_which:
        return Chosen(schedules=manager().list(wanted.selection(status=status)))
    raise InvalidInput(
        "Which schedules?", hint="Give names, filters such as --label team=ops, or --all."
    )


def for_each(
    chosen: Chosen, act: "Callable[[Schedule], None]", *, done: str, dry_run: bool
) -> None:
    """Does it, or only says to which; what goes wrong is told and kept for `end`.

    `done` is what became of them: `paused`.
    """
    if not (chosen.schedules or chosen.errors):
        printer().say("No schedule fits, so nothing was changed.")
        return
    if dry_run:
        _list(chosen, done=done)
        return
    before = len(chosen.errors)
    for schedule in chosen.schedules:
        _try(chosen, lambda: act(schedule), name=schedule.name)  # noqa: B023  (it is called at once)
    count = len(chosen.schedules) - (len(chosen.errors) - before)
    if not chosen.is_single:
        printer().say(f"{_schedules(count)} {done}.")


def end(chosen: Chosen) -> None:
    """With the exit code of what went wrong; with 1 if that differs."""
    codes = {error.exit_code for error in chosen.errors}
    if codes:
        raise typer.Exit(codes.pop() if len(codes) == 1 else 1)


def _named(names: "Sequence[str] | dict[str, None]") -> Chosen:
    found: dict[object, Schedule] = {}

    def look(name: str) -> None:
        schedule = manager().get(resolve(name))
        found[schedule.id] = schedule

    chosen = Chosen(schedules=[], is_one_name=len(names) == 1)
    for name in names:
        _try(chosen, lambda: look(name), name=name)  # noqa: B023  (it is called at once)
    return Chosen(
        schedules=list(found.values()), is_one_name=chosen.is_one_name, errors=chosen.errors
    )


def _try(chosen: Chosen, act: Callable[[], None], *, name: str) -> None:
    try:
        act()
    except AutomagikError as error:
        # Without the database nothing else would come of the others.
        if chosen.is_one_name or isinstance(error, Unreachable):
            raise
        if name not in error.message:
            error.message = f"{name}: {error.message}"
        printer().error(error)
        chosen.errors.append(error)


def _list(chosen: Chosen, *, done: str) -> None:
    from automagik.cli import schedule_report

    items = [schedule_report.as_item(schedule) for schedule in chosen.schedules]
    printer().items(items, schedule_report.columns(printer(), items), empty="")
    printer().say(f"{_schedules(len(items))} would be {done}. Nothing was changed.")


def _schedules(count: int) -> str:
    return "1 schedule" if count == 1 else f"{count} schedules"
