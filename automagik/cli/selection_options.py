"""Options that say which schedules: --flow, --label and the like."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from automagik.cli import known
from automagik.cli.context import database, settings
from automagik.cli.words import chosen

if TYPE_CHECKING:
    from automagik.core.scheduler.selection import Selection


@dataclass(frozen=True, kw_only=True, slots=True)
class FilterOptions:
    """All that is said must be so."""

    flow: Annotated[
        str | None,
        typer.Option(
            "--flow", metavar="FLOW", help="Only of this flow.", autocompletion=known.flows
        ),
    ] = None
    source: Annotated[
        str | None,
        typer.Option(
            "--source",
            metavar="SOURCE",
            help="Only of flows of this source.",
            autocompletion=known.sources,
        ),
    ] = None
    label: Annotated[
        list[str] | None,
        typer.Option(
            "--label",
            metavar="KEY[=VALUE]",
            help="Only with this label; without a value: whatever it is; repeatable.",
        ),
    ] = None
    status: Annotated[
        list[str] | None,
        typer.Option(
            "--status",
            metavar="STATUS,…",
            help="Only in one of these; repeatable.",
            autocompletion=known.statuses,
        ),
    ] = None

    @property
    def is_given(self) -> bool:
        return any((self.flow, self.source, self.label, self.status))

    def selection(self, *, status: str | None = None) -> "Selection":
        """With a status where none was said. Raises NotFound, Ambiguous, InvalidInput."""
        from automagik.core.flows.manager import FlowManager
        from automagik.core.flows.sources import SourceManager
        from automagik.core.scheduler.labels import wanted_labels
        from automagik.core.scheduler.selection import Selection
        from automagik.core.scheduler.values import ScheduleStatus

        known = database(), settings()
        return Selection(
            flow_id=FlowManager(*known).get(self.flow).id if self.flow else None,
            source_id=SourceManager(*known).get(self.source).id if self.source else None,
            statuses=chosen(
                self.status or ([status] if status else ()), ScheduleStatus, noun="status"
            ),
            labels=wanted_labels(self.label or ()),
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class SelectionOptions(FilterOptions):
    """Which schedules, where they are not named."""

    all_: Annotated[bool, typer.Option("--all", help="All there are, or all that fit.")] = False
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only list which they are; change nothing.")
    ] = False

    @property
    def says_which(self) -> bool:
        return self.all_ or self.is_given
