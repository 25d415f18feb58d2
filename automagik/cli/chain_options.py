"""Options that say what a schedule follows, and what follows it."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Annotated

import typer

from automagik.cli import known
from automagik.cli.context import database, settings
from automagik.cli.schedule_options import RuleOptions
from automagik.core.exceptions import InvalidInput
from automagik.core.scheduler.after import AfterText, End, Reaction

if TYPE_CHECKING:
    from automagik.core.flows.values import Flow


@dataclass(frozen=True, kw_only=True, slots=True)
class ChainOptions:
    """What was said about runs that start runs."""

    after: Annotated[
        str | None,
        typer.Option(
            "--after",
            metavar="SCHEDULE|FLOW",
            autocompletion=known.parents,
            help="No clock: run when a run of this has ended; schedule:NAME, flow:NAME.",
        ),
    ] = None
    on: Annotated[
        End | None,
        typer.Option(
            "--on", help="Which end --after waits for; by default completed. Never a cancelled one."
        ),
    ] = None
    on_success: Annotated[
        str | None,
        typer.Option(
            "--on-success",
            metavar="FLOW",
            help="Run this flow after each success.",
            autocompletion=known.flows,
        ),
    ] = None
    on_failure: Annotated[
        str | None,
        typer.Option(
            "--on-failure",
            metavar="FLOW",
            help="Run this flow after each failure.",
            autocompletion=known.flows,
        ),
    ] = None
    on_recovery: Annotated[
        str | None,
        typer.Option(
            "--on-recovery",
            metavar="FLOW",
            help="Run this flow after the first success again.",
            autocompletion=known.flows,
        ),
    ] = None

    def after_text(self, rule: RuleOptions) -> AfterText | None:
        """None: a clock says when. Raises InvalidInput for both, and for --on alone."""
        if self.after is None and self.on is not None:
            raise InvalidInput(
                "--on says which end of another's run counts: --after is missing.",
                hint=f"For example: --after nightly --on {self.on}",
            )
        if self.after is None:
            return None
        if said := _said(rule):
            raise InvalidInput(
                f"--after does not go with {', '.join(said)}: a schedule that follows another has"
                " no clock.",
                hint="It runs whenever what it follows has ended. --jitter and --spread delay it.",
            )
        return AfterText(reference=self.after, end=self.on or End.COMPLETED)

    def reactions(self) -> "Mapping[Reaction, Flow]":
        """Raises NotFound and Ambiguous."""
        from automagik.core.flows.manager import FlowManager

        flows = FlowManager(database(), settings())
        return {each: flows.get(name) for each, name in self.named().items()}

    def named(self) -> Mapping[Reaction, str]:
        """The flows that were named."""
        said = {each: getattr(self, each.replace("-", "_")) for each in Reaction}
        return {each: name for each, name in said.items() if name is not None}


def _said(rule: RuleOptions) -> list[str]:
    return [
        f"--{each.name.strip('_').replace('_', '-')}"
        for each in fields(rule)
        if getattr(rule, each.name) is not None
    ]
