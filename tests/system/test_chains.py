"""Runs that start runs over real workers, while beats die: each end starts what follows it once."""

import pytest

from automagik.core.config import Settings
from automagik.core.flows.flow_input import FlowInput
from automagik.core.scheduler.after import AfterText, Reaction
from automagik.core.scheduler.manager import SchedulerManager
from automagik.core.scheduler.policies import Overlap
from automagik.core.scheduler.policy_columns import PolicyChange
from automagik.core.scheduler.values import CadenceText
from tests.system.conftest import Desk
from tests.system.fleet import Fleet, kill
from tests.system.history import violations

pytestmark = pytest.mark.system

FAST = {"SleepComponent-slow": {"seconds": 0.1}}
FOLLOWING = "SELECT count(*) FROM tasks WHERE parent_task_id IS NOT NULL"
OUTPUTS = """
SELECT s.name, t.output_text FROM tasks t JOIN schedules s ON s.id = t.schedule_id
ORDER BY t.output_text
"""


def test_chains_of_flows_survive_the_death_of_beats_and_run_each_step_once(
    fleet: Fleet, desk: Desk, settings: Settings
) -> None:
    """The first two runs of the flaky flow fail, the others do not."""
    make_chains(desk, settings)
    fleet.worker()
    for step in (1, 3, 6):
        beat = fleet.beat()
        fleet.wait_for(f"SELECT ({FOLLOWING}) >= :step", step=step, seconds=60)
        kill(beat)
        beat.wait()
    # Nobody is there to see how these end.
    fleet.wait_for("SELECT count(*) = 0 FROM tasks WHERE state IN ('queued', 'running')")

    fleet.beat()
    everything = (
        f"SELECT ({FOLLOWING}) = 9 AND bool_and(state IN ('completed', 'failed'))"
        " AND (SELECT count(*) = 0 FROM follow_ups) FROM tasks"
    )
    fleet.wait_for(everything, seconds=60)

    # In what order runs end that overlap is left open.
    found: dict[str, list[str]] = {}
    for row in fleet.rows(OUTPUTS):
        found.setdefault(row.name, []).append(row.output_text or "")
    good = [f"succeeded on attempt {number}: ask" for number in (3, 4)]
    assert sorted(found["source"]) == ["", "", *good]
    assert found["source-on-success"] == good
    assert found["second"] == [f"slept 0.1s: then {text}" for text in good]
    assert found["third"] == [f"Slow said [slept 0.1s: then {text}]" for text in good]
    assert found["source-on-recovery"] == good[:1]
    for number, told in enumerate(found["source-on-failure"], start=1):
        assert f"flaky failure {number} of 2" in told
    assert len(found["source-on-failure"]) == 2
    chains_skipped = (
        "SELECT count(*) FROM skipped_occurrences o JOIN schedules s ON s.id = o.schedule_id"
        " WHERE s.type = 'after'"
    )
    assert fleet.value(chains_skipped) == 0
    assert violations(fleet.database) == []


def make_chains(desk: Desk, settings: Settings) -> None:
    manager, echo = SchedulerManager(desk.database, settings), desk.flow("Echo")
    manager.create(
        desk.flow("Flaky"),
        CadenceText(type="interval", expr="1s"),
        run_input=FlowInput(input_value="ask", session_id="one"),
        name="source",
        max_retries=0,
        policies=PolicyChange(overlap=Overlap.BUFFER_ALL, max_runs=4),
        reactions=dict.fromkeys(Reaction, echo),
    )
    manager.create(
        desk.flow("Slow"),
        AfterText(reference="source-on-success"),
        run_input=FlowInput(input_value="then {{ output }}", tweaks=FAST),
        name="second",
    )
    manager.create(
        echo,
        AfterText(reference="second"),
        run_input=FlowInput(input_value="{{ flow }} said [{{ output }}]"),
        name="third",
    )
