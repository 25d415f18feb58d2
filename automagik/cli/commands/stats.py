"""`automagik stats`: how many runs there were, how they ended and how long they took."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from automagik.cli.context import database, printer, settings
from automagik.cli.moments import age
from automagik.cli.printer import Column
from automagik.cli.times import duration

if TYPE_CHECKING:
    from automagik.core.tasks.stats import Runs, Stats

app = typer.Typer()

_BARS = " ▁▂▃▄▅▆▇█"


def _percent(share: float) -> str:
    return f"{100 * share:.4g} %"


def _quantile(name: str, title: str, *, wide: bool = False) -> Column:
    return Column(name, title, format=duration, wide=wide)


_COLUMNS = (
    Column("flow"),
    Column("tasks"),
    Column("per_minute", "Per minute", format=lambda rate: f"{rate:.3g}", wide=True),
    Column("success_rate", "Success", format=_percent),
    Column("failed", style=lambda count: "red" if count else ""),
    Column("cancelled", wide=True),
    _quantile("waited_p50", "Waited p50"),
    _quantile("waited_p95", "p95"),
    _quantile("waited_p99", "p99", wide=True),
    _quantile("took_p50", "Took p50"),
    _quantile("took_p95", "p95"),
    _quantile("took_p99", "p99", wide=True),
)


@app.command()
def stats(
    *,
    since: Annotated[
        str,
        typer.Option("--since", metavar="TIME", help="Ended since: 2h, a date or an instant."),
    ] = "1d",
) -> None:
    """Show per flow how many runs ended, how, how long they waited and how long they took.

    Waiting and duration are those of the latest attempt; runs that were cancelled do not count
    in them, nor in the rate of success.

    Example: automagik stats --since 7d
    """
    from automagik.core.tasks.manager import TaskManager

    found = TaskManager(database(), settings()).stats(age=age(since))
    if found.all_flows and printer().for_people and not printer().fields:
        _pictures(found)
    rows = [_item(runs) for runs in found.flows]
    if found.all_flows and len(rows) > 1:
        rows.append({**_item(found.all_flows), "flow": "all"})
    printer().items(rows, _COLUMNS, empty=f"Nothing ended within {duration(found.age)}.")


def _item(runs: "Runs") -> dict[str, Any]:
    item = asdict(runs)
    quantiles = {
        f"{what}_{name}": length
        for what in ("waited", "took")
        for name, length in item.pop(what).items()
    }
    return item | {"success_rate": runs.success_rate} | quantiles


def _pictures(found: "Stats") -> None:
    span = duration(found.age / len(found.ends))
    printer().raw(f"Ended   {sparkline(found.ends)}  {span} each, at most {max(found.ends)}\n")
    if any(found.failures):
        printer().raw(f"Failed  {sparkline(found.failures)}  at most {max(found.failures)}\n")
    if found.is_cut:
        printer().say("! There was more: only the newest are counted.")
    printer().raw("\n")


def sparkline(counts: Sequence[int]) -> str:
    """A bar per count; whatever is not nothing can be seen."""
    most = max(counts, default=0) or 1
    return "".join(_BARS[-(-count * (len(_BARS) - 1) // most)] for count in counts)
