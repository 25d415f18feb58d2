"""One command for many tasks: by their ids, or all that options mean, batch by batch."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING
from uuid import UUID

import typer

from automagik.cli import person, task_report
from automagik.cli.context import database, printer, settings
from automagik.cli.task_options import TaskOptions
from automagik.core.exceptions import AutomagikError, InvalidInput
from automagik.core.tasks.states import TaskState
from automagik.core.tasks.values import Task

if TYPE_CHECKING:
    from automagik.core.tasks.manager import TaskManager


@dataclass(frozen=True, kw_only=True, slots=True)
class Deed:
    """What is done to tasks, and the words for it."""

    one: Callable[[UUID], Task | None]
    many: Callable[[Sequence[UUID]], int]
    """Those of them that it can be done to, in one transaction; returns how many."""
    states: Sequence[TaskState]
    """Those that are meant where no state is said."""
    question: str
    done: str
    """Of each: `cancelled`, `due again`."""
    then: str | None = None
    """What may follow."""
    asks_for_named: bool = False
    batch: int = 500


def do(
    deed: Deed, references: Sequence[str] | None, which: TaskOptions, *, dry_run: bool, yes: bool
) -> None:
    """By ids, or what the options mean at this moment. Raises InvalidInput, NotFound."""
    if references and which != TaskOptions():
        raise InvalidInput("Either ids or options that say which, not both.")
    if references:
        _named(deed, _resolve_all(references), dry_run=dry_run, yes=yes)
    elif which != TaskOptions():
        _chosen(deed, which, dry_run=dry_run, yes=yes)
    else:
        raise InvalidInput(
            "Nothing says which tasks are meant.",
            hint="Give ids, or options such as --flow NAME --since 1h",
        )


def _named(deed: Deed, ids: Sequence[UUID], *, dry_run: bool, yes: bool) -> None:
    if dry_run:
        _list([_manager().get(task_id) for task_id in ids], deed)
        return
    if deed.asks_for_named:
        person.confirm(f"{deed.question} {len(ids)} task(s)?", yes=yes)
    _one_by_one(deed, ids)


def _one_by_one(deed: Deed, ids: Sequence[UUID]) -> None:
    """One failure stops no other; the first one decides the exit code."""
    changed: list[Task] = []
    exit_codes: list[int] = []
    for task_id in ids:
        try:
            task = deed.one(task_id)
        except AutomagikError as error:
            printer().error(error)
            exit_codes.append(error.exit_code)
            continue
        changed += [task] if task else []
        printer().say(f"✓ Task {task_id} {deed.done}.")
    if printer().output:
        found = [task_report.as_item(task) for task in changed]
        printer().items(found, task_report.LIST, empty="")
    if exit_codes:
        raise typer.Exit(exit_codes[0])
    _say_what_follows(deed)


def _chosen(deed: Deed, which: TaskOptions, *, dry_run: bool, yes: bool) -> None:
    wanted = which.filter()
    pages = _manager().walk(replace(wanted, states=wanted.states or tuple(deed.states)))
    if dry_run:
        _list([task for page in pages for task in page], deed)
        return
    ids = [task.id for page in pages for task in page]
    if not ids:
        printer().items([], task_report.LIST, empty="No task is like that.")
        return
    person.confirm(f"{deed.question} {len(ids):,} task(s)?", yes=yes)
    changed = sum(_in_batches(deed, ids))
    printer().say(f"✓ {changed:,} task(s) {deed.done}.")
    if changed < len(ids):
        printer().say(f"  {len(ids) - changed:,} had moved on meanwhile and were left alone.")
    else:
        _say_what_follows(deed)


def _in_batches(deed: Deed, ids: Sequence[UUID]) -> Iterator[int]:
    """What takes one batch is over before a bar could be read."""
    if len(ids) <= deed.batch:
        yield deed.many(ids)
        return
    with printer().progress(total=len(ids)) as tell:
        for start in range(0, len(ids), deed.batch):
            yield deed.many(ids[start : start + deed.batch])
            done = min(start + deed.batch, len(ids))
            tell(done, f"{done:,} of {len(ids):,} task(s) {deed.done}")


def _list(tasks: Sequence[Task], deed: Deed) -> None:
    items = [task_report.as_item(task) for task in tasks]
    printer().items(items, task_report.LIST, empty="No task is like that.")
    if tasks:
        printer().say(f"{len(tasks):,} task(s) would be {deed.done}. Nothing was changed.")


def _say_what_follows(deed: Deed) -> None:
    if deed.then:
        printer().say(f"  {deed.then}")


def _resolve_all(references: Sequence[str]) -> list[UUID]:
    """Before anything changes: a slip of the pen leaves all as it was. Each task once."""
    tasks = _manager()
    return list(dict.fromkeys(tasks.resolve(reference) for reference in references))


def _manager() -> "TaskManager":
    from automagik.core.tasks.manager import TaskManager

    return TaskManager(database(), settings())
