"""A backfill goes on through the death of beats, and a live schedule does not notice it."""

from datetime import timedelta

import pytest

from automagik.core.config import Settings
from automagik.core.flows.flow_input import FlowInput
from automagik.core.scheduler.backfill_manager import BackfillManager
from automagik.core.scheduler.backfill_rows import BackfillState
from automagik.core.scheduler.manager import SchedulerManager
from automagik.core.scheduler.policies import Overlap
from automagik.core.scheduler.policy_columns import PolicyChange
from automagik.core.scheduler.values import CadenceText
from automagik.demo.server import DemoServer
from tests.system.conftest import Desk
from tests.system.fleet import Fleet, kill
from tests.system.history import violations

pytestmark = pytest.mark.system

OCCURRENCES = 60
ENDED = "SELECT count(*) >= :count FROM tasks WHERE backfill_id IS NOT NULL AND state = 'completed'"
LIVE = """
SELECT count(*) AS runs, count(*) FILTER (WHERE state = 'completed') AS completed,
    max(started_at - scheduled_for) AS latest, bool_and(attempt = 1) AS once
FROM tasks WHERE backfill_id IS NULL AND scheduled_for < :end
"""


def test_beats_are_killed_and_each_occurrence_runs_once_while_a_live_schedule_goes_on(
    fleet: Fleet, desk: Desk, demo_server: DemoServer, settings: Settings
) -> None:
    fleet.worker()
    beat = fleet.beat()
    schedule = SchedulerManager(desk.database, settings).create(
        desk.flow("Echo"),
        CadenceText(type="interval", expr="1s"),
        run_input=FlowInput(input_value="on time"),
        name="every-second",
        policies=PolicyChange(overlap=Overlap.SKIP),
    )
    manager = BackfillManager(desk.database)
    created = schedule.created_at.replace(microsecond=0)
    wanted = manager.prospect(
        schedule.id, begin=created - timedelta(seconds=OCCURRENCES), end=created
    )
    assert len(wanted.occurrences) == OCCURRENCES
    backfill = manager.start(wanted, actor="test", max_concurrent=2)

    for count in (15, 35):
        fleet.wait_for(ENDED, count=count, seconds=60)
        kill(beat)
        beat = fleet.beat()
    fleet.wait_for("SELECT state = 'completed' FROM backfills", seconds=60)

    end = fleet.value("SELECT now()")
    fleet.wait_for("SELECT min(next_run_at) > :end FROM schedules", end=end)
    pending = "SELECT count(*) = 0 FROM tasks WHERE scheduled_for < :end AND finished_at IS NULL"
    fleet.wait_for(pending, end=end)
    done = manager.get(backfill.id)
    assert (done.state, done.completed) == (BackfillState.COMPLETED, OCCURRENCES)
    instants = fleet.rows(
        "SELECT scheduled_for FROM tasks WHERE backfill_id IS NOT NULL ORDER BY scheduled_for"
    )
    assert [row.scheduled_for for row in instants] == list(wanted.occurrences)
    sessions = [run.session_id for run in demo_server.runs]
    assert len(sessions) == len(set(sessions)), "no task was run twice"
    [live] = fleet.rows(LIVE, end=end)
    assert live.runs == live.completed
    assert live.once
    assert violations(fleet.database) == []
