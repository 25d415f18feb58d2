"""`automagik db prune`: what would go, and how far it has gone."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from automagik.cli.person import confirm
from automagik.cli.printer import Column, Printer

if TYPE_CHECKING:
    from automagik.core.database.session import Database
    from automagik.core.scheduler.retention import Forecast
    from automagik.core.tasks.states import TaskState

_COLUMNS = (
    Column("outcome"),
    Column("before", "Ended before", wide=True),
    Column("tasks"),
    Column("attempts"),
    Column("events", wide=True),
    Column("log_lines"),
    Column("oldest"),
    Column("newest", wide=True),
)


def prune(
    database: "Database",
    printer: Printer,
    ages: Mapping["TaskState", timedelta],
    *,
    dry_run: bool,
    yes: bool,
) -> None:
    """What goes is fixed before the question is asked, however long the answer takes."""
    forecasts = _forecasts(database, ages)
    total = sum(each.tasks for each in forecasts)
    if dry_run or not total:
        printer.items([asdict(each) for each in forecasts], _COLUMNS, empty="")
        printer.say(f"{_tasks(total)} would go." if dry_run else "✓ No task is that old.")
        return
    if not yes:
        for each in forecasts:
            printer.say(f"{each.outcome}: {_tasks(each.tasks)}, {each.log_lines:,} log lines")
    confirm(f"Delete {_tasks(total)} with all of their history?", yes=yes)
    deleted = [_delete(database, printer, each) for each in forecasts]
    printer.items(deleted, (*_COLUMNS[:2], Column("deleted")), empty="")
    printer.say(f"✓ {_tasks(sum(each['deleted'] for each in deleted))} deleted.")


def _forecasts(database: "Database", ages: Mapping["TaskState", timedelta]) -> Sequence["Forecast"]:
    from automagik.core.scheduler.retention import forecast
    from automagik.core.scheduler.rows import database_now

    with database.long_transaction() as connection:
        now = database_now(connection)
        return [forecast(connection, outcome, before=now - age) for outcome, age in ages.items()]


def _delete(database: "Database", printer: Printer, planned: "Forecast") -> dict[str, Any]:
    from automagik.core.scheduler import retention

    deleted = 0
    if not planned.tasks:
        return {**asdict(planned), "deleted": deleted}
    many = planned.tasks > retention.BATCH
    with printer.progress(total=planned.tasks, in_lines=many) as tell:
        while True:
            with database.transaction() as connection:
                batch = retention.prune(connection, planned.outcome, before=planned.before)
            if not batch:
                return {**asdict(planned), "deleted": deleted}
            deleted += batch
            tell(deleted, f"{planned.outcome}: {deleted:,} of {planned.tasks:,} deleted")


def _tasks(count: int) -> str:
    return "1 task" if count == 1 else f"{count:,} tasks"
