"""Options that say which tasks are meant."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from automagik.cli import known
from automagik.cli.context import database, settings
from automagik.cli.times import parse_duration
from automagik.core.exceptions import InvalidInput
from automagik.core.tasks.states import TaskState

if TYPE_CHECKING:
    from uuid import UUID

    from automagik.core.tasks.listing import TaskFilter


@dataclass(frozen=True, kw_only=True, slots=True)
class TaskOptions:
    """What was said about which tasks."""

    flow: Annotated[
        str | None,
        typer.Option(
            "--flow", "-f", metavar="FLOW", help="Of this flow.", autocompletion=known.flows
        ),
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
            states=tuple(self._states()),
            since=None if self.since is None else moment(self.since),
            until=None if self.until is None else moment(self.until),
            worker=self.worker,
            error_code=self.error_code,
            search=self.search or None,
        )

    def _backfill(self) -> "UUID | None":
        from automagik.core.scheduler.backfill_manager import BackfillManager

        return BackfillManager(database()).resolve(self.backfill) if self.backfill else None

    def _states(self) -> list[TaskState]:
        words = [word.strip().lower() for said in self.state or () for word in said.split(",")]
        unknown = [word for word in words if word not in [*TaskState]]
        if unknown:
            raise InvalidInput(
                f"There is no state {unknown[0]!r}.", hint=f"The states are {', '.join(TaskState)}."
            )
        return [TaskState(word) for word in dict.fromkeys(words)]


def moment(text: str) -> datetime:
    """So long ago, or an instant or a date in the zone of the settings.

    Raises InvalidCadence.
    """
    from automagik.core.scheduler.as_typed import instant_of

    try:
        return datetime.now(UTC) - parse_duration(text)
    except (typer.BadParameter, OverflowError):
        return instant_of(text, timezone=settings().timezone)
