"""What goes on, as it goes on: lists that redraw themselves, and one task until its end."""

import sys
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, NoReturn

from automagik.cli import machine
from automagik.cli.context import database, printer
from automagik.cli.marks import colour, marked
from automagik.cli.printer import Column, Output, visible
from automagik.cli.times import duration
from automagik.cli.watching import leaving
from automagik.core.database.news import News
from automagik.core.exceptions import InvalidInput
from automagik.core.tasks.values import Event, LogLine, Task

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.live import Live

_SECOND = timedelta(seconds=1)
_LINES = 12
_MOVING = frozenset(
    {
        *("ran_for", "waited_for", "oldest_age"),
        *("heartbeat_at", "heartbeat_age", "clock_offset_seconds"),
    }
)
"""They differ at each look although nothing has happened."""

Items = Sequence[Mapping[str, Any]]
ColumnsOf = Callable[[Items], Sequence[Column]]


def show_list(read: Callable[[], Items], columns: ColumnsOf, *, empty: str) -> NoReturn:
    """Until Ctrl-C: on a terminal the table, in a pipe one line for each thing that has changed."""
    with leaving("Only the watching has ended; all else goes on."), News(database()) as news:
        if printer().for_people:
            _redraw(read, columns, news, empty=empty)
        _tell_changes(read, columns, news)


def _redraw(read: Callable[[], Items], columns: ColumnsOf, news: News, *, empty: str) -> NoReturn:
    with _live() as live:
        while True:
            items = read()
            live.update(printer().table(items, columns(items)) if items else empty, refresh=True)
            # Also when nothing happens: times are relative.
            news.wait(_SECOND)


def _tell_changes(read: Callable[[], Items], columns: ColumnsOf, news: News) -> NoReturn:
    """Raises InvalidInput for shapes that need to know the end."""
    shape = printer().output or Output.JSONL
    if shape in (Output.JSON, Output.YAML):
        raise InvalidInput(f"What goes on cannot be shown as {shape}.", hint="Use -o jsonl.")
    told: dict[Any, Mapping[str, Any]] = {}
    while True:
        items = read()
        keys = [column.key for column in columns(items)]
        present = {_identity(item): item for item in reversed(items)}
        for item in _changed(present, told):
            printer().raw("".join(f"{line}\n" for line in _lines(shape, item, keys)))
        sys.stdout.flush()
        told = {key: _still(item) for key, item in present.items()}
        news.wait()


def _lines(shape: Output, item: Mapping[str, Any], keys: Sequence[str]) -> Iterable[str]:
    fields = printer().fields
    cut = {key: item.get(key) for key in fields} if fields else item
    return machine.listed(shape, [cut], fields or keys, header=False)


def _identity(item: Mapping[str, Any]) -> Any:
    """A queue has nothing but its name."""
    return item.get("id") or item["name"]


def _changed(
    present: Mapping[Any, Mapping[str, Any]], told: Mapping[Any, Mapping[str, Any]]
) -> Iterable[Mapping[str, Any]]:
    return (item for key, item in present.items() if told.get(key) != _still(item))


def _still(item: Mapping[str, Any]) -> Mapping[str, Any]:
    return {key: value for key, value in item.items() if key not in _MOVING}


class TaskView:
    """One task on a terminal: its state, how long it takes, and what it said last."""

    def __init__(self, read: Callable[[], Task]) -> None:
        self._read = read
        self._task = read()
        self._said: deque[str] = deque(maxlen=_LINES)

    def run(self, entries: Iterable[Event | LogLine]) -> None:
        with _live(get_renderable=self._picture, times_a_second=4) as live:
            for entry in entries:
                if isinstance(entry, LogLine):
                    self._said.append(_line(entry))
                else:
                    self._task = self._read()
                live.refresh()

    def _picture(self) -> "RenderableType":
        from rich.console import Group
        from rich.text import Text

        task = self._task
        heading = Text.assemble(
            (marked(task.state), colour(task.state)),
            f"  {visible(task.flow_name)}",
            (f"  {self._progress()}  {task.id}", "dim"),
        )
        return Group(heading, *(Text(line, style="dim") for line in self._said))

    def _progress(self) -> str:
        task = self._task
        if task.started_at is None:
            return f"waiting for {_since(task.run_at, task)}"
        attempt = f"attempt {task.attempt} of {task.max_attempts}"
        return f"{attempt}  {_since(task.started_at, task)}"


def _since(instant: datetime, task: Task) -> str:
    return duration(max((task.finished_at or datetime.now(UTC)) - instant, timedelta()))


def _line(line: LogLine) -> str:
    return f"  {line.at.astimezone():%H:%M:%S} {line.level:<7} {visible(line.message)}"


def _live(
    get_renderable: "Callable[[], RenderableType] | None" = None, times_a_second: float = 0
) -> "Live":
    from rich.live import Live

    return Live(
        console=printer().console(),
        get_renderable=get_renderable,
        auto_refresh=times_a_second > 0,
        refresh_per_second=times_a_second or 1,
        vertical_overflow="crop",
    )
