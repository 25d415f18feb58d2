"""The screen of `automagik top`: pictures of moments, one after another, until somebody leaves."""

import time
from collections.abc import Iterable, Sequence
from datetime import timedelta
from typing import ClassVar
from uuid import UUID

from rich.text import Text
from textual import work
from textual.app import App, ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal, Vertical
from textual.screen import ModalScreen
from textual.widgets import DataTable, Footer, RichLog, Sparkline, Static
from textual.worker import Worker, get_current_worker

from automagik.cli.marks import colour, marked
from automagik.cli.printer import visible
from automagik.cli.task_report import as_item
from automagik.cli.times import ago, duration
from automagik.core.config import Settings
from automagik.core.database.news import News
from automagik.core.database.session import Database
from automagik.core.exceptions import AutomagikError
from automagik.core.overview import SECONDS, Overview, look_over
from automagik.core.queues import Queue, at_least
from automagik.core.tasks.manager import TaskManager
from automagik.core.tasks.values import LogLine, Task
from automagik.core.tasks.workers import Worker as LiveWorker

_LOOK = timedelta(seconds=1)
_TRY_AGAIN = timedelta(seconds=1)
_Cells = Sequence[str | Text]


class _Panel(Vertical):
    """A table with a title; its rows are replaced, its cursor stays."""

    def __init__(self, name: str, title: str, columns: Iterable[str]) -> None:
        self.table: DataTable[str | Text] = DataTable(id=name, cursor_type="row")
        super().__init__(self.table)
        self.border_title = title
        self._columns = tuple(columns)

    def on_mount(self) -> None:
        self.table.add_columns(*self._columns)

    def show(self, rows: Iterable[tuple[str, _Cells]]) -> None:
        cursor = self.table.cursor_row
        self.table.clear()
        for key, cells in rows:
            self.table.add_row(*cells, key=key)
        self.table.move_cursor(row=cursor)


class Top(App[None]):
    """Whoever looks costs the database a look a second, and less while nothing happens."""

    TITLE = "AutoMagik"
    ENABLE_COMMAND_PALETTE = False
    BINDINGS: ClassVar[list[BindingType]] = [("q", "quit", "Leave")]
    CSS = """
    #verdict { height: 1; padding: 0 1; }
    Sparkline { height: 2; margin: 0 1; }
    _Panel { border: round $primary; height: 1fr; }
    #processes { height: 1fr; }
    DataTable { height: 1fr; }
    """

    def __init__(self, database: Database, settings: Settings) -> None:
        super().__init__()
        self._database = database
        self._settings = settings
        self._tasks = TaskManager(database, settings)

    def compose(self) -> ComposeResult:
        yield Static(id="verdict")
        yield Sparkline([0] * SECONDS, id="ends")
        with Horizontal(id="processes"):
            yield _Panel("queues", "Queues", ("queue", "due", "queued", "running", "workers"))
            yield _Panel("workers", "Workers", ("worker", "busy", "slots", "heartbeat"))
        yield _Panel("running", "Running", ("task", "flow", "schedule", "attempt", "for"))
        yield _Panel("ended", "Ended", ("task", "state", "flow", "schedule", "took", "error"))
        yield _Panel("upcoming", "Coming", ("schedule", "flow", "at"))
        yield Footer()

    def on_mount(self) -> None:
        self._watch()

    @work(thread=True)
    def _watch(self) -> None:
        """In a thread of its own: keys are heard while the database is slow."""
        worker = get_current_worker()
        while not worker.is_cancelled:
            try:
                self._look_until_trouble(worker)
            except AutomagikError as error:
                self.call_from_thread(self._tell, Text(f"✗ {error.message}", style="red"))
                time.sleep(_TRY_AGAIN.total_seconds())

    def _look_until_trouble(self, worker: "Worker[None]") -> None:
        with News(self._database) as news:
            while not worker.is_cancelled:
                with self._database.transaction() as connection:
                    seen = look_over(connection, self._settings)
                self.call_from_thread(self._show, seen)
                news.wait(_LOOK)

    def _tell(self, words: Text) -> None:
        self.query_one("#verdict", Static).update(words)

    def _show(self, seen: Overview) -> None:
        self._tell(_verdict(seen))
        self.query_one(Sparkline).data = list(map(float, seen.ends))
        panels = {panel.table.id: panel for panel in self.query(_Panel)}
        panels["queues"].show((each.name, _queue_cells(each)) for each in seen.queues)
        panels["workers"].show((str(each.id), _worker_cells(each)) for each in seen.workers)
        panels["running"].show((str(task.id), _running_cells(task)) for task in seen.running)
        panels["ended"].show((str(task.id), _ended_cells(task)) for task in seen.ended)
        panels["upcoming"].show(
            (str(each.schedule_id), (visible(each.schedule), visible(each.flow), ago(each.at)))
            for each in seen.upcoming
        )

    def on_data_table_row_selected(self, event: DataTable.RowSelected) -> None:
        if event.data_table.id in ("running", "ended") and event.row_key.value:
            self.push_screen(TaskScreen(self._tasks, UUID(event.row_key.value)))


class TaskScreen(ModalScreen[None]):
    """A task with its log."""

    BINDINGS: ClassVar[list[BindingType]] = [("escape,q", "dismiss", "Back")]
    CSS = "RichLog { border: round $primary; }"

    def __init__(self, tasks: TaskManager, task_id: UUID) -> None:
        super().__init__()
        self._tasks = tasks
        self._task_id = task_id

    def compose(self) -> ComposeResult:
        yield RichLog(wrap=True)
        yield Footer()

    def on_mount(self) -> None:
        self._read()

    @work(thread=True)
    def _read(self) -> None:
        try:
            lines = list(self._lines())
        except AutomagikError as error:
            lines = [Text(f"✗ {error.message}", style="red")]
        for line in lines:
            self.app.call_from_thread(self.query_one(RichLog).write, line)

    def _lines(self) -> Iterable[Text]:
        task = self._tasks.get(self._task_id)
        yield Text.assemble((marked(task.state), colour(task.state)), f"  {task.id}")
        yield Text(self._tasks.why(task.id).text)
        yield from (_said(line) for line in self._tasks.logs(task.id))


def _said(line: LogLine) -> Text:
    clock = f"{line.at.astimezone():%H:%M:%S}"
    return Text(f"{clock} {line.level:<7} {line.component}: {visible(line.message)}", style="dim")


def _verdict(seen: Overview) -> Text:
    """Whether anybody fires and works at all, and how much was done in the last minute."""
    if not (seen.beats and seen.workers):
        missing = "beat" if not seen.beats else "worker"
        return Text(f"✗ No {missing} is running.", style="red")
    busy, slots = sum(each.busy for each in seen.workers), sum(each.slots for each in seen.workers)
    failed = f", {sum(seen.failures)} failed" if any(seen.failures) else ""
    words = f"{sum(seen.ends)} runs ended in the last minute{failed} · {busy} of {slots} slots busy"
    return Text(f"✓ {words}", style="yellow" if failed else "green")


def _queue_cells(queue: Queue) -> _Cells:
    name = Text(queue.name, style="yellow" if queue.paused_at else "")
    return name, at_least(queue.due), str(queue.queued), str(queue.running), str(queue.workers)


def _worker_cells(each: LiveWorker) -> _Cells:
    return each.name, str(each.busy), str(each.slots), f"{duration(each.heartbeat_age)} ago"


def _running_cells(task: Task) -> _Cells:
    attempt = f"{task.attempt} of {task.max_attempts}"
    took = duration(as_item(task)["ran_for"] or timedelta())
    return str(task.id), visible(task.flow_name), visible(task.schedule_name or ""), attempt, took


def _ended_cells(task: Task) -> _Cells:
    took = as_item(task)["ran_for"]
    return (
        str(task.id),
        Text(marked(task.state), style=colour(task.state)),
        visible(task.flow_name),
        visible(task.schedule_name or ""),
        "" if took is None else duration(took),
        Text(task.error_code or "", style="red"),
    )
