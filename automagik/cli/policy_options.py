"""Options that say what a schedule does when its runs overlap, come late, fail or are enough."""

from dataclasses import dataclass, fields
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated

import typer

from automagik.cli.times import parse_duration, parsed
from automagik.core.duration import parse_grace
from automagik.core.scheduler.policies import CatchUpOrder, Misfire, Overlap

if TYPE_CHECKING:
    from automagik.core.scheduler.policy_columns import PolicyChange


def _parse_grace(text: str) -> timedelta:
    return parsed(parse_grace, text)


@dataclass(frozen=True, kw_only=True, slots=True)
class PolicyOptions:
    """What was said about policies."""

    overlap: Annotated[
        Overlap | None,
        typer.Option("--overlap", help="While a run is unfinished; by default allow-all."),
    ] = None
    misfire: Annotated[
        Misfire | None,
        typer.Option("--misfire", help="For what comes too late; by default run-once."),
    ] = None
    misfire_grace: Annotated[
        timedelta | None,
        typer.Option(
            "--misfire-grace", parser=_parse_grace, metavar="DURATION", help="How late is too late."
        ),
    ] = None
    catch_up: Annotated[
        timedelta | None,
        typer.Option(
            "--catch-up",
            parser=parse_duration,
            metavar="DURATION",
            help="What is older is never made up for.",
        ),
    ] = None
    catch_up_order: Annotated[
        CatchUpOrder | None,
        typer.Option("--catch-up-order", help="With run-all; by default oldest-first."),
    ] = None
    jitter: Annotated[
        timedelta | None,
        typer.Option(
            "--jitter",
            parser=parse_duration,
            metavar="DURATION",
            help="Start each run up to so much later, each by another time.",
        ),
    ] = None
    spread: Annotated[
        timedelta | None,
        typer.Option(
            "--spread",
            parser=parse_duration,
            metavar="DURATION",
            help="Start all runs later by one time below this, another for each schedule.",
        ),
    ] = None
    max_runs: Annotated[
        int | None,
        typer.Option("--max-runs", min=1, help="Completed after so many, counted from now."),
    ] = None
    pause_after_failures: Annotated[
        int | None,
        typer.Option("--pause-after-failures", min=1, help="Pause when so many failed in a row."),
    ] = None
    at_most_once: Annotated[
        bool | None,
        typer.Option(
            "--at-most-once/--no-at-most-once",
            help="Never send a run again that may have reached the source; by default as the flow.",
        ),
    ] = None

    def change(self) -> "PolicyChange":
        from automagik.core.scheduler.policy_columns import PolicyChange

        return PolicyChange(**{each.name: getattr(self, each.name) for each in fields(self)})
