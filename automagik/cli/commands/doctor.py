"""`automagik doctor`: every part checked, each with what to do."""

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import typer

from automagik.cli.context import printer, settings
from automagik.cli.printer import Column, Output

if TYPE_CHECKING:
    from automagik.core.doctor.diagnosis import Diagnosis

app = typer.Typer()


@app.command()
def doctor() -> None:
    """Check every part and say how to mend it; the exit code is 1 if one is broken.

    Example: automagik doctor -o json
    """
    from automagik.core.doctor.diagnosis import diagnose

    diagnosis = diagnose(settings)
    if printer().output in (Output.JSON, Output.JSONL):
        printer().item({"is_well": diagnosis.is_well, **asdict(diagnosis)})
    else:
        _show(diagnosis)
    raise typer.Exit(0 if diagnosis.is_well else 1)


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
_SETTINGS = (Column("name", "Setting"), Column("value"), Column("origin", "From"))


def _show(diagnosis: "Diagnosis") -> None:
    """In a pipe the checks alone: one kind of line."""
    checks = [asdict(check) for check in diagnosis.checks]
    if not printer().for_people:
        printer().items(checks, _CHECKS, empty="")
        return
    needed = any(check["fix"] for check in checks)
    printer().items(checks, _CHECKS if needed else _CHECKS[:-1], empty="")
    printer().raw("\n")
    chosen = [asdict(setting) for setting in diagnosis.settings if setting.origin != "default"]
    printer().items(chosen, _SETTINGS, empty="All settings are at their defaults.")
