"""What `automagik db verify` says."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from automagik.cli.printer import Column, Output, Printer, visible

if TYPE_CHECKING:
    from automagik.core.tasks.verify import Violation
    from automagik.core.verification import Verification

_COLUMNS = (Column("rule", "Broken promise"), Column("details"))


def tell(printer: Printer, found: "Verification") -> None:
    """Violations are data, one a line; JSON has the figures and notes beside them."""
    items = [{"rule": each.rule, "details": each.details} for each in found.violations]
    if printer.output is Output.JSON and not printer.fields:
        checked = {key: getattr(found, key) for key in ("rules", "tasks", "attempts")}
        checked["occurrences"] = found.occurrences
        printer.item({"items": items, "checked": checked, "notes": found.notes})
    elif printer.for_people and not printer.fields and items:
        printer.raw("".join(f"{line}\n" for each in found.violations for line in _lines(each)))
    else:
        printer.items(items, _COLUMNS, empty="✓ Every promise was kept.")
    for note in found.notes:
        printer.say(f"! {note}")
    printer.say(
        f"{found.rules} rules checked on {found.tasks:,} tasks, {found.attempts:,} attempts and"
        f" {found.occurrences:,} occurrences."
    )


def _lines(violation: "Violation") -> Iterator[str]:
    """Each id in one piece, however narrow the terminal is."""
    yield f"✗ {visible(violation.rule)}"
    for name, value in violation.details.items():
        yield f"  {name} {visible(str(value))}"
