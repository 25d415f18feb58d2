"""Each overlap and each misfire policy, as running beats and workers keep it."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import text

from automagik.core.config import Settings
from automagik.core.flows.flow_input import FlowInput
from automagik.core.scheduler.manager import SchedulerManager
from automagik.core.scheduler.overlap import REPLACED
from automagik.core.scheduler.policies import CatchUpOrder, Misfire, Overlap
from automagik.core.scheduler.policy_columns import PolicyChange
from automagik.core.scheduler.values import CadenceText, Schedule
from tests.system.conftest import Desk
from tests.system.fleet import Fleet
from tests.system.history import violations

pytestmark = pytest.mark.system

ENDLESS = {"SleepComponent-slow": {"seconds": 600}}
"""So that a run of Slow ends only when it is cancelled."""
COUNTS = """
SELECT s.name, count(*) FILTER (WHERE t.state = 'running') AS running,
    count(*) FILTER (WHERE t.state = 'pending') AS pending,
    count(*) FILTER (WHERE t.state = 'cancelled') AS cancelled
FROM schedules s JOIN tasks t ON t.schedule_id = s.id GROUP BY s.name
"""
SKIPS = """
SELECT s.name, o.reason, count(*) AS ranges FROM schedules s
JOIN skipped_occurrences o ON o.schedule_id = s.id GROUP BY s.name, o.reason
"""


def schedule(desk: Desk, flow: str, every: str, name: str, policies: PolicyChange) -> Schedule:
    return SchedulerManager(desk.database, desk.settings).create(
        desk.flow(flow),
        CadenceText(type="interval", expr=every),
        run_input=FlowInput(tweaks=ENDLESS if flow == "Slow" else {}),
        name=name,
        timeout=timedelta(minutes=10),
        policies=policies,
    )


def by_name(fleet: Fleet, query: str) -> Mapping[str, Any]:
    return {row.name: row for row in fleet.rows(query)}


def test_each_overlap_policy_does_what_it_says_while_runs_do_not_end(
    fleet: Fleet, desk: Desk
) -> None:
    fleet.beat()
    fleet.worker("--concurrency", "40")
    for overlap in Overlap:
        schedule(desk, "Slow", "1s", overlap.value, PolicyChange(overlap=overlap))

    fleet.wait_for(
        "SELECT bool_and(runs >= 3 OR overlap IN ('skip', 'buffer-one')) AND count(*) = 6"
        " AND (SELECT count(*) FROM skipped_occurrences WHERE first_at < last_at) = 2"
        " AND (SELECT count(*) FROM tasks WHERE state = 'cancelled') >= 4"
        " AND (SELECT count(*) FROM task_attempts WHERE outcome = 'cancelled') >= 2"
        " FROM schedules",
        seconds=60,
    )
    pause_all(fleet)
    nothing_starts_any_more = (
        "SELECT count(*) = 0 FROM tasks WHERE state = 'queued' OR state = 'pending' AND NOT in_turn"
    )
    fleet.wait_for(nothing_starts_any_more, seconds=60)

    found = by_name(fleet, COUNTS)
    assert found["allow-all"].running >= 3
    assert (found["skip"].running, found["skip"].pending) == (1, 0)
    assert (found["buffer-one"].running, found["buffer-one"].pending) == (1, 1)
    assert found["buffer-all"].running == 1
    assert found["buffer-all"].pending >= 2
    for replacing in ("cancel-other", "terminate-other"):
        assert found[replacing].running == 1
        assert found[replacing].cancelled >= 2
    assert {name: row.reason for name, row in by_name(fleet, SKIPS).items()} == {
        "skip": "overlap",
        "buffer-one": "overlap",
    }
    query = "SELECT DISTINCT state_reason FROM tasks WHERE state = 'cancelled'"
    assert [row.state_reason for row in fleet.rows(query)] == [REPLACED]
    assert violations(fleet.database) == []


def pause_all(fleet: Fleet) -> None:
    with fleet.database.transaction() as connection:
        connection.execute(text("UPDATE schedules SET status = 'paused', next_run_at = NULL"))


def test_each_misfire_policy_does_what_it_says_after_hours_without_a_beat(
    fleet: Fleet, desk: Desk, settings: Settings
) -> None:
    runs = {
        "skip": (PolicyChange(misfire=Misfire.SKIP), 0),
        "run-once": (PolicyChange(misfire=Misfire.RUN_ONCE), 1),
        "run-all": (PolicyChange(misfire=Misfire.RUN_ALL), 60),
        "newest-first": (
            PolicyChange(
                misfire=Misfire.RUN_ALL,
                catch_up_order=CatchUpOrder.NEWEST_FIRST,
                catch_up=timedelta(minutes=200),
            ),
            20,
        ),
    }
    for name, (policies, _) in runs.items():
        schedule(desk, "Echo", "10m", name, policies)
    # The last occurrence is five minutes ago, which is too late; the next comes in five minutes.
    past = (
        "UPDATE schedules SET misfire_grace_seconds = 1,"
        " anchor_at = now() - interval '10 hours 5 minutes',"
        " next_run_at = now() - interval '9 hours 55 minutes',"
        " counts_from = now() - interval '10 hours'"
    )
    with fleet.database.transaction() as connection:
        connection.execute(text(past))
    fleet.beat()
    fleet.worker()

    fleet.wait_for("SELECT bool_and(next_run_at > now()) FROM schedules")
    ended = "SELECT count(*) = 81 AND bool_and(state = 'completed') FROM tasks"
    fleet.wait_for(ended, seconds=60)

    query = "SELECT name, runs, last_run_at FROM schedules"
    assert {row.name: row.runs for row in fleet.rows(query)} == {
        name: count for name, (_, count) in runs.items()
    }
    assert {name: row.reason for name, row in by_name(fleet, SKIPS).items()} == dict.fromkeys(
        ("skip", "run-once", "newest-first"), "misfire"
    )
    starts = (
        "SELECT t.scheduled_for FROM tasks t JOIN schedules s ON s.id = t.schedule_id"
        " WHERE s.name = :name ORDER BY t.turn_at"
    )
    for name, newest_first in (("run-all", False), ("newest-first", True)):
        instants = [row.scheduled_for for row in fleet.rows(starts, name=name)]
        assert instants == sorted(instants, reverse=newest_first)
    explained = SchedulerManager(fleet.database, settings)
    for row in fleet.rows("SELECT id, next_run_at FROM schedules WHERE name = 'skip'"):
        told = explained.explain(row.id, at=row.next_run_at - timedelta(hours=2))
        assert told.reason == "misfire"
    assert violations(fleet.database) == []


def test_a_schedule_whose_runs_fail_is_paused_long_before_it_is_due(
    fleet: Fleet, desk: Desk, settings: Settings
) -> None:
    fleet.beat()
    fleet.worker()
    failing = schedule(desk, "Failing", "1h", "failing", PolicyChange(pause_after_failures=2))
    with fleet.database.transaction() as connection:
        connection.execute(text("UPDATE schedules SET max_retries = 0"))
    manager = SchedulerManager(fleet.database, settings)
    for _ in range(2):
        manager.trigger(failing.id, actor="test")

    fleet.wait_for("SELECT status = 'paused' FROM schedules", seconds=60)

    assert fleet.value("SELECT status_reason FROM schedules") == "its last 2 runs failed"
    assert fleet.value("SELECT count(*) = 2 FROM tasks WHERE state = 'failed'")
