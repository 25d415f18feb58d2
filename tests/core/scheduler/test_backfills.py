"""Backfills: the occurrences of a stretch of the past run, each once, and live runs come first."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import func

from automagik.core.config import Settings
from automagik.core.database.models import ScheduleRow, TaskRow
from automagik.core.database.session import WAKE, Database
from automagik.core.exceptions import Conflict, InvalidInput, NotFound
from automagik.core.flows.values import Flow
from automagik.core.scheduler.backfill_manager import BackfillManager
from automagik.core.scheduler.backfill_prospect import MOST
from automagik.core.scheduler.backfill_range import AT_A_TIME
from automagik.core.scheduler.backfill_rows import Backfill, BackfillState
from automagik.core.scheduler.backfills import advance
from automagik.core.scheduler.coverage import find_gaps
from automagik.core.scheduler.dispatch import dispatch
from automagik.core.scheduler.failing import pause_failing
from automagik.core.scheduler.fire import fire
from automagik.core.scheduler.manager import SchedulerManager
from automagik.core.scheduler.policies import Overlap
from automagik.core.scheduler.values import CadenceText, ScheduleChange
from automagik.core.tasks.manager import TaskManager
from automagik.core.tasks.states import TaskState
from tests.core.records import (
    LEASE,
    add_schedules,
    add_task,
    claimed,
    dying,
    now,
    opened,
    put,
    row,
    rows,
    task,
)
from tests.core.scheduler.stored import add_flow, mark_gone
from tests.workers.queues import delivered
from workers.ready_queue import CeleryReadyQueues

HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
BEGIN = datetime(2026, 1, 5, tzinfo=UTC)

TASKS = "SELECT scheduled_for FROM tasks WHERE backfill_id IS NOT NULL ORDER BY turn_at"
OPEN = (
    "SELECT id FROM tasks WHERE backfill_id IS NOT NULL"
    " AND state NOT IN ('completed', 'failed', 'cancelled') ORDER BY turn_at"
)
SKIPPED = "SELECT first_at, last_at, reason FROM skipped_occurrences ORDER BY first_at"


@pytest.fixture
def flow(database: Database) -> Flow:
    """One whose input can be checked."""
    return add_flow(database)


def add_hourly(database: Database, flow: Flow, **columns: Any) -> UUID:
    """By the clock on the wall; its next run is an hour ahead."""
    [schedule_id] = add_schedules(
        database, flow, **{"type": "cron", "expr": "0 * * * *", "late": -HOUR, **columns}
    )
    return schedule_id


def start(
    database: Database,
    schedule_id: UUID,
    hours: int,
    *,
    begin: datetime = BEGIN,
    **options: Any,
) -> Backfill:
    manager = BackfillManager(database)
    wanted = manager.prospect(schedule_id, begin=begin, end=begin + hours * HOUR)
    return manager.start(wanted, actor="me", **options)


def advance_once(database: Database, settings: Settings) -> int:
    with database.transaction() as connection:
        return advance(connection, settings=settings, actor="beat@here")


def advance_all(database: Database, settings: Settings) -> None:
    while advance_once(database, settings):
        pass


def end_all(database: Database, state: TaskState = TaskState.COMPLETED) -> None:
    """The runs of backfills that are open end."""
    for task_id in rows(database, OPEN):
        end(database, task_id, state)


def end(database: Database, task_id: UUID, state: TaskState = TaskState.COMPLETED) -> None:
    if task(database, task_id)["state"] != TaskState.RUNNING:
        put(database, TaskRow, task_id, state="running", lease_expires_at=func.now() + LEASE)
    put(
        database,
        TaskRow,
        task_id,
        state=state,
        finished_at=func.clock_timestamp(),
        lease_expires_at=None,
    )


def run_through(database: Database, settings: Settings, backfill: Backfill) -> Backfill:
    manager = BackfillManager(database)
    while not (found := manager.get(backfill.id)).state.is_final:
        advance_all(database, settings)
        end_all(database)
    return found


def hours(*numbers: int) -> list[datetime]:
    return [BEGIN + number * HOUR for number in numbers]


def live_run(database: Database, flow: Flow, schedule_id: UUID) -> UUID:
    return add_task(database, flow, schedule_id=schedule_id, state=TaskState.RUNNING)


class TestTasks:
    def test_the_oldest_occurrences_run_first_one_at_a_time_unless_more_may(
        self, database: Database, settings: Settings, flow: Flow
    ) -> None:
        for most in (1, 3):
            backfill = start(database, add_hourly(database, flow), 7, max_concurrent=most)
            told: list[datetime] = []
            while not BackfillManager(database).get(backfill.id).state.is_final:
                advance_all(database, settings)
                opened_now = [
                    task(database, each)["scheduled_for"] for each in rows(database, OPEN)
                ]
                assert len(opened_now) <= most
                told += opened_now
                end_all(database)

            assert told == hours(*range(7))

    def test_what_has_a_task_is_passed_by_whatever_became_of_it(
        self, database: Database, settings: Settings, flow: Flow
    ) -> None:
        schedule_id = add_hourly(database, flow)
        for number, state in enumerate((TaskState.CANCELLED, TaskState.FAILED, TaskState.RUNNING)):
            at = BEGIN + 2 * number * HOUR
            add_task(database, flow, schedule_id=schedule_id, scheduled_for=at, state=state)

        done = run_through(database, settings, start(database, schedule_id, 6))

        assert rows(database, TASKS) == hours(1, 3, 5)
        assert (done.occurrences, done.made, done.passed_by, done.completed) == (6, 3, 3, 3)

    def test_what_was_skipped_before_runs_now(
        self, database: Database, settings: Settings, flow: Flow
    ) -> None:
        schedule_id = add_hourly(database, flow)
        rows(
            database,
            "INSERT INTO skipped_occurrences (schedule_id, first_at, last_at, reason)"
            " VALUES (:id, :first, :last, 'misfire') RETURNING 1",
            id=schedule_id,
            first=BEGIN,
            last=BEGIN + 2 * HOUR,
        )

        run_through(database, settings, start(database, schedule_id, 3))

        assert rows(database, TASKS) == hours(0, 1, 2)
        explained = SchedulerManager(database, settings).explain(schedule_id, at=BEGIN)
        assert explained.fate == "task"
        assert "is part of the backfill" in explained.text

    def test_a_range_that_ran_already_is_done_at_once(
        self, database: Database, settings: Settings, flow: Flow
    ) -> None:
        schedule_id = add_hourly(database, flow)
        run_through(database, settings, start(database, schedule_id, 5))

        again = start(database, schedule_id, 5)
        advance_all(database, settings)

        done = BackfillManager(database).get(again.id)
        assert (done.state, done.made, done.passed_by) == (BackfillState.COMPLETED, 0, 5)

    def test_an_interval_keeps_its_beat_before_it_was_created(
        self, database: Database, settings: Settings, flow: Flow
    ) -> None:
        anchor = BEGIN + 100 * DAY + timedelta(minutes=7)
        columns = {"type": "interval", "expr": "1h", "anchor_at": anchor}
        schedule_id = add_hourly(database, flow, **columns)

        run_through(database, settings, start(database, schedule_id, 3))

        assert rows(database, TASKS) == [at + timedelta(minutes=7) for at in hours(0, 1, 2)]

    def test_they_yield_to_live_runs_and_take_options_and_input_of_the_schedule(
        self, database: Database, settings: Settings, flow: Flow
    ) -> None:
        schedule_id = add_hourly(database, flow, priority=5, input_value="hello", overlap="skip")
        start(database, schedule_id, 1)
        advance_once(database, settings)

        [task_id] = rows(database, OPEN)
        made = task(database, task_id)
        assert (made["priority"], made["input_value"], made["in_turn"]) == (-95, "hello", False)
        assert made["run_at"] <= now(database)

    def test_many_are_made_and_passed_by_in_several_transactions(
        self, database: Database, settings: Settings, flow: Flow
    ) -> None:
        schedule_id = add_hourly(database, flow, expr="* * * * *")
        start(database, schedule_id, 12, max_concurrent=1_000)
        steps = 1
        while advance_once(database, settings):
            steps += 1

        assert rows(database, "SELECT count(*) FROM tasks") == [720]
        assert steps == -(-720 // AT_A_TIME)
        end_all(database)
        again = start(database, schedule_id, 12, begin=BEGIN + 12 * HOUR)
        rows(
            database,
            "UPDATE tasks SET scheduled_for = scheduled_for + interval '12 hours' RETURNING 1",
        )
        advance_all(database, settings)
        assert BackfillManager(database).get(again.id).passed_by == 720

    def test_only_live_runs_count_for_max_runs_and_for_the_failures_that_pause(
        self, database: Database, settings: Settings, flow: Flow
    ) -> None:
        schedule_id = add_hourly(
            database, flow, max_runs=2, pause_after_failures=1, counts_from=now(database) - DAY
        )
        start(database, schedule_id, 3, max_concurrent=3)
        advance_all(database, settings)
        end_all(database, TaskState.FAILED)

        with database.transaction() as connection:
            assert pause_failing(connection) == 0
        schedule = row(database, ScheduleRow, schedule_id)
        assert (schedule["status"], schedule["runs"]) == ("active", 0)
        assert schedule["last_run_at"] is None


class TestBeats:
    def test_a_beat_that_dies_in_a_step_loses_and_doubles_nothing(
        self, database: Database, settings: Settings, flow: Flow
    ) -> None:
        backfill = start(database, add_hourly(database, flow), 4, max_concurrent=2)
        for _ in range(2):
            with dying(database) as connection:
                advance(connection, settings=settings, actor="beat@here")
            assert rows(database, TASKS) == []

        done = run_through(database, settings, backfill)

        assert rows(database, TASKS) == hours(0, 1, 2, 3)
        assert done.made == 4

    def test_one_that_another_beat_advances_is_left_alone(
        self, database: Database, settings: Settings, flow: Flow
    ) -> None:
        start(database, add_hourly(database, flow), 4)
        with opened(settings.require_database_url()) as other, other.transaction() as connection:
            advance(connection, settings=settings, actor="beat@there")
            advance_once(database, settings)

        assert rows(database, TASKS) == hours(0)

    def test_a_schedule_that_somebody_changes_or_deletes_is_not_waited_for(
        self, database: Database, settings: Settings, flow: Flow
    ) -> None:
        start(database, add_hourly(database, flow), 4)
        with opened(settings.require_database_url()) as other:
            with other.transaction() as connection:
                connection.exec_driver_sql("SELECT FROM schedules FOR UPDATE")
                assert advance_once(database, settings) == 0
            assert rows(database, TASKS) == []
            advance_once(database, settings)

        assert rows(database, TASKS) == hours(0)

    def test_those_that_cannot_go_on_do_not_keep_others_from_their_turn(
        self, database: Database, settings: Settings, flow: Flow
    ) -> None:
        for _ in range(12):
            start(database, add_hourly(database, flow), 4)
        advance_once(database, settings)
        advance_once(database, settings)

        assert rows(database, "SELECT count(DISTINCT backfill_id) FROM tasks") == [12]

    def test_a_long_way_past_what_ran_already_keeps_no_others_waiting(
        self, database: Database, settings: Settings, flow: Flow
    ) -> None:
        for _ in range(10):
            schedule_id = add_hourly(database, flow, expr="* * * * *")
            start(database, schedule_id, 40, max_concurrent=1_000)
        last = start(database, add_hourly(database, flow), 4)
        for _ in range(2):
            advance_once(database, settings)

        assert BackfillManager(database).get(last.id).made == 1

    def test_its_begin_and_the_end_of_each_of_its_tasks_wake_the_beats(
        self, database: Database, settings: Settings, flow: Flow
    ) -> None:
        schedule_id = add_hourly(database, flow)
        with database.listen(WAKE) as listener:
            start(database, schedule_id, 4)
            assert listener.wait(timedelta(seconds=5)) == [""]
            advance_once(database, settings)
            [task_id] = rows(database, OPEN)
            end(database, task_id)
            assert listener.wait(timedelta(seconds=5)) == [""]

    def test_a_flow_that_is_gone_or_a_rule_that_is_none_ends_it_with_the_reason(
        self, database: Database, settings: Settings, flow: Flow
    ) -> None:
        manager = BackfillManager(database)
        broken = start(database, add_hourly(database, flow), 4)
        put(database, ScheduleRow, broken.schedule_id, expr="nonsense")
        other = add_flow(database, "Slow")
        gone = start(database, add_hourly(database, other), 4)
        mark_gone(database, other)
        fine = start(database, add_hourly(database, flow), 4)

        advance_once(database, settings)

        assert manager.get(broken.id).state is BackfillState.CANCELLED
        assert "cron rule is not valid" in (manager.get(broken.id).reason or "")
        assert "gone" in (manager.get(gone.id).reason or "")
        assert manager.get(fine.id).made == 1

    def test_a_new_rule_counts_from_where_it_stands(
        self, database: Database, settings: Settings, flow: Flow
    ) -> None:
        schedule_id = add_hourly(database, flow)
        backfill = start(database, schedule_id, 4)
        advance_once(database, settings)
        end_all(database)
        change = ScheduleChange(cadence=CadenceText(type="cron", expr="30 * * * *"))
        SchedulerManager(database, settings).update(schedule_id, change)

        run_through(database, settings, backfill)

        half = timedelta(minutes=30)
        assert rows(database, TASKS) == [BEGIN, *(at + half for at in hours(0, 1, 2, 3))]


class TestOverlap:
    def test_allow_all_does_not_look_at_live_runs(
        self, database: Database, settings: Settings, flow: Flow
    ) -> None:
        schedule_id = add_hourly(database, flow)
        live_run(database, flow, schedule_id)
        start(database, schedule_id, 2)
        advance_once(database, settings)

        assert rows(database, TASKS) == hours(0)

    def test_buffer_all_begins_a_run_only_when_no_other_is_unfinished(
        self, database: Database, settings: Settings, flow: Flow
    ) -> None:
        schedule_id = add_hourly(database, flow)
        live = live_run(database, flow, schedule_id)
        backfill = start(database, schedule_id, 3, overlap=Overlap.BUFFER_ALL)
        advance_all(database, settings)
        assert rows(database, TASKS) == []

        end(database, live)
        advance_all(database, settings)
        assert rows(database, TASKS) == hours(0)

        live = live_run(database, flow, schedule_id)
        end_all(database)
        advance_all(database, settings)
        assert rows(database, TASKS) == hours(0)
        end(database, live)
        assert run_through(database, settings, backfill).made == 3

    def test_buffer_all_is_completed_while_a_live_run_is_unfinished_when_all_is_made(
        self, database: Database, settings: Settings, flow: Flow
    ) -> None:
        schedule_id = add_hourly(database, flow)
        backfill = start(database, schedule_id, 1, overlap=Overlap.BUFFER_ALL)
        advance_all(database, settings)
        live_run(database, flow, schedule_id)
        end_all(database)
        advance_all(database, settings)

        assert BackfillManager(database).get(backfill.id).state is BackfillState.COMPLETED

    @pytest.mark.parametrize("recorded", [True, False])
    def test_skip_leaves_out_one_place_for_each_live_run_and_records_it_once(
        self, database: Database, settings: Settings, flow: Flow, *, recorded: bool
    ) -> None:
        schedule_id = add_hourly(database, flow)
        two, three = hours(2, 3)
        if recorded:
            rows(
                database,
                "INSERT INTO skipped_occurrences (schedule_id, first_at, last_at, reason)"
                " VALUES (:id, :first, :last, 'misfire') RETURNING 1",
                id=schedule_id,
                first=two,
                last=three,
            )
        backfill = start(database, schedule_id, 8, overlap=Overlap.SKIP, max_concurrent=2)
        advance_all(database, settings)
        live = live_run(database, flow, schedule_id)
        end_all(database)
        for _ in range(3):
            assert advance_once(database, settings) == 0
        assert rows(database, TASKS) == hours(0, 1)
        assert rows(database, SKIPPED) == [(two, three, "misfire" if recorded else "overlap")]

        live_run(database, flow, schedule_id)
        advance_all(database, settings)
        assert BackfillManager(database).get(backfill.id).passed_by == 4
        for each in rows(database, "SELECT id FROM tasks WHERE state = 'running'"):
            end(database, each)
        assert task(database, live)["state"] == TaskState.COMPLETED
        done = run_through(database, settings, backfill)

        assert (done.made, done.passed_by) == (4, 4)
        assert rows(database, TASKS) == hours(0, 1, 6, 7)

    @pytest.mark.parametrize("overlap", ["skip", "buffer-one", "buffer-all", "cancel-other"])
    def test_live_runs_do_not_look_at_backfills(
        self,
        database: Database,
        settings: Settings,
        flow: Flow,
        queue: CeleryReadyQueues,
        redis_url: str,
        *,
        overlap: str,
    ) -> None:
        [schedule_id] = add_schedules(database, flow, overlap=overlap, late=timedelta(seconds=1))
        start(database, schedule_id, 20, begin=now(database) - DAY, max_concurrent=20)
        advance_once(database, settings)
        [running, *_] = rows(database, OPEN)
        claimed(database, running)

        with database.transaction() as connection:
            fire(connection, settings=settings, actor="beat@here")
        [live] = rows(database, "SELECT id FROM tasks WHERE backfill_id IS NULL")
        obstacle = TaskManager(database, settings).why(live).obstacle
        with database.transaction() as connection:
            dispatch(connection, queue, least=1, silence=timedelta(minutes=1), actor="beat")

        assert live in delivered(redis_url)
        assert "waits for its turn" not in (obstacle or "")
        assert rows(database, "SELECT count(*) FROM tasks WHERE state = 'cancelled'") == [0]
        assert rows(database, "SELECT count(*) FROM skipped_occurrences") == [0]

    def test_other_policies_are_refused(self, database: Database, flow: Flow) -> None:
        schedule_id = add_hourly(database, flow)
        for overlap in (Overlap.BUFFER_ONE, Overlap.CANCEL_OTHER, Overlap.TERMINATE_OTHER):
            with pytest.raises(InvalidInput, match="gives way to live runs"):
                start(database, schedule_id, 3, overlap=overlap)
        with pytest.raises(InvalidInput, match="only when no other"):
            start(database, schedule_id, 3, overlap=Overlap.BUFFER_ALL, max_concurrent=2)


class TestRange:
    def prospects(self, database: Database, begin: datetime, end: datetime | None) -> None:
        [schedule_id] = rows(database, "SELECT id FROM schedules")
        BackfillManager(database).prospect(schedule_id, begin=begin, end=end)

    def test_the_beginning_is_included_and_the_end_is_not(
        self, database: Database, flow: Flow
    ) -> None:
        schedule_id = add_hourly(database, flow)
        task_id = add_task(database, flow, schedule_id=schedule_id, scheduled_for=BEGIN + HOUR)

        found = BackfillManager(database).prospect(schedule_id, begin=BEGIN, end=BEGIN + 3 * HOUR)

        assert found.occurrences == hours(0, 1, 2)
        assert found.tasks == {BEGIN + HOUR: task_id}
        assert rows(database, "SELECT count(*) FROM backfills") == [0]

    def test_without_an_end_it_goes_up_to_now(self, database: Database, flow: Flow) -> None:
        schedule_id = add_hourly(database, flow)
        present = now(database)

        found = BackfillManager(database).prospect(schedule_id, begin=present - DAY)

        assert len(found.occurrences) == 24
        assert found.occurrences[-1] > present - HOUR

    def test_what_cannot_be_is_refused_with_a_hint(self, database: Database, flow: Flow) -> None:
        add_hourly(database, flow, expr="* * * * *")
        present = now(database)
        for begin, end, words in (
            (BEGIN, present + HOUR, "ends in the past"),
            (BEGIN, BEGIN, "begins before it ends"),
            (present + HOUR, None, "begins before it ends"),
            (BEGIN + timedelta(seconds=1), BEGIN + timedelta(seconds=59), "does not occur"),
            (present - (MOST + 5) * timedelta(minutes=1), None, "more than 100,000"),
        ):
            with pytest.raises(InvalidInput, match=words) as refusal:
                self.prospects(database, begin, end)
            assert refusal.value.hint

    def test_two_of_one_schedule_do_not_cover_the_same_range_at_the_same_time(
        self, database: Database, flow: Flow
    ) -> None:
        schedule_id = add_hourly(database, flow)
        first = start(database, schedule_id, 3)
        with pytest.raises(Conflict, match="covers a part"):
            start(database, schedule_id, 3, begin=BEGIN + 2 * HOUR)

        start(database, schedule_id, 3, begin=BEGIN + 3 * HOUR)
        BackfillManager(database).cancel(first.id, actor="me")
        start(database, schedule_id, 2)

    @pytest.mark.parametrize("status", ["paused", "error", "completed"])
    def test_a_schedule_that_starts_no_runs_can_be_backfilled(
        self, database: Database, settings: Settings, flow: Flow, status: str
    ) -> None:
        schedule_id = add_hourly(database, flow, status=status, next_run_at=None)

        done = run_through(database, settings, start(database, schedule_id, 3))

        assert done.completed == 3
        assert row(database, ScheduleRow, schedule_id)["status"] == status

    def test_a_flow_that_is_gone_is_refused(self, database: Database, flow: Flow) -> None:
        schedule_id = add_hourly(database, flow)
        mark_gone(database, flow)
        with pytest.raises(Conflict, match="any more"):
            start(database, schedule_id, 3)


class TestEnd:
    def test_it_is_completed_when_its_last_task_has_ended(
        self, database: Database, settings: Settings, flow: Flow
    ) -> None:
        manager = BackfillManager(database)
        backfill = start(database, add_hourly(database, flow), 2, max_concurrent=2)
        advance_all(database, settings)
        advance_all(database, settings)
        assert manager.get(backfill.id).state is BackfillState.RUNNING

        [first, second] = rows(database, OPEN)
        end(database, first, TaskState.FAILED)
        advance_all(database, settings)
        assert manager.get(backfill.id).state is BackfillState.RUNNING
        end(database, second)
        advance_all(database, settings)

        done = manager.get(backfill.id)
        assert (done.state, done.failed, done.completed) == (BackfillState.COMPLETED, 1, 1)
        assert done.finished_at is not None
        assert not done.has_succeeded

    def test_cancelled_it_makes_no_more_and_ends_what_does_not_run(
        self, database: Database, settings: Settings, flow: Flow
    ) -> None:
        manager = BackfillManager(database)
        backfill = start(database, add_hourly(database, flow), 9, max_concurrent=3)
        advance_all(database, settings)
        [running, *_] = rows(database, OPEN)
        claimed(database, running)

        for _ in range(2):
            cancelled = manager.cancel(backfill.id, actor="me")

        assert (cancelled.state, cancelled.reason) == (BackfillState.CANCELLED, "by me")
        assert (cancelled.unfinished, cancelled.cancelled) == (1, 2)
        end(database, running)
        advance_all(database, settings)
        assert len(rows(database, TASKS)) == 3

    def test_a_completed_one_is_not_cancelled(
        self, database: Database, settings: Settings, flow: Flow
    ) -> None:
        done = run_through(database, settings, start(database, add_hourly(database, flow), 1))
        with pytest.raises(Conflict, match="already completed"):
            BackfillManager(database).cancel(done.id, actor="me")
        with pytest.raises(NotFound):
            BackfillManager(database).cancel(done.schedule_id, actor="me")

    def test_with_its_schedule_it_goes_and_what_does_not_run_ends(
        self, database: Database, settings: Settings, flow: Flow
    ) -> None:
        backfill = start(database, add_hourly(database, flow), 9, max_concurrent=3)
        advance_all(database, settings)
        [running, *_] = rows(database, OPEN)
        claimed(database, running)

        SchedulerManager(database, settings).delete(backfill.schedule_id)

        assert rows(database, "SELECT count(*) FROM backfills") == [0]
        states = rows(database, "SELECT state, count(*) FROM tasks GROUP BY state ORDER BY state")
        assert states == [("cancelled", 2), ("running", 1)]
        assert advance_once(database, settings) == 0

    def test_what_nobody_skipped_is_told(
        self, database: Database, settings: Settings, flow: Flow
    ) -> None:
        """A backfill leaves no occurrence without a task or a reason."""
        ahead = now(database).replace(minute=0, second=0, microsecond=0) + HOUR
        since = ahead - DAY
        columns = {"counts_from": since - timedelta(seconds=1), "next_run_at": ahead}
        schedule_id = add_hourly(database, flow, **columns)
        live = live_run(database, flow, schedule_id)
        manager = BackfillManager(database)
        wanted = manager.prospect(schedule_id, begin=since)
        backfill = manager.start(wanted, actor="me", overlap=Overlap.SKIP)
        advance_all(database, settings)
        end(database, live)
        assert run_through(database, settings, backfill).passed_by == 1

        with database.transaction() as connection:
            assert find_gaps(connection).gaps == []


def test_lists_show_the_newest_first_of_a_schedule_and_those_that_run(
    database: Database, settings: Settings, flow: Flow
) -> None:
    manager = BackfillManager(database)
    first, second = (start(database, add_hourly(database, flow), 2) for _ in range(2))
    manager.cancel(second.id, actor="me")

    def ids(found: Sequence[Backfill]) -> list[UUID]:
        return [each.id for each in found]

    assert ids(manager.list()) == [second.id, first.id]
    assert ids(manager.list(running=True)) == [first.id]
    assert ids(manager.list(schedule_id=second.schedule_id)) == [second.id]
    assert ids(manager.list(limit=1)) == [second.id]
    assert manager.resolve("@last") == second.id
    assert manager.resolve(str(first.id)) == first.id


def test_followers_see_it_until_its_end(database: Database, settings: Settings, flow: Flow) -> None:
    backfill = start(database, add_hourly(database, flow), 2)
    seen = []
    for each in BackfillManager(database).follow(backfill.id):
        seen.append(each.made)
        run_through(database, settings, backfill)

    assert seen == [0, 2]


def test_its_tasks_are_kept_when_its_row_goes(
    database: Database, settings: Settings, flow: Flow
) -> None:
    backfill = run_through(database, settings, start(database, add_hourly(database, flow), 2))
    rows(database, "DELETE FROM backfills WHERE id = :id RETURNING 1", id=backfill.id)

    assert rows(database, "SELECT count(*) FROM tasks WHERE backfill_id IS NULL") == [2]
