"""A beat may die at any step: every due instant becomes one task, and every task runs once."""

import re

import pytest
from sqlalchemy import text

from automagik.demo.server import DemoServer
from tests.system.conftest import Desk
from tests.system.faulty_beat import ANY_INSTANT, STEPS
from tests.system.fleet import Fleet
from tests.system.history import violations
from tests.system.occurrences import expected, fired

pytestmark = [pytest.mark.system, pytest.mark.timeout(600)]

SMALL, FULL = 70, 200
"""How many beats die."""
SEED = "7"
SCHEDULES = 50

_ADD = text("""
INSERT INTO schedules (id, name, flow_id, type, expr, timezone, anchor_at, input_value, next_run_at)
SELECT gen_random_uuid(), 'schedule-' || n, :flow_id, 'interval', period || 's', 'UTC', anchor,
    'run ' || n, anchor + make_interval(secs => period)
FROM (SELECT n, 1 + n / 2 % 3 AS period, now() - n / 2 * interval '17 milliseconds' AS anchor
    FROM generate_series(1, :count) n) s
""")
"""Two are due at a time, so that there is a middle of what is published."""


def test_a_beat_that_dies_at_every_step_loses_and_doubles_nothing(
    fleet: Fleet, desk: Desk, demo_server: DemoServer, *, full_size: bool
) -> None:
    """They die one after the other; one that lives finishes."""
    kills = FULL if full_size else SMALL
    flow = desk.flow("Echo")
    fleet.worker()
    with fleet.database.transaction() as connection:
        connection.execute(_ADD, {"flow_id": flow.id, "count": SCHEDULES})
        begun = connection.execute(text("SELECT now()")).scalar_one()
    faulty = fleet.program("faulty", "-m", "tests.system.faulty_beat", SEED, str(kills))
    fleet.wait_until(
        lambda: faulty.poll() is not None, seconds=2 * kills, what="all beats are dead"
    )
    assert faulty.poll() == 0, faulty.tail()
    deaths = re.findall(r"^dies (.*)$", faulty.tail(1000), flags=re.MULTILINE)
    assert len(deaths) == kills
    assert set(deaths) == {*STEPS, ANY_INSTANT}

    end = fleet.value("SELECT now()")
    fleet.beat()
    fleet.wait_for("SELECT min(next_run_at) > :end FROM schedules", end=end)
    ended = "SELECT count(*) = 0 FROM tasks WHERE scheduled_for <= :end AND state <> 'completed'"
    fleet.wait_for(ended, end=end, seconds=120)

    due = expected(fleet, begun=begun, end=end)
    assert sorted(fired(fleet, end=end)) == sorted(due)
    assert fleet.value("SELECT max(attempt) FROM tasks") == 1
    sessions = [run.session_id for run in demo_server.runs]
    assert len(sessions) == len(set(sessions)), "no task was run twice"
    assert violations(fleet.database) == []
