"""Options that say when: --every, --cron, --at, or --type with --expr."""

from typing import TYPE_CHECKING, Annotated

import typer

from automagik.core.exceptions import InvalidInput

if TYPE_CHECKING:
    from automagik.core.scheduler.values import CadenceText

Every = Annotated[
    str | None, typer.Option("--every", metavar="INTERVAL", help="30s, 5m, 2h, 1d, 1h30m, …")
]
Cron = Annotated[
    str | None,
    typer.Option(
        "--cron", metavar="EXPR", help="'0 9 * * 1-5', @daily, …; 6 fields: seconds first."
    ),
]
At = Annotated[
    str | None,
    typer.Option("--at", metavar="TIME", help="Once: 2030-12-01T09:00, with or without zone; now."),
]
Type = Annotated[
    str | None,
    typer.Option("--type", metavar="TYPE", help="interval, cron or oneshot; together with --expr."),
]
Expr = Annotated[
    str | None, typer.Option("--expr", metavar="EXPR", help="The rule of this --type.")
]
Timezone = Annotated[
    str | None,
    typer.Option("--timezone", "--tz", metavar="ZONE", help="IANA zone; by default TIMEZONE."),
]

_EXAMPLE = "For example: --every 5m, --cron '0 9 * * 1-5', --at 2030-12-01T09:00"


def given_cadence(
    *,
    type_: str | None = None,
    expr: str | None = None,
    every: str | None = None,
    cron: str | None = None,
    at: str | None = None,
) -> "CadenceText | None":
    """The one rule that was given; None when there was none. Raises InvalidInput."""
    from automagik.core.scheduler.values import CadenceText

    if (type_ is None) != (expr is None):
        raise InvalidInput("--type and --expr belong together.", hint=_EXAMPLE)
    rules = (("interval", every), ("cron", cron), ("oneshot", at), (type_ or "", expr))
    given = [CadenceText(type=kind, expr=text) for kind, text in rules if text is not None]
    if len(given) > 1:
        raise InvalidInput("Only one time rule is possible.", hint=_EXAMPLE)
    return given[0] if given else None


def required(cadence: "CadenceText | None") -> "CadenceText":
    """Raises InvalidInput."""
    if cadence is None:
        raise InvalidInput("The time rule is missing.", hint=_EXAMPLE)
    return cadence
