"""Many tasks, page by page, as programs read them."""

import sys
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from typing import TYPE_CHECKING, Any

from automagik.cli import machine, task_report
from automagik.cli.context import printer
from automagik.cli.printer import Output
from automagik.core.exceptions import InvalidInput

if TYPE_CHECKING:
    from automagik.core.tasks.listing import TaskFilter
    from automagik.core.tasks.manager import TaskManager

_TELL_EVERY = 100
_SHAPES = (Output.JSONL, Output.CSV, Output.TSV)


def write(tasks: "TaskManager", wanted: "TaskFilter", *, with_contents: bool) -> None:
    """Onto stdout as it is read. Raises InvalidInput for shapes that need to know the end."""
    shape = printer().output or Output.JSONL
    if shape not in _SHAPES:
        raise InvalidInput(f"An export has no shape {shape}.", hint=f"Use -o {', '.join(_SHAPES)}.")
    items = _items(tasks, wanted, with_contents=with_contents)
    # A bar would stand in the middle of what is written onto the same terminal.
    if sys.stdout.isatty():
        written = sum(map(_write, _lines(shape, items)))
    else:
        written = _with_progress(shape, items)
    printer().say(f"✓ {written:,} task(s)")


def _with_progress(shape: Output, items: Iterator[dict[str, Any]]) -> int:
    written = 0
    with printer().progress(total=None) as tell:
        for line in _lines(shape, items):
            written += _write(line)
            if written % _TELL_EVERY == 0:
                tell(written, f"{written:,} tasks")
    return written


def _items(
    tasks: "TaskManager", wanted: "TaskFilter", *, with_contents: bool
) -> Iterator[dict[str, Any]]:
    for page in tasks.walk(wanted):
        contents = tasks.contents([task.id for task in page]) if with_contents else {}
        yield from ({**task_report.as_item(task), **contents.get(task.id, {})} for task in page)


def _lines(shape: Output, items: Iterator[dict[str, Any]]) -> Iterator[str]:
    first = next(items, None)
    if first is None:
        return
    keys: Sequence[str] = printer().fields or list(first)
    header = printer().has_header
    for item in chain([first], items):
        yield from machine.listed(shape, [_cut(item)], keys, header=header)
        header = False


def _cut(item: Mapping[str, Any]) -> Mapping[str, Any]:
    fields = printer().fields
    return {key: item.get(key) for key in fields} if fields else item


def _write(line: str) -> int:
    printer().raw(f"{line}\n")
    return 1
