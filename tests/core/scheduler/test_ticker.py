"""One tick of a beat, on real servers."""

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from threading import Event
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import Connection, func, select

from automagik.core.config import Settings
from automagik.core.database.models import ScheduleRow, TaskRow
from automagik.core.database.session import Database, Listener
from automagik.core.embedded.redis_server import EmbeddedRedis
from automagik.core.flows.flow_input import FlowInput
from automagik.core.flows.values import Flow
from automagik.core.scheduler import ticker as ticker_module
from automagik.core.scheduler.batch import BATCH
from automagik.core.scheduler.delivery import Delivery, ReadyQueues
from automagik.core.scheduler.manager import SchedulerManager
from automagik.core.scheduler.outlook import Outlook, look
from automagik.core.scheduler.ticker import Ticker
from automagik.core.scheduler.values import CadenceText
from automagik.core.tasks.manager import TaskManager
from tests.core.embedded.patience import eventually
from tests.core.records import (
    add_schedules,
    add_task,
    claimed,
    limit_source,
    opened,
    put,
    row,
    rows,
    task,
    terminate_connections,
)
from tests.workers.queues import delivered, queue_in
from workers.ready_queue import CeleryReadyQueues

SECOND = timedelta(seconds=1)
DAY = timedelta(days=1)


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """After an error the next tick comes soon."""
    monkeypatch.setattr(ticker_module, "ERROR_WAIT", timedelta(milliseconds=10))


def put_backfill_and_note(database: Database, schedule_id: UUID) -> None:
    """So that a beat has them to do."""
    rows(
        database,
        "INSERT INTO backfills (id, schedule_id, begin_at, end_at, max_concurrent, occurrences,"
        " told_until, actor) VALUES (gen_random_uuid(), :id, now() - interval '1 day', now(), 1, 1,"
        " now(), 'me') RETURNING 1",
        id=schedule_id,
    )
    rows(
        database,
        "INSERT INTO follow_ups (schedule_id, parent_task_id, parent_attempt, ended_at)"
        " VALUES (:id, :id, 1, now()) RETURNING 1",
        id=schedule_id,
    )


@contextmanager
def beating(
    database: Database, settings: Settings, queue: ReadyQueues, **changes: Any
) -> Iterator[Ticker]:
    """A ticker that does not wait long, unless the changed settings say so."""
    changed = settings.model_copy(update={"beat_max_wait_seconds": 0.01} | changes)
    ticker = Ticker(database=database, settings=changed, queues=queue, host="here", pid=1)
    yield ticker
    ticker.close()


def test_a_due_schedule_is_in_the_ready_queue_after_one_tick(
    database: Database, settings: Settings, flow: Flow, queue: CeleryReadyQueues, redis_url: str
) -> None:
    add_schedules(database, flow)

    with beating(database, settings, queue) as ticker:
        ticker.tick()

    [(task_id, state, actor)] = rows(database, "SELECT id, state, state_actor FROM tasks")
    assert (state, actor) == ("queued", "beat@here")
    assert delivered(redis_url) == [task_id]


def test_a_pause_that_has_ended_is_over_and_fired_in_the_same_tick(
    database: Database, settings: Settings, flow: Flow, queue: CeleryReadyQueues
) -> None:
    [schedule_id] = add_schedules(database, flow, late=SECOND)
    due = row(database, ScheduleRow, schedule_id)["next_run_at"]
    standing = {"held_from": due, "paused_until": due, "next_run_at": None}
    put(database, ScheduleRow, schedule_id, status="paused", **standing)

    with beating(database, settings, queue) as ticker:
        ticker.tick()

    assert rows(database, "SELECT scheduled_for FROM tasks") == [due]
    assert row(database, ScheduleRow, schedule_id)["status"] == "active"


@pytest.mark.parametrize("part", ["end_pauses", "follow_up", "advance"])
def test_trouble_with_pauses_chains_or_backfills_is_told_and_keeps_nothing_else_from_happening(
    database: Database,
    settings: Settings,
    flow: Flow,
    queue: CeleryReadyQueues,
    redis_url: str,
    *,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    part: str,
) -> None:
    def takes_too_long(connection: Connection, **_: Any) -> int:
        connection.exec_driver_sql("SET LOCAL statement_timeout = '1ms'")
        return int(connection.exec_driver_sql("SELECT pg_sleep(10)").rowcount)

    monkeypatch.setattr(ticker_module, part, takes_too_long)
    add_schedules(database, flow)
    lost = add_task(database, flow)
    claimed(database, lost)
    put(database, TaskRow, lost, lease_expires_at=func.now() - SECOND)
    rows(
        database,
        "UPDATE schedules SET paused_until = now(), status = 'paused', next_run_at = NULL"
        " RETURNING 1",
    )
    due = add_schedules(database, flow)[0]
    put_backfill_and_note(database, due)

    with (
        beating(database, settings, queue, lease_seconds=1) as ticker,
        caplog.at_level("WARNING"),
    ):
        ticker.tick()

    [made] = rows(database, "SELECT id FROM tasks WHERE schedule_id = :id", id=due)
    assert made in delivered(redis_url)
    assert task(database, lost)["state"] != "running"
    assert rows(database, "SELECT count(*) FROM beats") == [1]
    assert "statement timeout" in caplog.text


def test_a_beat_waits_for_the_end_of_a_pause(
    database: Database, settings: Settings, flow: Flow, queue: CeleryReadyQueues
) -> None:
    [schedule_id] = add_schedules(database, flow)
    with (
        beating(database, settings, queue, beat_max_wait_seconds=60) as ticker,
        ThreadPoolExecutor(1) as beat,
    ):
        SchedulerManager(database, settings).pause(schedule_id, until=SECOND)
        beat.submit(ticker.tick).result(timeout=10)

    assert rows(database, "SELECT paused_until <= now() FROM schedules") == [True]


def test_a_tick_takes_more_schedules_than_a_batch(
    database: Database, settings: Settings, flow: Flow, queue: CeleryReadyQueues
) -> None:
    add_schedules(database, flow, BATCH + 1)

    with beating(database, settings, queue) as ticker:
        ticker.tick()

    assert rows(database, "SELECT count(*) FROM tasks") == [BATCH + 1]


class Recorder:
    """A ready-queue that tells how many schedules were still due at each publication."""

    def __init__(self, queue: CeleryReadyQueues, database: Database) -> None:
        self.lengths, self.task_ids = queue.lengths, queue.task_ids
        self._queue, self._database = queue, database
        self.still_due: list[int] = []

    def publish(self, deliveries: Sequence[Delivery]) -> None:
        due = "SELECT count(*) FROM schedules WHERE next_run_at <= now()"
        self.still_due += rows(self._database, due)
        self._queue.publish(deliveries)


def test_what_a_batch_has_made_goes_out_while_others_are_still_due(
    database: Database, settings: Settings, flow: Flow, queue: CeleryReadyQueues
) -> None:
    recorder = Recorder(queue, database)
    add_schedules(database, flow, 2 * BATCH + 1)
    limit_source(database, flow, 10 * BATCH)

    with beating(database, settings, recorder, ready_queue_target=10 * BATCH) as ticker:
        ticker.tick()

    assert recorder.still_due[0] > 0
    assert rows(database, "SELECT DISTINCT state FROM tasks") == ["queued"]


def test_without_redis_all_batches_are_fired_all_the_same(
    database: Database, settings: Settings, flow: Flow, free_port: int
) -> None:
    add_schedules(database, flow, 2 * BATCH + 1)

    with (
        queue_in(f"redis://127.0.0.1:{free_port}/0") as away,
        beating(database, settings, away) as ticker,
    ):
        ticker.tick()
        assert rows(database, "SELECT count(*) FROM tasks") == [2 * BATCH + 1]
        assert rows(database, "SELECT count(*) FROM beats") == [1], "chores are done, too"


def test_a_beat_that_was_right_about_the_next_instant_does_not_look_twice(
    database: Database,
    settings: Settings,
    flow: Flow,
    queue: CeleryReadyQueues,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    looks: list[str] = []

    def counted(connection: Connection) -> Outlook:
        seen = look(connection)
        looks.append("due" if seen.has_due_schedule else "nothing due")
        return seen

    monkeypatch.setattr(ticker_module, "look", counted)
    add_schedules(database, flow, every=SECOND, late=-SECOND / 2)
    with beating(database, settings, queue, beat_max_wait_seconds=60) as ticker:
        ticker.tick()
        looks.clear()
        ticker.tick()

    assert rows(database, "SELECT state FROM tasks") == ["queued"]
    assert looks == ["nothing due"], "after it was fired"


def test_a_beat_that_wakes_too_early_is_not_held_up(
    database: Database,
    settings: Settings,
    flow: Flow,
    queue: CeleryReadyQueues,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As when this host's clock runs fast: what it does not find is due a moment later."""
    waits: list[timedelta] = []

    def not_at_all(_: Listener, timeout: timedelta) -> list[str]:
        waits.append(timeout)
        return []

    monkeypatch.setattr(ticker_module, "SHORTEST_WAIT", timedelta(hours=1))
    monkeypatch.setattr(Listener, "wait", not_at_all)
    add_schedules(database, flow, late=-DAY)
    with beating(database, settings, queue, beat_max_wait_seconds=2 * 86_400) as ticker:
        ticker.tick()
        ticker.tick()

    assert rows(database, "SELECT id FROM tasks") == []
    assert DAY >= waits[0] > waits[1] > DAY / 2


def test_a_new_task_wakes_a_beat_that_waits(
    database: Database, settings: Settings, flow: Flow, queue: CeleryReadyQueues, redis_url: str
) -> None:
    with (
        beating(database, settings, queue, beat_max_wait_seconds=60) as ticker,
        ThreadPoolExecutor(1) as beat,
    ):
        waiting = beat.submit(ticker.tick)
        assert eventually(lambda: bool(rows(database, "SELECT id FROM beats")), seconds=5)
        created = TaskManager(database, settings).create(flow, FlowInput(), actor="cli")
        waiting.result(timeout=5)
        following = beat.submit(ticker.tick)
        assert eventually(lambda: delivered(redis_url) == [created.id], seconds=5)
        TaskManager(database, settings).create(flow, FlowInput(), actor="cli")
        following.result(timeout=5)


def test_a_schedule_that_is_created_wakes_a_beat_and_is_waited_for(
    database: Database, settings: Settings, flow: Flow, queue: CeleryReadyQueues, redis_url: str
) -> None:
    """The next due instant ends the wait by itself."""
    with (
        beating(database, settings, queue, beat_max_wait_seconds=60) as ticker,
        ThreadPoolExecutor(1) as beat,
    ):
        waiting = beat.submit(ticker.tick)
        assert eventually(lambda: bool(rows(database, "SELECT id FROM beats")), seconds=5)
        rule = CadenceText(type="interval", expr="1s")
        SchedulerManager(database, settings).create(flow, rule, run_input=FlowInput())
        waiting.result(timeout=5)
        until_due = beat.submit(ticker.tick)
        until_due.result(timeout=5)
        beat.submit(ticker.tick).result(timeout=5)
        assert len(delivered(redis_url)) == 1


class Deaf:
    """A ready-queue that lets nobody go on until it is told to."""

    def __init__(self, queue: CeleryReadyQueues) -> None:
        self.lengths, self.task_ids = queue.lengths, queue.task_ids
        self.may_answer = Event()

    def publish(self, deliveries: Sequence[Delivery]) -> None:
        del deliveries
        assert self.may_answer.wait(20)


def test_a_silent_redis_does_not_keep_due_schedules_from_being_fired(
    database: Database, settings: Settings, flow: Flow, queue: CeleryReadyQueues
) -> None:
    deaf = Deaf(queue)
    add_schedules(database, flow, 3 * BATCH + 1)
    with (
        beating(database, settings, deaf) as ticker,
        ThreadPoolExecutor(1) as beat,
    ):
        ticking = beat.submit(ticker.tick)
        made = "SELECT count(*) FROM tasks"
        assert eventually(lambda: rows(database, made) == [3 * BATCH + 1], seconds=15)
        assert not ticking.done()
        deaf.may_answer.set()
        ticking.result(timeout=20)


def test_a_schedule_that_catches_up_does_not_end_a_burst(
    database: Database, settings: Settings, flow: Flow, queue: CeleryReadyQueues
) -> None:
    add_schedules(database, flow, 2 * BATCH)
    add_schedules(database, flow, misfire="run-all", late=DAY, every=timedelta(hours=12))

    with beating(database, settings, queue) as ticker:
        ticker.tick()

    fired = "SELECT count(DISTINCT schedule_id) FROM tasks"
    assert rows(database, fired) == [2 * BATCH + 1]


def test_without_redis_due_runs_are_recorded_and_go_out_when_it_is_back(
    database: Database, settings: Settings, flow: Flow, embedded_home: Path
) -> None:
    add_schedules(database, flow)
    lost = add_task(database, flow)
    claimed(database, lost, lease=-SECOND)
    server = EmbeddedRedis(embedded_home)
    url = server.start()
    server.stop()
    try:
        with (
            queue_in(url) as queue,
            beating(database, settings, queue, lease_seconds=1e-6) as ticker,
        ):
            ticker.tick()
            assert rows(database, "SELECT state FROM tasks ORDER BY state") == [
                "pending",
                "waiting",
            ], "what needs no Redis goes on: firing, reaping"
            assert rows(database, "SELECT count(*) FROM beats") == [1]

            server.start()
            ticker.tick()
            assert rows(database, "SELECT DISTINCT state FROM tasks") == ["queued"]
            assert set(delivered(url)) == set(rows(database, "SELECT id FROM tasks"))
    finally:
        server.stop()


def test_a_due_schedule_that_somebody_holds_is_not_looked_at_all_the_time(
    database: Database,
    settings: Settings,
    flow: Flow,
    queue: CeleryReadyQueues,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(ticker_module, "SHORTEST_WAIT", 2 * SECOND)
    [schedule_id] = add_schedules(database, flow)
    hold = select(ScheduleRow.id).where(ScheduleRow.id == schedule_id).with_for_update()
    with beating(database, settings, queue) as ticker:
        with database.transaction() as connection:
            connection.execute(hold)
            began = time.monotonic()
            ticker.tick()
            waited = time.monotonic() - began
        ticker.tick()

    assert waited >= 2 * SECOND.total_seconds() - 0.01
    assert rows(database, "SELECT schedule_id FROM tasks") == [schedule_id]


def test_a_beat_whose_connections_broke_goes_on(
    database: Database, settings: Settings, flow: Flow, queue: CeleryReadyQueues, redis_url: str
) -> None:
    with beating(database, settings, queue) as ticker:
        ticker.tick()
        terminate_connections(database)
        # The pool does not notice by this that its connections are gone.
        with opened(settings.require_database_url()) as another:
            task_id = add_task(another, flow)
        ticker.tick()
        ticker.tick()

    assert delivered(redis_url) == [task_id]


def test_chores_take_back_lost_runs_and_lost_deliveries_and_prune(
    database: Database, settings: Settings, flow: Flow, queue: CeleryReadyQueues, redis_url: str
) -> None:
    lost_run, lost_delivery, old = (add_task(database, flow) for _ in range(3))
    claimed(database, lost_run, lease=-SECOND)
    put(database, TaskRow, lost_delivery, state="queued", queued_at=func.now() - DAY)
    put(database, TaskRow, old, state="cancelled", finished_at=func.now() - 2 * DAY)

    with beating(database, settings, queue, lease_seconds=1e-6, retention_cancelled=DAY) as ticker:
        ticker.tick()
        # A delivery is lost when it is still missing at the next look.
        while len(delivered(redis_url)) < 2:
            ticker.tick()

    assert set(rows(database, "SELECT id FROM tasks")) == {lost_run, lost_delivery}
    assert delivered(redis_url) == [lost_run, lost_delivery]
    assert task(database, lost_run)["attempt"] == 1


class Counted:
    """A ready-queue that counts how often it is read through."""

    def __init__(self, queue: CeleryReadyQueues) -> None:
        self.publish = queue.publish
        self._queue = queue
        self.readings = 0

    def lengths(self, names: Iterable[str]) -> Mapping[str, int]:
        return self._queue.lengths(names)

    def task_ids(self, names: Iterable[str]) -> set[UUID]:
        self.readings += 1
        return self._queue.task_ids(names)


def test_a_long_ready_queue_is_not_read_through_at_every_tick(
    database: Database, settings: Settings, flow: Flow, queue: CeleryReadyQueues, redis_url: str
) -> None:
    task_id, counted = add_task(database, flow), Counted(queue)
    with beating(database, settings, counted) as ticker:
        ticker.tick()
        put(database, TaskRow, task_id, queued_at=func.now() - DAY)
        for _ in range(3):
            ticker.tick()

    assert delivered(redis_url) == [task_id]
    assert counted.readings == 1


def test_a_beat_is_known_while_it_ticks_and_says_goodbye(
    database: Database, settings: Settings, queue: CeleryReadyQueues
) -> None:
    with beating(database, settings, queue) as ticker:
        ticker.tick()
        assert rows(database, "SELECT hostname, pid, stopped_at FROM beats") == [("here", 1, None)]

    assert rows(database, "SELECT stopped_at IS NOT NULL FROM beats") == [True]


def test_a_beat_that_stops_leaves_no_connection_behind(
    database: Database, settings: Settings, queue: CeleryReadyQueues
) -> None:
    with beating(database, settings, queue) as ticker:
        ticker.tick()
    database.dispose()

    others = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
    assert eventually(lambda: rows(database, others) == [1], seconds=5)
