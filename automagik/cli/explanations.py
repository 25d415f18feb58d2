"""A paragraph that says what became of something; JSON has what a program wants of it, too."""

from dataclasses import asdict
from typing import TYPE_CHECKING, Union

from automagik.cli.printer import Output, Printer, visible

if TYPE_CHECKING:
    from automagik.core.scheduler.explain import Explanation
    from automagik.core.tasks.why import Why


def show(printer: Printer, explanation: Union["Explanation", "Why"]) -> None:
    """The words alone for people and in a plain pipe."""
    if (printer.for_people or printer.shape is Output.TSV) and not printer.fields:
        printer.raw(f"{visible(explanation.text)}\n")
    else:
        printer.item(asdict(explanation))
