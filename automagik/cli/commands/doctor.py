"""`automagik doctor`: every part checked, each with what to do."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from automagik.cli.context import printer, settings
from automagik.cli.printer import Column, Output
from automagik.core.exceptions import ConfigurationError, InvalidInput

if TYPE_CHECKING:
    from automagik.core.health.diagnosis import Diagnosis
    from automagik.core.health.repair import Repair

app = typer.Typer()


@app.command()
def doctor(
    *,
    fix: Annotated[
        bool,
        typer.Option("--fix", help="First mend what is safe: schema, files, what the dead left."),
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="With --fix: only say what would be mended.")
    ] = False,
) -> None:
    """Check every part and say how to mend it; the exit code is 1 if one is broken.

    Example: automagik doctor -o json
    """
    from automagik.core.health.diagnosis import diagnose

    if dry_run and not fix:
        raise InvalidInput("--dry-run goes with --fix.", hint="automagik doctor --fix --dry-run")
    repairs = _repaired(dry_run=dry_run) if fix else []
    diagnosis = diagnose(settings)
    if printer().shape in (Output.JSON, Output.JSONL, Output.YAML):
        told = {"repairs": [asdict(repair) for repair in repairs]} if fix else {}
        printer().item({"is_well": diagnosis.is_well, **asdict(diagnosis), **told})
    else:
        _tell(repairs, asked=fix)
        _show(diagnosis)
    raise typer.Exit(0 if diagnosis.is_well else 1)


def _repaired(*, dry_run: bool) -> "Sequence[Repair]":
    from automagik.core.health.repair import repair

    try:
        read = settings()
    except ConfigurationError:
        # The diagnosis lists what is wrong.
        return []
    return repair(read, dry_run=dry_run)


def _tell(repairs: "Sequence[Repair]", *, asked: bool) -> None:
    for repair in repairs:
        mark = "✗" if repair.error else "✓" if repair.is_done else "would be done:"
        printer().say(f"{mark} {repair.what}")
    if asked and not repairs:
        printer().say("Nothing can be mended by itself.")


_MARKS = {"ok": ("✓", "green"), "warning": ("!", "yellow"), "error": ("✗", "bold red")}


def _mark(verdict: Any) -> str:
    return _MARKS[str(verdict)][0]


def _colour(verdict: Any) -> str:
    return _MARKS[str(verdict)][1]


_CHECKS = (
    Column("verdict", " ", format=_mark, style=_colour),
    Column("name", "Check"),
    Column("found"),
    Column("fix", "What to do"),
)
_SETTINGS = (Column("key", "Setting"), Column("value"), Column("place", "From"))


def _show(diagnosis: "Diagnosis") -> None:
    """In a pipe the checks alone: one kind of line."""
    checks = [asdict(check) for check in diagnosis.checks]
    if not printer().for_people:
        printer().items(checks, _CHECKS, empty="")
        return
    needed = any(check["fix"] for check in checks)
    printer().items(checks, _CHECKS if needed else _CHECKS[:-1], empty="")
    if not diagnosis.settings:
        return
    printer().raw("\n")
    chosen = [asdict(setting) for setting in diagnosis.settings if setting.origin != "default"]
    printer().items(chosen, _SETTINGS, empty="All settings are at their defaults.")
