"""What ended long ago is deleted by and by, and nothing else is."""

from datetime import datetime, timedelta
from uuid import UUID

import pytest
from sqlalchemy import func, insert, select, update

from automagik.core.config import Settings
from automagik.core.database.models import (
    BeatRow,
    ScheduleRow,
    SkippedOccurrencesRow,
    TaskAttemptRow,
    TaskRow,
    WorkerRow,
)
from automagik.core.database.session import Database
from automagik.core.flows.values import Flow
from automagik.core.scheduler import retention
from automagik.core.scheduler.retention import Retention, forecast, forget_processes, prune
from automagik.core.tasks.presence import register_beat
from automagik.core.tasks.states import FINAL, TaskState
from tests.core.records import (
    add_schedules,
    add_task,
    add_worker,
    claimed,
    now,
    put,
    row,
    rows,
)
from tests.core.tasks.rows import say

DAY = timedelta(days=1)


def add_ended(database: Database, flow: Flow, state: TaskState, *, ago: timedelta) -> UUID:
    return add_task(database, flow, state=state, finished_at=func.now() - ago)


def prune_once(
    database: Database, outcome: TaskState = TaskState.COMPLETED, *, age: timedelta = 30 * DAY
) -> int:
    with database.transaction() as connection:
        return prune(connection, outcome, before=now(database) - age)


def ended_with_history(database: Database, flow: Flow) -> UUID:
    """One attempt, one line of log, three events."""
    task_id = add_task(database, flow)
    claimed(database, task_id)
    say(database, task_id, "hello")
    ended = {"state": "completed", "lease_expires_at": None, "finished_at": func.now() - 31 * DAY}
    put(database, TaskRow, task_id, **ended)
    return task_id


class TestPrune:
    def test_old_tasks_go_with_their_history_and_others_stay(
        self, database: Database, flow: Flow
    ) -> None:
        old = ended_with_history(database, flow)
        recent = add_ended(database, flow, TaskState.COMPLETED, ago=29 * DAY)
        unfinished = add_task(database, flow, created_at=func.now() - 31 * DAY)

        assert prune_once(database) == 1

        assert set(rows(database, "SELECT id FROM tasks")) == {recent, unfinished}
        for table in ("task_logs", "task_attempts", "task_events"):
            left = rows(database, f"SELECT count(*) FROM {table} WHERE task_id = :id", id=old)
            assert left == [0]

    @pytest.mark.parametrize("outcome", sorted(FINAL))
    def test_each_outcome_has_an_age_of_its_own(
        self, database: Database, flow: Flow, outcome: TaskState
    ) -> None:
        for state in FINAL:
            add_ended(database, flow, state, ago=2 * DAY)

        assert prune_once(database, outcome, age=DAY) == 1

        assert set(rows(database, "SELECT state FROM tasks")) == FINAL - {outcome}

    def test_a_batch_takes_the_oldest(
        self, database: Database, flow: Flow, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(retention, "BATCH", 2)
        [newest, *_] = [
            add_ended(database, flow, TaskState.COMPLETED, ago=ago * DAY) for ago in (40, 50, 60)
        ]

        assert prune_once(database) == 2

        assert rows(database, "SELECT id FROM tasks") == [newest]

    def test_a_task_that_is_tried_again_meanwhile_stays(
        self, database: Database, flow: Flow
    ) -> None:
        """Nobody waits for whoever does it."""
        task_id = add_ended(database, flow, TaskState.FAILED, ago=40 * DAY)
        with database.transaction() as connection:
            again = update(TaskRow).where(TaskRow.id == task_id)
            connection.execute(again.values(state=TaskState.PENDING, finished_at=None))
            assert prune_once(database, TaskState.FAILED) == 0

        assert prune_once(database, TaskState.FAILED) == 0

    def test_its_schedule_answers_only_for_later_occurrences(
        self, database: Database, flow: Flow
    ) -> None:
        at = now(database) - 40 * DAY
        [schedule_id] = add_schedules(database, flow, counts_from=at - DAY)
        for day in range(3):
            scheduled = {"schedule_id": schedule_id, "scheduled_for": at + day * DAY}
            add_task(
                database, flow, state=TaskState.FAILED, finished_at=at + day * DAY, **scheduled
            )

        assert prune_once(database, TaskState.FAILED, age=39 * DAY) == 2

        assert row(database, ScheduleRow, schedule_id)["counts_from"] == at + DAY

    def test_tasks_of_a_schedule_that_somebody_changes_stay_for_the_next_time(
        self, database: Database, flow: Flow
    ) -> None:
        at = now(database) - 40 * DAY
        [schedule_id] = add_schedules(database, flow)
        scheduled = {"schedule_id": schedule_id, "scheduled_for": at}
        add_task(database, flow, state=TaskState.COMPLETED, finished_at=at, **scheduled)
        with database.transaction() as connection:
            connection.execute(select(ScheduleRow.id).with_for_update())
            assert prune_once(database) == 0

        assert prune_once(database) == 1

    def test_a_forecast_counts_what_would_go(self, database: Database, flow: Flow) -> None:
        ended_with_history(database, flow)
        add_ended(database, flow, TaskState.COMPLETED, ago=40 * DAY)
        add_ended(database, flow, TaskState.COMPLETED, ago=DAY)
        before = now(database) - 30 * DAY
        with database.transaction() as connection:
            expected = forecast(connection, TaskState.COMPLETED, before=before)

        assert (expected.tasks, expected.attempts, expected.events) == (2, 1, 4)
        assert expected.log_lines == 1
        assert expected.oldest is not None
        assert expected.newest is not None
        assert expected.oldest < expected.newest < before
        assert prune_once(database) == expected.tasks


class TestByAndBy:
    def test_batch_follows_batch_for_a_spell(
        self, database: Database, settings: Settings, flow: Flow, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(retention, "BATCH", 2)
        monkeypatch.setattr(retention, "SPELL_SECONDS", 60.0)
        for _ in range(5):
            add_ended(database, flow, TaskState.FAILED, ago=2 * DAY)

        Retention(settings.model_copy(update={"retention_failed": DAY})).prune(database)

        assert rows(database, "SELECT count(*) FROM tasks") == [0]

    def test_a_full_batch_goes_on_at_the_next_call_and_then_there_is_rest(
        self, database: Database, settings: Settings, flow: Flow, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(retention, "BATCH", 2)
        monkeypatch.setattr(retention, "SPELL_SECONDS", 0.0)
        keeping = Retention(settings.model_copy(update={"retention_failed": DAY}))
        left: list[int] = []
        for _ in range(5):
            add_ended(database, flow, TaskState.FAILED, ago=2 * DAY)
        for _ in range(4):
            keeping.prune(database)
            left += rows(database, "SELECT count(*) FROM tasks")
        add_ended(database, flow, TaskState.FAILED, ago=2 * DAY)
        keeping.prune(database)

        assert left == [3, 1, 0, 0]
        assert rows(database, "SELECT count(*) FROM tasks") == [1], "it rests"

    def test_without_an_age_tasks_are_kept_for_ever(
        self, database: Database, settings: Settings, flow: Flow
    ) -> None:
        for state in FINAL:
            add_ended(database, flow, state, ago=9_999 * DAY)

        Retention(settings).prune(database)

        assert rows(database, "SELECT count(*) FROM tasks") == [3]


class TestProcesses:
    def test_workers_that_ended_long_ago_go_unless_an_attempt_of_theirs_is_open(
        self, database: Database, flow: Flow
    ) -> None:
        names = ("gone", "vanished", "recent", "alive", "running")
        workers = {name: add_worker(database, name) for name in names}
        claimed(database, add_task(database, flow), worker=workers["running"])
        for name in ("gone", "running"):
            put(database, WorkerRow, workers[name].id, stopped_at=func.now() - 31 * DAY)
        put(database, WorkerRow, workers["vanished"].id, heartbeat_at=func.now() - 31 * DAY)
        put(database, WorkerRow, workers["recent"].id, stopped_at=func.now() - 29 * DAY)

        forget(database)

        left = rows(database, "SELECT name FROM workers ORDER BY name")
        assert left == ["alive", "recent", "running"]
        with database.transaction() as connection:
            connection.execute(
                update(TaskAttemptRow).values(outcome="worker_lost", finished_at=func.now())
            )
        forget(database)
        assert rows(database, "SELECT name FROM workers ORDER BY name") == ["alive", "recent"]

    def test_beats_that_ended_long_ago_go(self, database: Database) -> None:
        with database.transaction() as connection:
            old, killed, alive = (
                register_beat(connection, hostname="here", pid=pid) for pid in range(3)
            )
        put(database, BeatRow, old, stopped_at=func.now() - 31 * DAY)
        put(database, BeatRow, killed, last_tick_at=func.now() - 31 * DAY)

        forget(database)

        assert rows(database, "SELECT id FROM beats") == [alive]

    def test_skipped_occurrences_go_when_their_schedule_does_not_answer_for_them_any_more(
        self, database: Database, flow: Flow
    ) -> None:
        at = now(database) - 40 * DAY
        [schedule_id] = add_schedules(database, flow, counts_from=at)
        for shift in (-DAY, DAY):
            add_skipped(database, schedule_id, at + shift)

        forget(database)

        assert rows(database, "SELECT first_at FROM skipped_occurrences") == [at + DAY]

    def test_backfills_that_ended_long_ago_go_with_the_last_of_their_tasks(
        self, database: Database, flow: Flow
    ) -> None:
        [schedule_id] = add_schedules(database, flow)
        columns = "(id, schedule_id, begin_at, end_at, max_concurrent, occurrences, told_until,"
        for state, days in (("completed", 31), ("cancelled", 31), ("completed", 29)):
            rows(
                database,
                f"INSERT INTO backfills {columns} actor, state, finished_at)"
                " VALUES (gen_random_uuid(), :id, now() - interval '1 day', now(), 1, 1, now(),"
                " 'me', :state, now() - :days * interval '1 day') RETURNING 1",
                id=schedule_id,
                state=state,
                days=days,
            )
        ids = rows(database, "SELECT id FROM backfills ORDER BY finished_at, state")
        add_task(database, flow, state=TaskState.COMPLETED, backfill_id=ids[0])

        forget(database)

        assert set(rows(database, "SELECT id FROM backfills")) == {ids[0], ids[2]}


def forget(database: Database) -> None:
    with database.transaction() as connection:
        forget_processes(connection)


def add_skipped(database: Database, schedule_id: UUID, at: datetime) -> None:
    with database.transaction() as connection:
        connection.execute(
            insert(SkippedOccurrencesRow).values(
                schedule_id=schedule_id, first_at=at, last_at=at, reason="misfire", recorded_at=at
            )
        )
