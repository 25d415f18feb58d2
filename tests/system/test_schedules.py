"""What a user of schedules sees of running beats and workers."""

from datetime import timedelta

import pytest
from sqlalchemy import text

from automagik.core.config import Settings
from automagik.core.scheduler.manager import SchedulerManager
from automagik.core.scheduler.values import CadenceText, ScheduleChange
from automagik.demo.server import DemoServer
from tests.system.conftest import Desk
from tests.system.fleet import Fleet
from tests.system.history import violations

pytestmark = pytest.mark.system

SOON = timedelta(seconds=1)


def test_a_schedule_runs_its_flow_and_keeps_the_answer(
    fleet: Fleet, desk: Desk, demo_server: DemoServer
) -> None:
    fleet.beat()
    fleet.worker()
    schedule = desk.schedule("Echo", "interval", "1s")
    done = "SELECT count(*) >= 3 FROM tasks WHERE schedule_id = :id AND state = 'completed'"
    fleet.wait_for(done, id=schedule.id)
    [output] = fleet.rows("SELECT DISTINCT output_text FROM tasks WHERE state = 'completed'")
    assert output.output_text == "on time"
    assert fleet.value("SELECT result -> 'outputs' IS NOT NULL FROM tasks WHERE result IS NOT NULL")
    assert fleet.value("SELECT count(*) FROM task_logs") > 0
    sessions = {run.session_id for run in demo_server.runs}
    assert len(sessions) == len(demo_server.runs), "each run has a session of its own"
    assert violations(fleet.database) == []


def test_an_edit_takes_effect_in_under_a_second(
    fleet: Fleet, desk: Desk, settings: Settings
) -> None:
    """A beat that sleeps for long is woken by a new, an edited and a resumed schedule."""
    fleet.beat(AUTOMAGIK_BEAT_MAX_WAIT_SECONDS="30")
    manager = SchedulerManager(fleet.database, settings)
    # The beat would look again in half a minute: only a notification makes it look in time.
    schedule = desk.schedule("Echo", "cron", "0 0 1 1 *", name="new-year")
    fleet.wait_for(
        "SELECT count(*) > 0 FROM pg_stat_activity"
        " WHERE datname = current_database() AND query = 'EXECUTE look '"
    )
    new_rule = CadenceText(type="oneshot", expr="now")
    manager.update(schedule.id, ScheduleChange(cadence=new_rule))
    fleet.wait_for("SELECT count(*) = 1 FROM tasks WHERE schedule_id = :id", id=schedule.id)
    assert fleet.value("SELECT created_at - scheduled_for FROM tasks") < SOON
    assert fleet.value("SELECT status FROM schedules") == "completed"


def test_a_paused_schedule_does_not_fire(fleet: Fleet, desk: Desk, settings: Settings) -> None:
    fleet.beat()
    manager = SchedulerManager(fleet.database, settings)
    schedule = desk.schedule("Echo", "interval", "1s")
    fleet.wait_for("SELECT count(*) >= 1 FROM tasks")
    manager.pause(schedule.id)
    before = fleet.value("SELECT count(*) FROM tasks")
    other = desk.schedule("Slow", "interval", "1s")
    fleet.wait_for("SELECT count(*) >= 2 FROM tasks WHERE schedule_id = :id", id=other.id)
    after = fleet.value("SELECT count(*) FROM tasks WHERE schedule_id = :id", id=schedule.id)
    assert after == before


def test_a_beat_that_was_down_makes_up_with_one_run(fleet: Fleet, desk: Desk) -> None:
    schedule = desk.schedule("Echo", "interval", "1m")
    with fleet.database.transaction() as connection:
        back = text(
            "UPDATE schedules SET anchor_at = anchor_at - interval '1 day',"
            " next_run_at = next_run_at - interval '1 day'"
        )
        connection.execute(back)
    fleet.beat()
    fleet.wait_for("SELECT next_run_at > now() FROM schedules")
    [task] = fleet.rows("SELECT scheduled_for, now() AS now FROM tasks")
    assert task.now - task.scheduled_for < timedelta(minutes=1, seconds=20)
    reason = fleet.value("SELECT reason FROM task_events WHERE from_state IS NULL")
    assert reason.startswith("makes up for all occurrences since")
    assert schedule.name == fleet.value("SELECT name FROM schedules")


def test_flaky_flows_are_retried_and_failing_ones_given_up(fleet: Fleet, desk: Desk) -> None:
    fleet.beat()
    fleet.worker()
    flaky = desk.run("Flaky", "at last", max_retries=3)
    failing = desk.run("Failing", max_retries=1)
    fleet.wait_for("SELECT state = 'completed' FROM tasks WHERE id = :id", id=flaky.id, seconds=40)
    fleet.wait_for("SELECT state = 'failed' FROM tasks WHERE id = :id", id=failing.id, seconds=40)
    assert fleet.value("SELECT attempt FROM tasks WHERE id = :id", id=flaky.id) == 3
    assert fleet.value("SELECT attempt FROM tasks WHERE id = :id", id=failing.id) == 2
    message = fleet.value("SELECT error_message FROM tasks WHERE id = :id", id=failing.id)
    assert "deliberate failure" in message
    assert violations(fleet.database) == []
