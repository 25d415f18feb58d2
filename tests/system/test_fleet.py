"""Three beats and three workers: every due instant once, every task to one end, work is shared."""

from datetime import timedelta

import psutil
import pytest
from sqlalchemy import text

from automagik.core.embedded.processes import ChildProcess
from tests.system.conftest import Desk
from tests.system.fleet import Fleet
from tests.system.history import violations
from tests.system.occurrences import expected, fired

pytestmark = [pytest.mark.system, pytest.mark.timeout(240)]

SCHEDULES = 500
EVERY_SECONDS = (5, 7, 10, 13, 20, 30)

# As many as a user would write in an afternoon, but in one statement.
_ADD = text("""
INSERT INTO schedules (id, name, flow_id, type, expr, timezone, anchor_at, input_value, next_run_at)
SELECT gen_random_uuid(), 'schedule-' || n, :flow_id, 'interval', every || 's', 'UTC',
    now() - n * interval '37 milliseconds', 'run ' || n,
    now() - n * interval '37 milliseconds' + make_interval(
        secs => every * ceil(n * 0.037 / every + 0.001))
FROM (SELECT n, (CAST(:every AS int[]))[1 + n % 6] AS every FROM generate_series(1, :count) n) s
""")


def test_five_hundred_schedules_keep_time(fleet: Fleet, desk: Desk, *, full_size: bool) -> None:
    """0 missing, 0 doubled, compared with what each schedule's own rule says."""
    duration = timedelta(seconds=60 if full_size else 20)
    flow = desk.flow("Echo")
    _note_who_writes_events(fleet)
    beats = [fleet.beat() for _ in range(3)]
    for _ in range(3):
        fleet.worker()
    with fleet.database.transaction() as connection:
        arguments = {"flow_id": flow.id, "every": list(EVERY_SECONDS), "count": SCHEDULES}
        connection.execute(_ADD, arguments)
        begun = connection.execute(text("SELECT now()")).scalar_one()
    end = begun + duration
    fleet.wait_for(
        "SELECT now() > :end AND min(next_run_at) > :end FROM schedules", end=end, seconds=120
    )
    unfinished = (
        "SELECT count(*) = 0 FROM tasks WHERE scheduled_for <= :end AND state <> 'completed'"
    )
    fleet.wait_for(unfinished, end=end, seconds=90)

    assert set(fired(fleet, end=end)) == expected(fleet, begun=begun, end=end)
    shares = fleet.rows("SELECT worker_id FROM tasks WHERE worker_id IS NOT NULL GROUP BY 1")
    assert len(shares) == 3, "every worker had a part"
    for beat in beats:
        assert _transitions_of(fleet, beat) >= {("None", "pending"), ("pending", "queued")}
    assert violations(fleet.database) == []


def _note_who_writes_events(fleet: Fleet) -> None:
    """Beats of one host have one name: what tells them apart is their session."""
    with fleet.database.transaction() as connection:
        column = "session_pid int NOT NULL DEFAULT pg_backend_pid()"
        connection.execute(text(f"ALTER TABLE task_events ADD COLUMN {column}"))


def _transitions_of(fleet: Fleet, beat: ChildProcess) -> set[tuple[str, str]]:
    """What the sessions that this beat has now have done to tasks: fired and dispatched them."""
    ports = [own.laddr.port for own in psutil.Process(beat.pid).net_connections("tcp")]
    rows = fleet.rows(
        "SELECT DISTINCT from_state, to_state FROM task_events e"
        " JOIN pg_stat_activity s ON s.pid = e.session_pid WHERE client_port = ANY(:ports)",
        ports=ports,
    )
    return {(str(row.from_state), row.to_state) for row in rows}
