"""The policies in the tables: what beats make of overlaps, backlogs, bounds and failures."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Literal
from uuid import UUID

import pytest
from sqlalchemy import func

from automagik.core.config import Settings
from automagik.core.database.models import ScheduleRow, TaskRow
from automagik.core.database.session import TO_WORKERS, Database
from automagik.core.flows.values import Flow
from automagik.core.scheduler.coverage import find_gaps
from automagik.core.scheduler.dispatch import dispatch
from automagik.core.scheduler.failing import RECENT, pause_failing
from automagik.core.scheduler.fire import fire
from automagik.core.scheduler.manager import SchedulerManager
from automagik.core.scheduler.overlap import REPLACED
from automagik.core.scheduler.policies import BUFFERED
from automagik.core.tasks import by_hand
from automagik.core.tasks.states import TaskState
from tests.core.records import (
    MINUTE,
    add_schedules,
    add_task,
    attempts,
    claimed,
    limit_source,
    now,
    put,
    row,
    rows,
    task,
)
from tests.system.history import violations
from tests.workers.queues import delivered
from workers.ready_queue import CeleryReadyQueues

SECOND = timedelta(seconds=1)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)

SKIPPED = "SELECT first_at, last_at, reason FROM skipped_occurrences ORDER BY id"
IN_ORDER = "SELECT scheduled_for FROM tasks ORDER BY turn_at"


def fire_once(database: Database, settings: Settings) -> int:
    with database.transaction() as connection:
        return fire(connection, settings=settings, actor="beat@here")


def fire_all(database: Database, settings: Settings) -> int:
    """How many transactions it took."""
    count = 0
    while fire_once(database, settings):
        count += 1
    return count


def make_due(database: Database, schedule_id: UUID) -> datetime:
    """The next occurrence has come: all that the schedule has told is so much older."""
    ahead = row(database, ScheduleRow, schedule_id)["next_run_at"] - now(database)
    for table, columns in {
        "schedules": ("anchor_at", "next_run_at", "last_run_at", "counts_from"),
        "tasks": ("scheduled_for", "run_at"),
        "skipped_occurrences": ("first_at", "last_at"),
    }.items():
        moves = ", ".join(f"{name} = {name} - :ahead" for name in columns)
        key = "id" if table == "schedules" else "schedule_id"
        rows(
            database,
            f"UPDATE {table} SET {moves} WHERE {key} = :id RETURNING 1",
            ahead=max(ahead, timedelta()),
            id=schedule_id,
        )
    due: datetime = row(database, ScheduleRow, schedule_id)["next_run_at"]
    return due


def end(database: Database, task_id: UUID, state: TaskState = TaskState.COMPLETED) -> None:
    if task(database, task_id)["state"] in {"pending", "queued", "waiting"}:
        claimed(database, task_id)
    outcome = "completed" if state is TaskState.COMPLETED else "failed"
    rows(
        database,
        "UPDATE task_attempts SET outcome = :outcome, finished_at = now()"
        " WHERE task_id = :id AND outcome IS NULL RETURNING 1",
        outcome=outcome,
        id=task_id,
    )
    result: dict[str, Any] | None = {"outputs": []} if state is TaskState.COMPLETED else None
    ended = {"finished_at": func.clock_timestamp(), "lease_expires_at": None, "result": result}
    put(database, TaskRow, task_id, state=state, **ended)


def tasks_of(database: Database, schedule_id: UUID) -> Sequence[UUID]:
    return rows(
        database, "SELECT id FROM tasks WHERE schedule_id = :id ORDER BY id", id=schedule_id
    )


def send(database: Database, queue: CeleryReadyQueues) -> int:
    with database.transaction() as connection:
        return dispatch(connection, queue, least=300, silence=MINUTE, actor="beat@here")


class TestOverlap:
    def test_by_default_runs_overlap(
        self, database: Database, settings: Settings, flow: Flow
    ) -> None:
        [schedule_id] = add_schedules(database, flow)
        for _ in range(3):
            fire_once(database, settings)
            make_due(database, schedule_id)

        assert len(tasks_of(database, schedule_id)) == 3
        assert rows(database, SKIPPED) == []

    def test_skip_leaves_out_what_comes_while_a_run_is_unfinished_and_says_so(
        self, database: Database, settings: Settings, flow: Flow
    ) -> None:
        [schedule_id] = add_schedules(database, flow, overlap="skip")
        fire_once(database, settings)
        [first] = tasks_of(database, schedule_id)
        due = make_due(database, schedule_id)
        fire_once(database, settings)
        assert rows(database, SKIPPED) == [(due, due, "overlap")]
        assert tasks_of(database, schedule_id) == [first]

        end(database, first)
        make_due(database, schedule_id)
        fire_once(database, settings)

        assert len(tasks_of(database, schedule_id)) == 2
        with database.transaction() as connection:
            assert find_gaps(connection).gaps == []

    def test_runs_of_other_schedules_and_by_hand_of_the_flow_do_not_count(
        self, database: Database, settings: Settings, flow: Flow
    ) -> None:
        add_task(database, flow)
        [other] = add_schedules(database, flow)
        add_task(database, flow, schedule_id=other)
        [schedule_id] = add_schedules(database, flow, overlap="skip", late=SECOND)

        fire_once(database, settings)

        assert len(tasks_of(database, schedule_id)) == 1

    def test_a_run_that_was_triggered_counts(
        self, database: Database, settings: Settings, flow: Flow
    ) -> None:
        [schedule_id] = add_schedules(database, flow, overlap="skip")
        triggered = SchedulerManager(database, settings).trigger(schedule_id, actor="me")

        fire_once(database, settings)

        assert tasks_of(database, schedule_id) == [triggered.id]

    @pytest.mark.parametrize("policy, most", [("buffer-one", 2), ("buffer-all", 5)])
    def test_buffered_runs_go_out_one_after_the_other(  # noqa: PLR0917
        self,
        database: Database,
        settings: Settings,
        flow: Flow,
        queue: CeleryReadyQueues,
        redis_url: str,
        policy: str,
        most: int,
    ) -> None:
        limit_source(database, flow, 100)
        [schedule_id] = add_schedules(database, flow, overlap=policy)
        for _ in range(5):
            fire_once(database, settings)
            make_due(database, schedule_id)
        waiting = tasks_of(database, schedule_id)
        assert len(waiting) == most
        assert [reason for *_, reason in rows(database, SKIPPED)] == ["overlap"] * (most < 5)

        for task_id in waiting:
            assert send(database, queue) == 1
            assert send(database, queue) == 0
            assert delivered(redis_url)[-1] == task_id
            end(database, task_id)

        assert violations(database) == []

    def test_the_buffer_is_bounded(
        self, database: Database, settings: Settings, flow: Flow
    ) -> None:
        [schedule_id] = add_schedules(database, flow, overlap="buffer-all")
        for _ in range(BUFFERED):
            add_task(database, flow, schedule_id=schedule_id, in_turn=True)
        fire_once(database, settings)
        due = make_due(database, schedule_id)
        fire_once(database, settings)

        assert len(tasks_of(database, schedule_id)) == BUFFERED + 1
        assert rows(database, SKIPPED) == [(due, due, "overlap")]

    def test_a_retry_keeps_its_turn_and_no_other_starts_meanwhile(
        self, database: Database, settings: Settings, flow: Flow, queue: CeleryReadyQueues
    ) -> None:
        [schedule_id] = add_schedules(database, flow, overlap="buffer-all")
        fire_once(database, settings)
        make_due(database, schedule_id)
        fire_once(database, settings)
        first, second = tasks_of(database, schedule_id)
        send(database, queue)
        claimed(database, first)
        waiting = {"state": "waiting", "lease_expires_at": None, "run_at": func.now() + HOUR}
        put(database, TaskRow, first, **waiting)

        assert send(database, queue) == 0

        put(database, TaskRow, first, run_at=func.now() - SECOND)
        assert send(database, queue) == 1
        assert task(database, first)["state"] == "queued"
        assert task(database, second)["state"] == "pending"

    def test_an_older_one_that_is_retried_by_hand_waits_for_the_one_under_way(
        self, database: Database, settings: Settings, flow: Flow, queue: CeleryReadyQueues
    ) -> None:
        [schedule_id] = add_schedules(database, flow, overlap="buffer-all")
        fire_once(database, settings)
        [first] = tasks_of(database, schedule_id)
        end(database, first, TaskState.FAILED)
        make_due(database, schedule_id)
        fire_once(database, settings)
        _, second = tasks_of(database, schedule_id)
        assert send(database, queue) == 1
        with database.transaction() as connection:
            by_hand.retry(connection, first, actor="me", reason=None)

        assert send(database, queue) == 0
        end(database, second)
        assert send(database, queue) == 1

    def test_what_waits_for_its_turn_is_cancelled_with_its_schedule_and_the_first_one_runs(
        self, database: Database, settings: Settings, flow: Flow, queue: CeleryReadyQueues
    ) -> None:
        limit_source(database, flow, 100)
        [schedule_id] = add_schedules(database, flow, overlap="buffer-all")
        first, *others = (
            add_task(database, flow, schedule_id=schedule_id, in_turn=True) for _ in range(3)
        )
        SchedulerManager(database, settings).delete(schedule_id)

        assert send(database, queue) == 1
        assert task(database, first)["state"] == "queued"
        assert {task(database, each)["state"] for each in others} == {"cancelled"}

    def test_the_turns_of_schedules_are_independent_and_others_pass_by(
        self, database: Database, flow: Flow, queue: CeleryReadyQueues
    ) -> None:
        limit_source(database, flow, 100)
        schedules = add_schedules(database, flow, 3, overlap="buffer-all")
        for _ in range(4):
            for schedule_id in schedules:
                add_task(database, flow, schedule_id=schedule_id, in_turn=True)
        add_task(database, flow, schedule_id=add_schedules(database, flow)[0])

        assert send(database, queue) == 4
        assert send(database, queue) == 0

    @pytest.mark.parametrize("policy", ["cancel-other", "terminate-other"])
    def test_a_new_run_cancels_the_unfinished_ones_and_tells_their_workers(
        self, database: Database, settings: Settings, flow: Flow, policy: str
    ) -> None:
        [schedule_id] = add_schedules(database, flow, overlap=policy)
        fire_once(database, settings)
        [running] = tasks_of(database, schedule_id)
        claimed(database, running)
        waiting = add_task(database, flow, schedule_id=schedule_id, state=TaskState.QUEUED)
        ended = add_task(database, flow, schedule_id=schedule_id, state=TaskState.FAILED)
        make_due(database, schedule_id)

        with database.listen(TO_WORKERS) as listener:
            fire_once(database, settings)
            assert listener.wait(MINUTE) == [str(running)]

        for task_id in (running, waiting):
            assert task(database, task_id)["state"] == "cancelled"
            assert task(database, task_id)["state_reason"] == REPLACED
        assert [each["outcome"] for each in attempts(database, running)] == ["cancelled"]
        assert task(database, ended)["state"] == "failed"
        [new] = set(tasks_of(database, schedule_id)) - {running, waiting, ended}
        assert task(database, new)["state"] == "pending"
        assert not task(database, new)["in_turn"]

    def test_a_clock_that_was_set_back_does_not_cancel_the_run_of_that_instant(
        self, database: Database, settings: Settings, flow: Flow
    ) -> None:
        [schedule_id] = add_schedules(database, flow, overlap="cancel-other")
        fire_once(database, settings)
        put(database, ScheduleRow, schedule_id, next_run_at=ScheduleRow.last_run_at)

        fire_once(database, settings)

        [task_id] = tasks_of(database, schedule_id)
        assert task(database, task_id)["state"] == "pending"


class TestBacklog:
    @pytest.mark.parametrize(
        "columns, expected",
        [
            ({"misfire": "skip"}, (0, ["misfire"])),
            ({"misfire": "run-once"}, (1, ["misfire"])),
            ({"misfire": "run-all"}, (1_440, [])),
            ({"misfire": "run-all", "catch_up_order": "newest-first"}, (1_440, [])),
            ({"misfire": "run-all", "catch_up_seconds": 3_600.0}, (60, ["misfire"])),
            ({"misfire": "run-all", "overlap": "skip"}, (1, ["overlap"])),
            ({"misfire": "run-all", "max_runs": 250}, (250, ["max-runs"])),
        ],
    )
    def test_a_day_of_downtime_of_a_schedule_of_a_minute(
        self,
        database: Database,
        settings: Settings,
        flow: Flow,
        columns: dict[str, Any],
        expected: tuple[int, list[str]],
    ) -> None:
        runs, reasons = expected
        late = DAY - 30 * SECOND
        since = now(database) - late - MINUTE
        [schedule_id] = add_schedules(
            database, flow, late=late, misfire_grace_seconds=1.0, counts_from=since, **columns
        )

        transactions = fire_all(database, settings)

        assert transactions <= 15
        assert rows(database, "SELECT count(*) FROM tasks") == [runs]
        assert [reason for *_, reason in rows(database, SKIPPED)] == reasons
        schedule = row(database, ScheduleRow, schedule_id)
        assert schedule["runs"] == runs
        assert schedule["status"] == ("completed" if "max-runs" in reasons else "active")
        assert schedule["caught_up_from"] is None
        with database.transaction() as connection:
            assert find_gaps(connection).gaps == []

    @pytest.mark.parametrize("order", ["oldest-first", "newest-first"])
    def test_a_backlog_goes_out_in_its_order_and_after_all_live_runs(
        self, database: Database, settings: Settings, flow: Flow, order: str
    ) -> None:
        add_schedules(
            database,
            flow,
            late=5 * HOUR - 30 * SECOND,
            misfire="run-all",
            catch_up_order=order,
            priority=-950,
            misfire_grace_seconds=1.0,
        )
        add_schedules(database, flow, every=HOUR, late=SECOND, name="live", priority=-1_000)

        fire_all(database, settings)

        instants = list(rows(database, IN_ORDER))
        assert len(instants) == 301
        backlog = instants[1:]
        assert backlog == sorted(backlog, reverse=order == "newest-first")
        assert rows(database, "SELECT DISTINCT priority FROM tasks") == [-1_000]
        first = rows(
            database,
            "SELECT s.name FROM tasks t JOIN schedules s ON s.id = t.schedule_id"
            " ORDER BY t.turn_at LIMIT 1",
        )
        assert first == ["live"]

    def test_the_clock_stays_behind_until_all_is_made_up_for(
        self, database: Database, settings: Settings, flow: Flow
    ) -> None:
        [schedule_id] = add_schedules(
            database,
            flow,
            late=250 * MINUTE,
            misfire="run-all",
            catch_up_order="newest-first",
        )
        due = row(database, ScheduleRow, schedule_id)["next_run_at"]

        for _ in range(2):
            fire_once(database, settings)
            assert row(database, ScheduleRow, schedule_id)["next_run_at"] == due
        fire_once(database, settings)

        assert row(database, ScheduleRow, schedule_id)["next_run_at"] > now(database)
        assert rows(database, "SELECT count(*) FROM tasks") == [251]

    def test_schedules_with_a_backlog_do_not_keep_others_from_their_turn(
        self, database: Database, settings: Settings, flow: Flow
    ) -> None:
        add_schedules(database, flow, 40, late=DAY, misfire="run-all")
        [live] = add_schedules(database, flow, late=SECOND)

        fire_once(database, settings)

        assert len(tasks_of(database, live)) == 1
        assert rows(database, "SELECT count(*) FROM tasks") == [1 + 10 * 100]


class TestBounds:
    def test_only_the_start_moves_by_jitter_and_spread(
        self, database: Database, settings: Settings, flow: Flow
    ) -> None:
        [schedule_id] = add_schedules(
            database, flow, jitter_seconds=3_600.0, spread_seconds=3_600.0
        )
        due = row(database, ScheduleRow, schedule_id)["next_run_at"]

        fire_once(database, settings)

        [(occurrence, run_at)] = rows(database, "SELECT scheduled_for, run_at FROM tasks")
        assert occurrence == due
        assert due < run_at < due + 2 * HOUR

    def test_a_schedule_is_completed_by_its_last_run_and_skips_do_not_count(
        self, database: Database, settings: Settings, flow: Flow
    ) -> None:
        [schedule_id] = add_schedules(database, flow, max_runs=2, overlap="skip")
        fire_once(database, settings)
        make_due(database, schedule_id)
        fire_once(database, settings)
        assert row(database, ScheduleRow, schedule_id)["status"] == "active"
        end(database, tasks_of(database, schedule_id)[0])
        make_due(database, schedule_id)
        fire_once(database, settings)

        schedule = row(database, ScheduleRow, schedule_id)
        assert (schedule["status"], schedule["next_run_at"]) == ("completed", None)
        assert schedule["status_reason"] == "it has made all of its runs: 2"
        with database.transaction() as connection:
            assert find_gaps(connection).gaps == []

    def test_a_one_shot_that_is_skipped_says_why_it_is_completed(
        self, database: Database, settings: Settings, flow: Flow
    ) -> None:
        at = now(database) - HOUR
        [schedule_id] = add_schedules(
            database, flow, type="oneshot", expr=at.isoformat(), next_run_at=at, misfire="skip"
        )

        fire_once(database, settings)

        schedule = row(database, ScheduleRow, schedule_id)
        assert (schedule["status"], schedule["last_run_at"]) == ("completed", None)
        assert schedule["status_reason"] == "its last occurrence was skipped: misfire"
        assert rows(database, SKIPPED) == [(at, at, "misfire")]

    @pytest.mark.parametrize("own", [True, False, None])
    def test_a_schedule_may_differ_from_its_flow_in_how_often_it_calls(
        self, database: Database, settings: Settings, flow: Flow, own: Literal[True, False] | None
    ) -> None:
        [schedule_id] = add_schedules(database, flow, at_most_once=own)
        fire_once(database, settings)
        SchedulerManager(database, settings).trigger(schedule_id, actor="me")

        assert rows(database, "SELECT at_most_once FROM tasks") == [bool(own)] * 2


class TestFailures:
    def failed(self, database: Database, flow: Flow, schedule_id: UUID, *states: TaskState) -> None:
        for state in states:
            task_id = add_task(database, flow, schedule_id=schedule_id)
            if state.is_final and state is not TaskState.CANCELLED:
                end(database, task_id, state)
            else:
                finished = func.clock_timestamp() if state.is_final else None
                put(database, TaskRow, task_id, state=state, finished_at=finished)

    @pytest.mark.parametrize(
        "states, reason",
        [
            (("failed", "failed"), "its last 2 runs failed"),
            (("completed", "failed", "failed"), "its last 2 runs failed"),
            (("failed", "cancelled", "failed", "pending"), "its last 2 runs failed"),
            (("failed",), None),
            (("failed", "completed"), None),
            (("failed", "completed", "failed"), None),
            (("cancelled", "cancelled"), None),
        ],
    )
    def test_it_is_paused_after_so_many_failures_in_a_row(
        self,
        database: Database,
        settings: Settings,
        flow: Flow,
        states: tuple[str, ...],
        reason: str | None,
    ) -> None:
        pauses = reason is not None
        for late in (-HOUR, SECOND):
            [schedule_id] = add_schedules(
                database, flow, late=late, pause_after_failures=2, counts_from=now(database)
            )
            self.failed(database, flow, schedule_id, *map(TaskState, states))
            with database.transaction() as connection:
                paused = pause_failing(connection) if late < timedelta() else 0
            assert paused == (pauses and late < timedelta())
            fire_once(database, settings)

            schedule = row(database, ScheduleRow, schedule_id)
            assert schedule["status"] == ("paused" if pauses else "active")
            assert schedule["status_reason"] == reason
            assert (schedule["held_from"] is not None) == pauses
        assert rows(database, SKIPPED) == []

    def test_what_failed_before_it_was_resumed_is_forgiven(
        self, database: Database, settings: Settings, flow: Flow
    ) -> None:
        manager = SchedulerManager(database, settings)
        [schedule_id] = add_schedules(database, flow, late=-HOUR, pause_after_failures=1)
        put(database, ScheduleRow, schedule_id, counts_from=now(database))
        self.failed(database, flow, schedule_id, TaskState.FAILED)
        with database.transaction() as connection:
            assert pause_failing(connection) == 1
        manager.resume(schedule_id)

        with database.transaction() as connection:
            assert pause_failing(connection) == 0
        assert row(database, ScheduleRow, schedule_id)["status"] == "active"

        self.failed(database, flow, schedule_id, TaskState.FAILED)
        with database.transaction() as connection:
            assert pause_failing(connection) == 1
        assert row(database, ScheduleRow, schedule_id)["status_reason"] == "its last run failed"

    def test_only_fresh_failures_are_looked_at_before_it_is_due(
        self, database: Database, flow: Flow
    ) -> None:
        """So that the cost is that of what happens, not of how many schedules there are."""
        [schedule_id] = add_schedules(
            database, flow, late=-HOUR, pause_after_failures=1, counts_from=now(database) - DAY
        )
        self.failed(database, flow, schedule_id, TaskState.FAILED)
        [task_id] = tasks_of(database, schedule_id)
        put(database, TaskRow, task_id, finished_at=func.now() - RECENT - SECOND)
        put(database, ScheduleRow, schedule_id, updated_at=func.now() - DAY)

        with database.transaction() as connection:
            assert pause_failing(connection) == 0
