"""`automagik top`: what its screen shows, and what its keys do."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator

import pytest
from textual.pilot import Pilot
from textual.widgets import DataTable, RichLog, Static

from automagik.cli.top import TaskScreen, Top
from automagik.core.config import Settings
from automagik.core.database.session import Database
from automagik.core.tasks.states import TaskState
from tests.cli.command_line import Cli
from tests.core.records import (
    add_schedules,
    add_task,
    add_worker,
    opened,
    terminate_connections,
)
from tests.core.tasks.rows import add_beat, add_flow, end, say, start

_TRIES = 200


@pytest.fixture
def database(settings: Settings) -> Iterator[Database]:
    with opened(settings.require_database_url()) as found:
        yield found


def on_screen(top: Top, act: Callable[[Pilot[None]], Awaitable[None]]) -> None:
    async def run() -> None:
        async with top.run_test(size=(140, 50)) as pilot:
            await act(pilot)

    asyncio.run(run())


async def until(pilot: Pilot[None], holds: Callable[[], bool]) -> None:
    """The screen is drawn by and by."""
    for _ in range(_TRIES):
        if holds():
            return
        await pilot.pause(0.05)
    raise AssertionError(str(pilot.app.query_one("#verdict", Static).content))


def cells(top: Top, table: str) -> list[list[str]]:
    found = top.query_one(f"#{table}", DataTable)
    return [[str(cell) for cell in found.get_row(row)] for row in found.rows]


def test_it_shows_what_goes_on_as_it_goes_on(database: Database, settings: Settings) -> None:
    flow = add_flow(database)
    add_beat(database)
    worker = add_worker(database)
    add_schedules(database, flow)
    running = add_task(database, flow)
    start(database, running, worker_id=worker.id)
    top = Top(database, settings)

    async def act(pilot: Pilot[None]) -> None:
        await until(pilot, lambda: cells(top, "running") != [])
        assert cells(top, "running")[0][:2] == [str(running), "greeter"]
        assert cells(top, "workers")[0][:3] == ["worker@here", "1", "10"]
        assert cells(top, "upcoming")[0][1] == "greeter"
        end(database, running, TaskState.FAILED, error="no city")
        await until(pilot, lambda: cells(top, "ended") != [])
        assert cells(top, "ended")[0][:2] == [str(running), "✗ failed"]
        assert "1 runs ended in the last minute, 1 failed" in str(
            top.query_one("#verdict", Static).content
        )

    on_screen(top, act)


def test_enter_opens_a_task_with_its_log(database: Database, settings: Settings) -> None:
    task_id = add_task(database, add_flow(database))
    start(database, task_id)
    say(database, task_id, "thinking of a city")
    top = Top(database, settings)

    async def act(pilot: Pilot[None]) -> None:
        await until(pilot, lambda: cells(top, "running") != [])
        top.query_one("#running", DataTable).focus()
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(top.screen, TaskScreen))
        log = top.screen.query_one(RichLog)
        await until(pilot, lambda: any("thinking of a city" in line.text for line in log.lines))
        await pilot.press("escape")
        await until(pilot, lambda: not isinstance(top.screen, TaskScreen))

    on_screen(top, act)


def test_it_says_who_is_missing_and_goes_on_after_trouble(
    database: Database, settings: Settings
) -> None:
    top = Top(database, settings)

    async def act(pilot: Pilot[None]) -> None:
        await until(pilot, lambda: "No beat" in str(top.query_one("#verdict", Static).content))
        terminate_connections(database)
        with opened(settings.require_database_url()) as other:
            add_task(other, add_flow(other), state=TaskState.COMPLETED, result={})
        await until(pilot, lambda: cells(top, "ended") != [])

    on_screen(top, act)


def test_in_a_pipe_it_names_what_is_for_pipes(cli: Cli) -> None:
    result = cli("top")

    assert result.exit_code == 2
    assert "status -o json" in result.stderr
