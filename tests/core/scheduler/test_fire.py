"""Due schedules become tasks: the promise that each occurrence is recorded once."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, timedelta
from typing import Any

import pytest
from sqlalchemy import text

from automagik.core.config import Settings
from automagik.core.database.models import ScheduleRow
from automagik.core.database.session import Database
from automagik.core.flows.manager import FlowManager
from automagik.core.flows.values import Flow, FlowChange
from automagik.core.scheduler.fire import fire
from tests.core.records import MINUTE, add_schedules, dying, now, put, row, rows
from tests.core.scheduler.stored import mark_gone
from tests.core.tasks.rows import add_flow

SECOND = timedelta(seconds=1)
HOUR = timedelta(hours=1)

OCCURRENCES = "SELECT scheduled_for FROM tasks ORDER BY scheduled_for"
SKIPPED = """
SELECT schedule_id, first_at, last_at, reason FROM skipped_occurrences ORDER BY schedule_id
"""

BROKEN: dict[str, dict[str, Any]] = {
    "Mars/Olympus": {"type": "cron", "expr": "* * * * *", "timezone": "Mars/Olympus"},
    "Nowhere": {"timezone": "Nowhere"},
    "sometimes": {"expr": "sometimes"},
    "61": {"type": "cron", "expr": "61 * * * *"},
    "2026-02-30": {"type": "oneshot", "expr": "2026-02-30T09:00"},
    "empty": {"expr": ""},
    "OverflowError": {"jitter_seconds": 8e13, "spread_seconds": 8e13},
}
"""What the reason names, and columns that only SQL can write."""


def fire_once(database: Database, settings: Settings, *, grace: timedelta = MINUTE) -> int:
    changed = settings.model_copy(update={"misfire_grace_seconds": grace.total_seconds()})
    with database.transaction() as connection:
        return fire(connection, settings=changed, actor="beat@here")


class TestFire:
    def test_a_due_schedule_becomes_a_task_and_its_clock_moves(
        self, database: Database, settings: Settings, flow: Flow
    ) -> None:
        [schedule_id] = add_schedules(
            database,
            flow,
            late=SECOND,
            input_value="hi",
            tweaks={"a": {"b": 1}},
            session_id="mine",
            priority=7,
        )
        due = row(database, ScheduleRow, schedule_id)["next_run_at"]

        assert fire_once(database, settings) == 1

        [task] = rows(
            database,
            "SELECT state, flow_version_id, schedule_id, scheduled_for, run_at, input_value,"
            " tweaks, session_id, priority, state_actor FROM tasks",
        )
        assert task == (
            "pending",
            flow.version_id,
            schedule_id,
            due,
            due,
            "hi",
            {"a": {"b": 1}},
            "mine",
            7,
            "beat@here",
        )
        moved = row(database, ScheduleRow, schedule_id)
        assert (moved["last_run_at"], moved["next_run_at"]) == (due, due + MINUTE)
        assert moved["status"] == "active"

    def test_task_clock_and_what_is_skipped_are_one_transaction(
        self, database: Database, settings: Settings, flow: Flow
    ) -> None:
        [schedule_id] = add_schedules(database, flow, late=HOUR)
        before = row(database, ScheduleRow, schedule_id)

        with dying(database) as connection:
            fire(connection, settings=settings, actor="beat")

        assert rows(database, OCCURRENCES) == rows(database, SKIPPED) == []
        assert row(database, ScheduleRow, schedule_id) == before

    def test_nothing_is_due_before_its_time(
        self, database: Database, settings: Settings, flow: Flow
    ) -> None:
        add_schedules(database, flow, late=-HOUR)

        assert fire_once(database, settings) == 0
        assert rows(database, OCCURRENCES) == []

    def test_only_active_schedules_fire(
        self, database: Database, settings: Settings, flow: Flow
    ) -> None:
        for status in ("paused", "completed", "error"):
            add_schedules(database, flow, status=status)

        assert fire_once(database, settings) == 0

    def test_the_clock_of_postgresql_decides(
        self, database: Database, settings: Settings, flow: Flow
    ) -> None:
        """A transaction's time stands still, so what is due later is not due in it."""
        with database.transaction() as connection:
            connection.execute(text("SELECT now()"))
            [schedule_id] = add_schedules(database, flow)
            assert row(database, ScheduleRow, schedule_id)["next_run_at"] < now(database)
            assert fire(connection, settings=settings, actor="beat") == 0

        assert fire_once(database, settings) == 1

    def test_an_instant_that_fires_again_makes_no_second_task(
        self, database: Database, settings: Settings, flow: Flow
    ) -> None:
        [schedule_id] = add_schedules(database, flow)
        due = row(database, ScheduleRow, schedule_id)["next_run_at"]
        fire_once(database, settings)
        put(database, ScheduleRow, schedule_id, next_run_at=due)

        assert fire_once(database, settings) == 1

        assert rows(database, OCCURRENCES) == [due]
        assert row(database, ScheduleRow, schedule_id)["next_run_at"] == due + MINUTE

    def test_four_beats_together_fire_each_instant_once(
        self, database: Database, settings: Settings, flow: Flow
    ) -> None:
        add_schedules(database, flow, 1_950, late=SECOND)
        # Some of them several times, while other beats are at it.
        add_schedules(database, flow, 50, every=10 * SECOND, late=35 * SECOND)

        def fire_all(_: int) -> int:
            fired = 0
            while found := fire_once(database, settings):
                fired += found
            return fired

        with ThreadPoolExecutor(4) as beats:
            fired = sum(beats.map(fire_all, range(4)))

        expected = 1_950 + 50 * 4
        assert fired == expected
        instants = rows(
            database, "SELECT count(*), count(DISTINCT (schedule_id, run_at)) FROM tasks"
        )
        assert instants == [(expected, expected)]

    def test_a_task_takes_what_the_schedule_leaves_open_from_the_flow_then_from_the_settings(
        self, database: Database, settings: Settings, flow: Flow
    ) -> None:
        own = add_flow(database, "own", max_retries=1, timeout=5 * SECOND)
        add_schedules(database, own, name="a", max_retries=7, timeout_seconds=8.0)
        add_schedules(database, own, name="b")
        add_schedules(database, flow, name="c")

        fire_once(database, settings)

        limits = rows(
            database,
            "SELECT t.max_retries, t.max_attempts, t.timeout_seconds FROM tasks t"
            " JOIN schedules s ON s.id = schedule_id ORDER BY s.name",
        )
        assert limits == [(7, 8, 8.0), (1, 2, 5.0), (3, 4, settings.run_timeout_seconds)]

    def test_a_task_takes_priority_and_queue_that_way_too_and_whether_it_is_called_once(
        self, database: Database, settings: Settings, flow: Flow
    ) -> None:
        change = FlowChange(priority=7, queue="gpu", at_most_once=True)
        own = FlowManager(database, settings).update(add_flow(database, "own"), change)
        add_schedules(database, own, name="a", priority=0, queue="automagik")
        add_schedules(database, own, name="b")
        add_schedules(database, flow, name="c")
        elsewhere = settings.model_copy(update={"queue": "elsewhere"})

        fire_once(database, elsewhere)

        options = rows(
            database,
            "SELECT t.priority, t.queue, t.at_most_once FROM tasks t"
            " JOIN schedules s ON s.id = schedule_id ORDER BY s.name",
        )
        assert options == [(0, "automagik", True), (7, "gpu", True), (0, "elsewhere", False)]

    def test_a_new_task_has_an_event(
        self, database: Database, settings: Settings, flow: Flow
    ) -> None:
        add_schedules(database, flow)

        fire_once(database, settings)

        events = rows(database, "SELECT from_state, to_state, actor FROM task_events")
        assert events == [(None, "pending", "beat@here")]


class TestWhatCannotBeComputed:
    def test_broken_rules_are_set_aside_with_a_reason_and_stop_nobody(
        self, database: Database, settings: Settings, flow: Flow
    ) -> None:
        broken = {
            add_schedules(database, flow, late=2 * SECOND, **columns)[0]: reason
            for reason, columns in BROKEN.items()
        }
        [sound] = add_schedules(database, flow)

        assert fire_once(database, settings) == len(BROKEN) + 1

        assert rows(database, "SELECT schedule_id FROM tasks") == [sound]
        for schedule_id, reason in broken.items():
            aside = row(database, ScheduleRow, schedule_id)
            assert (aside["status"], aside["next_run_at"]) == ("error", None)
            assert reason in aside["status_reason"]
        skipped = rows(database, SKIPPED)
        assert {schedule_id for schedule_id, *_ in skipped} == broken.keys()
        assert all((first, why) == (last, "error") for _, first, last, why in skipped)
        assert fire_once(database, settings) == 0

    def test_a_schedule_of_a_flow_that_is_gone_is_set_aside(
        self, database: Database, settings: Settings, flow: Flow
    ) -> None:
        gone = add_flow(database, "gone")
        mark_gone(database, gone)
        [aside] = add_schedules(database, gone)
        [sound] = add_schedules(database, flow)

        fire_once(database, settings)

        assert rows(database, "SELECT schedule_id FROM tasks") == [sound]
        assert row(database, ScheduleRow, aside)["status"] == "error"
        assert "gone" in row(database, ScheduleRow, aside)["status_reason"]

    def test_what_was_set_aside_keeps_its_last_run(
        self, database: Database, settings: Settings, flow: Flow
    ) -> None:
        [schedule_id] = add_schedules(database, flow)
        fire_once(database, settings)
        last = row(database, ScheduleRow, schedule_id)["last_run_at"]
        put(database, ScheduleRow, schedule_id, next_run_at=last, expr="sometimes")

        fire_once(database, settings)

        assert row(database, ScheduleRow, schedule_id)["last_run_at"] == last


class TestMisfires:
    def test_within_the_grace_occurrences_run_one_by_one(
        self, database: Database, settings: Settings, flow: Flow
    ) -> None:
        [schedule_id] = add_schedules(database, flow, every=10 * SECOND, late=35 * SECOND)
        due = row(database, ScheduleRow, schedule_id)["next_run_at"]

        while fire_once(database, settings):
            pass

        assert rows(database, OCCURRENCES) == [due + n * 10 * SECOND for n in range(4)]
        assert rows(database, "SELECT DISTINCT state_reason FROM tasks") == [None]
        assert rows(database, SKIPPED) == []

    def test_one_run_makes_up_for_older_ones_and_says_since_when(
        self, database: Database, settings: Settings, flow: Flow
    ) -> None:
        late = HOUR + 25 * SECOND
        [schedule_id] = add_schedules(database, flow, every=10 * MINUTE, late=late)
        due = row(database, ScheduleRow, schedule_id)["next_run_at"]

        while fire_once(database, settings):
            pass

        [(occurrence, reason)] = rows(database, "SELECT scheduled_for, state_reason FROM tasks")
        assert occurrence == due + HOUR
        assert reason.startswith("makes up for")
        assert reason.endswith(due.astimezone(UTC).isoformat())
        missed = (schedule_id, due, occurrence - 10 * MINUTE, "misfire")
        assert rows(database, SKIPPED) == [missed]

    def test_a_batch_tells_what_each_of_its_schedules_skips(
        self, database: Database, settings: Settings, flow: Flow
    ) -> None:
        late = [2 * HOUR + MINUTE, 3 * HOUR + MINUTE, SECOND]
        ids = [add_schedules(database, flow, every=HOUR, late=each)[0] for each in late]
        due = [row(database, ScheduleRow, each)["next_run_at"] for each in ids]

        assert fire_once(database, settings) == 3

        assert {each[0]: each[1:] for each in rows(database, SKIPPED)} == {
            ids[0]: (due[0], due[0] + HOUR, "misfire"),
            ids[1]: (due[1], due[1] + 2 * HOUR, "misfire"),
        }

    def test_a_single_late_occurrence_makes_up_for_nothing(
        self, database: Database, settings: Settings, flow: Flow
    ) -> None:
        add_schedules(database, flow, every=24 * HOUR, late=HOUR)

        fire_once(database, settings)

        assert rows(database, "SELECT state_reason FROM tasks") == [None]

    def test_the_next_run_stays_on_the_grid_of_the_anchor(
        self, database: Database, settings: Settings, flow: Flow
    ) -> None:
        every, lates = 7 * SECOND, (timedelta(), 35 * SECOND, 90 * SECOND, 77 * HOUR)
        schedules = [add_schedules(database, flow, every=every, late=late)[0] for late in lates]

        while fire_once(database, settings):
            pass

        for schedule_id in schedules:
            moved = row(database, ScheduleRow, schedule_id)
            assert (moved["next_run_at"] - moved["anchor_at"]) % every == timedelta()
            assert moved["next_run_at"] - moved["last_run_at"] == every

    @pytest.mark.parametrize("late", [SECOND, 3 * HOUR])
    def test_a_one_shot_runs_once_however_late_and_is_completed(
        self, database: Database, settings: Settings, flow: Flow, late: timedelta
    ) -> None:
        at = now(database) - late
        [schedule_id] = add_schedules(
            database, flow, type="oneshot", expr=at.isoformat(), next_run_at=at
        )

        assert fire_once(database, settings) == 1
        assert fire_once(database, settings) == 0

        assert rows(database, OCCURRENCES) == [at]
        done = row(database, ScheduleRow, schedule_id)
        assert (done["status"], done["next_run_at"], done["last_run_at"]) == ("completed", None, at)
