"""News for those who watch, and silence for everybody else."""

from collections.abc import Callable, Iterator
from datetime import timedelta
from threading import Event, Thread

import pytest
from sqlalchemy import text

from automagik.core.config import Settings
from automagik.core.database import news as module
from automagik.core.database.news import NEWS, News
from automagik.core.database.session import Database
from automagik.core.flows.values import Flow
from tests.core.records import add_schedules, add_task, rows, terminate_connections
from tests.core.tasks.rows import add_flow, say

SOON = timedelta(seconds=5)


@pytest.fixture
def database(settings: Settings) -> Iterator[Database]:
    opened = Database(settings.require_database_url())
    yield opened
    opened.dispose()


@pytest.fixture
def flow(database: Database) -> Flow:
    return add_flow(database)


@pytest.mark.parametrize("what", ["task", "transition", "log", "schedule", "backfill"])
def test_whatever_happens_wakes_who_watches(database: Database, flow: Flow, what: str) -> None:
    task_id = add_task(database, flow)
    happenings: dict[str, Callable[[], object]] = {
        "task": lambda: add_task(database, flow),
        "transition": lambda: rows(
            database, "UPDATE tasks SET state = 'queued', queued_at = now() RETURNING id"
        ),
        "log": lambda: say(database, task_id, "hello"),
        "schedule": lambda: add_schedules(database, flow),
        "backfill": lambda: rows(
            database, "UPDATE backfills SET state = 'completed', finished_at = now() RETURNING id"
        ),
    }
    with News(database), database.listen(NEWS) as listener:
        happenings[what]()

        assert listener.wait(SOON) != []


def test_while_nobody_watches_nothing_is_notified(database: Database, flow: Flow) -> None:
    with News(database):
        pass
    with database.listen(NEWS) as listener:
        add_task(database, flow)
        rows(database, "SELECT pg_notify('automagik_news', 'the end')")

        assert listener.wait(SOON) == ["the end"]


def test_who_left_without_a_word_is_forgotten(database: Database) -> None:
    rows(
        database,
        "INSERT INTO watchers VALUES (gen_random_uuid(), now() - interval '1 day') RETURNING 1",
    )
    with News(database):
        assert rows(database, "SELECT count(*) FROM watchers") == [1]
    assert rows(database, "SELECT count(*) FROM watchers") == [0]


def test_waiting_ends_with_the_news(database: Database, flow: Flow) -> None:
    woken = Event()

    def watch(entered: Event) -> None:
        with News(database) as news:
            entered.set()
            while not rows(database, "SELECT id FROM tasks"):
                news.wait()
        woken.set()

    entered = Event()
    watcher = Thread(target=watch, args=(entered,))
    watcher.start()
    entered.wait()
    add_task(database, flow)
    watcher.join(SOON.total_seconds())

    assert woken.is_set()


def test_it_goes_on_when_the_server_was_away(database: Database, flow: Flow) -> None:
    with News(database) as news:
        terminate_connections(database)
        for _ in range(3):
            news.wait(timedelta(milliseconds=1))
        with database.listen(NEWS) as listener:
            add_task(database, flow)

            assert listener.wait(SOON) == ["task_events"]


def test_its_promise_is_kept_alive(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_PROMISE", timedelta(microseconds=3))
    with News(database) as news:
        [first] = rows(database, "SELECT until FROM watchers")
        news.wait(timedelta(milliseconds=1))

        [second] = rows(database, "SELECT until FROM watchers")
        assert second > first
    with database.transaction() as connection:
        assert connection.scalar(text("SELECT count(*) FROM watchers")) == 0
