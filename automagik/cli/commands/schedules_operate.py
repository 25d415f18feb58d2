"""`automagik schedules`: what people do with schedules while they run."""

from typing import Annotated

import typer

from automagik.cli.commands.schedules_read import Name, manager, resolve
from automagik.cli.context import database, printer, settings
from automagik.cli.options import Wait

app = typer.Typer()

_ACTOR = "cli"


@app.command()
def pause(
    schedule: Name,
    *,
    reason: Annotated[str | None, typer.Option("--reason", help="Kept with the schedule.")] = None,
) -> None:
    """Start no more runs until it is resumed. Runs under way go on.

    Example: automagik schedules pause greeter-every-5m --reason "maintenance"
    """
    paused = manager().pause(resolve(schedule), reason=reason)
    printer().say(f"✓ Schedule {paused.name} paused.")
    printer().say(f"  Go on with: automagik schedules resume {paused.name}")


@app.command()
def resume(schedule: Name) -> None:
    """Let a paused schedule go on. Runs that it missed are not made up for.

    Example: automagik schedules resume greeter-every-5m
    """
    from automagik.cli import schedule_report

    resumed = manager().resume(resolve(schedule))
    schedule_report.say_when(printer(), resumed, done="resumed")


@app.command()
def trigger(schedule: Name, *, wait: Wait = False) -> None:
    """Run a schedule's flow at once; its next run stays where it is. Prints the id of the task.

    Example: automagik schedules trigger greeter-every-5m --wait
    """
    from automagik.cli import task_report
    from automagik.cli.waiting import finish, say_how_to_follow
    from automagik.core.tasks.manager import TaskManager

    task = manager().trigger(resolve(schedule), actor=_ACTOR)
    if wait:
        finish(TaskManager(database(), settings()), task)
        return
    printer().made(task_report.as_item(task))
    say_how_to_follow(task)
