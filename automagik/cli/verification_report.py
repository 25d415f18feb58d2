"""What `automagik db verify` says."""

from typing import TYPE_CHECKING

from automagik.cli.printer import Column, Output, Printer

if TYPE_CHECKING:
    from automagik.core.verification import Verification

_COLUMNS = (Column("rule", "Broken promise"), Column("details"))


def tell(printer: Printer, found: "Verification") -> None:
    """Violations are data, one a line; JSON has the figures and notes beside them."""
    items = [{"rule": each.rule, "details": each.details} for each in found.violations]
    if printer.output is Output.JSON and not printer.fields:
        checked = {key: getattr(found, key) for key in ("rules", "tasks", "attempts")}
        checked["occurrences"] = found.occurrences
        printer.item({"items": items, "checked": checked, "notes": found.notes})
    else:
        printer.items(items, _COLUMNS, empty="✓ Every promise was kept.")
    for note in found.notes:
        printer.say(f"! {note}")
    printer.say(
        f"{found.rules} rules checked on {found.tasks:,} tasks, {found.attempts:,} attempts and"
        f" {found.occurrences:,} occurrences."
    )
