"""Options that say which tasks are meant."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from automagik.cli import known
from automagik.cli.context import database
from automagik.cli.moments import moment
from automagik.cli.words import chosen
from automagik.core.tasks.states import TaskState

if TYPE_CHECKING:
    from uuid import UUID

    from automagik.core.tasks.listing import TaskFilter


@dataclass(frozen=True, kw_only=True, slots=True)
class TaskOptions:
    """What was said about which tasks."""

    flow: Annotated[
        str | None,
        typer.Option("--flow", metavar="FLOW", help="Of this flow.", autocompletion=known.flows),
    ] = None
    schedule: Annotated[
        str | None,
        typer.Option(
            "--schedule",
            metavar="SCHEDULE",
            help="Of this schedule.",
            autocompletion=known.schedules,
        ),
    ] = None
    backfill: Annotated[
        str | None,
        typer.Option(
            "--backfill", metavar="ID", help="Of this backfill.", autocompletion=known.backfills
        ),
    ] = None
    state: Annotated[
        list[str] | None,
        typer.Option(
            "--state",
            "-s",
            metavar="STATE,…",
            help="In one of these states; repeatable.",
            autocompletion=known.states,
        ),
    ] = None
    since: Annotated[
        str | None,
        typer.Option("--since", metavar="TIME", help="Made since: 2h, a date or an instant."),
    ] = None
    until: Annotated[
        str | None,
        typer.Option("--until", metavar="TIME", help="Made before: 2h, a date or an instant."),
    ] = None
    worker: Annotated[
        str | None,
        typer.Option(
            "--worker",
            metavar="WORKER",
            help="Tried on this worker or host.",
            autocompletion=known.workers,
        ),
    ] = None
    error_code: Annotated[
        str | None,
        typer.Option(
            "--error-code",
            metavar="CODE",
            help="With this error.",
            autocompletion=known.error_codes,
        ),
    ] = None
    search: Annotated[
        str | None,
        typer.Option("--search", metavar="TEXT", help="With this in input, output or error."),
    ] = None

    def filter(self) -> "TaskFilter":
        """Raises InvalidInput and InvalidCadence."""
        from automagik.core.tasks.listing import TaskFilter

        return TaskFilter(
            flow=self.flow,
            schedule=self.schedule,
            backfill=self._backfill(),
            states=chosen(self.state, TaskState, noun="state"),
            since=None if self.since is None else moment(self.since),
            until=None if self.until is None else moment(self.until),
            worker=self.worker,
            error_code=self.error_code,
            search=self.search or None,
        )

    def _backfill(self) -> "UUID | None":
        if not self.backfill:
            return None
        from automagik.core.scheduler.backfill_manager import BackfillManager

        return BackfillManager(database()).resolve(self.backfill)
