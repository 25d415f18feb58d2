"""What goes on, as a person sees it on a terminal and a program in a pipe."""

import os
import signal
from collections.abc import Iterator
from datetime import timedelta
from threading import Thread

import pytest
import typer

from automagik.cli.context import invocation
from automagik.cli.watching import leaving
from automagik.core.config import Settings
from automagik.core.database.session import Database
from automagik.core.tasks.manager import TaskManager
from automagik.core.tasks.states import TaskState
from automagik.core.tasks.values import Task
from tests.cli.terminal import Terminal
from tests.core.records import add_schedules, add_task, add_worker, rows
from tests.core.tasks.rows import add_flow, end, say, start

CTRL_C = "\x03"


@pytest.fixture
def database(settings: Settings) -> Iterator[Database]:
    opened = Database(settings.require_database_url())
    yield opened
    opened.dispose()


@pytest.fixture
def task(database: Database, settings: Settings) -> Task:
    return TaskManager(database, settings).get(add_task(database, add_flow(database)))


def run(database: Database, task: Task, state: TaskState) -> None:
    """A worker claims it, says something and ends it."""
    start(database, task.id)
    say(database, task.id, "thinking of a city")
    end(database, task.id, state)


@pytest.mark.parametrize("state, exit_code", [(TaskState.COMPLETED, 0), (TaskState.FAILED, 1)])
def test_watching_a_task_ends_as_it_does(
    terminal: Terminal, database: Database, task: Task, state: TaskState, exit_code: int
) -> None:
    worker = Thread(target=run, args=(database, task, state))
    worker.start()
    shown = terminal("tasks", "watch", str(task.id))
    worker.join()

    assert shown.exit_code == exit_code
    assert f"{state}  greeter  attempt 1 of 4" in shown.text
    assert "thinking of a city" in shown.text
    assert str(task.id) in shown.text


def test_who_stops_watching_leaves_the_task_alone(
    terminal: Terminal, database: Database, settings: Settings, task: Task
) -> None:
    shown = terminal("tasks", "watch", str(task.id), keys={"waiting for": CTRL_C})

    assert shown.exit_code == 130
    assert "The task goes on." in shown.text
    assert TaskManager(database, settings).get(task.id).state is TaskState.PENDING


def test_a_list_redraws_itself(terminal: Terminal, database: Database, task: Task) -> None:
    worker = Thread(target=run, args=(database, task, TaskState.COMPLETED))
    worker.start()
    shown = terminal("tasks", "list", "--watch", keys={"completed": CTRL_C})
    worker.join()

    assert shown.exit_code == 130
    assert str(task.id) in shown.text
    assert "all else goes on" in shown.text


@pytest.mark.parametrize(
    "noun, change, after",
    [
        ("schedules", "UPDATE schedules SET status = 'paused'", "paused"),
        ("queues", "INSERT INTO queues (name) VALUES ('gpu')", "gpu"),
        ("workers", "UPDATE workers SET status = 'draining'", "draining"),
    ],
)
def test_other_lists_redraw_themselves_too(
    terminal: Terminal, database: Database, noun: str, change: str, after: str
) -> None:
    add_schedules(database, add_flow(database), name="mine")
    add_worker(database)
    changed = Thread(target=when_watched, args=(database, f"{change} RETURNING 1"))
    changed.start()
    shown = terminal(noun, "list", "--watch", keys={after: CTRL_C}, columns=120)
    changed.join()

    assert shown.exit_code == 130
    assert "all else goes on" in shown.text


def when_watched(database: Database, change: str) -> None:
    """Once somebody has read the list and waits for news of it."""
    with database.listen("automagik_news") as listener:
        while not rows(database, "SELECT id FROM watchers"):
            listener.wait(timedelta(milliseconds=20))
    rows(database, change)


def interrupted() -> None:
    with leaving("It goes on."):
        try:
            os.kill(os.getpid(), signal.SIGINT)
            signal.pause()
        except KeyboardInterrupt:
            assert signal.getsignal(signal.SIGINT) is signal.SIG_DFL
            raise


def test_a_second_ctrl_c_would_end_the_process_at_once(capsys: pytest.CaptureFixture[str]) -> None:
    usual = signal.getsignal(signal.SIGINT)

    with invocation(), pytest.raises(typer.Exit) as left:
        interrupted()

    assert left.value.exit_code == 130
    assert capsys.readouterr().err == "\nIt goes on.\n"
    assert signal.getsignal(signal.SIGINT) is usual


def test_a_heartbeat_alone_is_no_news_of_a_worker(terminal: Terminal, database: Database) -> None:
    worker, flow = add_worker(database), add_flow(database)

    def beat() -> None:
        for change in ("heartbeat_at = now(), clock_offset_seconds = 7", "status = 'draining'"):
            when_watched(database, f"UPDATE workers SET {change} RETURNING 1")
            add_task(database, flow)

    beating = Thread(target=beat)
    beating.start()
    shown = terminal("workers", "list", "--watch", "-o", "jsonl", keys={'"draining"': CTRL_C})
    beating.join()

    assert shown.text.count(str(worker.id)) == 2


def test_in_a_pipe_each_change_is_a_line(
    terminal: Terminal, database: Database, task: Task
) -> None:
    """On a terminal the same lines can be asked for."""
    worker = Thread(target=run, args=(database, task, TaskState.COMPLETED))
    worker.start()
    shown = terminal("tasks", "list", "--watch", "-o", "jsonl", keys={'"completed"': CTRL_C})
    worker.join()

    assert shown.exit_code == 130
    assert shown.text.count('"state": "completed"') == 1


def test_what_needs_to_know_the_end_is_refused(terminal: Terminal) -> None:
    assert terminal("tasks", "list", "--watch", "-o", "json").exit_code == 2
