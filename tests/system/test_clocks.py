"""Hosts whose clocks are wrong, and are set while beats and workers run: PostgreSQL's decides."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from automagik.core.config import Settings
from automagik.core.embedded.processes import ChildProcess
from automagik.core.health.check import Verdict
from automagik.core.health.diagnosis import diagnose
from automagik.demo.server import DemoServer
from tests.system.conftest import Desk
from tests.system.fleet import Fleet
from tests.system.history import violations
from tests.system.occurrences import expected, fired
from tests.system.wrong_clock import WrongClock, sweep

pytestmark = pytest.mark.system

MINUTES = timedelta(minutes=5)
HOUR = timedelta(hours=1)
TOLD = "This host's clock is "
SCHEDULES = 4
"""Few, each second: what a busy machine keeps up with."""
LEASE = 5.0
"""Seconds that a busy machine does not use up by itself."""

_ADD = text("""
INSERT INTO schedules (id, name, flow_id, type, expr, timezone, anchor_at, next_run_at)
SELECT gen_random_uuid(), 'schedule-' || n, :flow_id, 'interval', '1s', 'UTC', anchor,
    anchor + interval '1 second'
FROM (SELECT n, now() - n * interval '230 milliseconds' AS anchor
    FROM generate_series(1, :count) n) s
""")


@dataclass(frozen=True, kw_only=True, slots=True)
class Host:
    """A machine with one process of ours."""

    clock: WrongClock
    process: ChildProcess
    table: str

    def has_told(self, fleet: Fleet, ahead: timedelta) -> None:
        """The process has compared its clock, which is so far ahead, with PostgreSQL's."""
        query = f"SELECT abs(clock_offset_seconds - :ahead) < 1 FROM {self.table} WHERE pid = :pid"
        fleet.wait_for(query, ahead=ahead.total_seconds(), pid=self.process.pid, seconds=60)

    @property
    def warnings(self) -> list[float]:
        """What the log says of it."""
        told = re.findall(rf"warning.*{TOLD}(\S+) s", self.process.tail(10_000))
        return [float(seconds) for seconds in told]


@pytest.fixture(autouse=True)
def _swept() -> Iterator[None]:
    """After the fleet, which it is older than."""
    yield
    sweep()


def near(*offsets: timedelta) -> Any:
    """A busy machine measures a little beside."""
    return pytest.approx([offset.total_seconds() for offset in offsets], abs=1)


def beat_host(fleet: Fleet, place: Path, *, ahead: timedelta) -> Host:
    clock = WrongClock(place, ahead=ahead)
    return Host(clock=clock, process=fleet.beat(**clock.environment), table="beats")


def worker_host(fleet: Fleet, place: Path, *, ahead: timedelta) -> Host:
    clock = WrongClock(place, ahead=ahead)
    return Host(clock=clock, process=fleet.worker(**clock.environment), table="workers")


@pytest.fixture
def settings(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setenv("AUTOMAGIK_LEASE_SECONDS", str(LEASE))
    return settings.model_copy(update={"lease_seconds": LEASE})


@pytest.mark.timeout(300)
def test_wrong_clocks_and_steps_back_lose_and_double_nothing(
    fleet: Fleet,
    desk: Desk,
    demo_server: DemoServer,
    settings: Settings,
    tmp_path: Path,
    *,
    full_size: bool,
) -> None:
    """Two beats, 5 minutes ahead and behind, and a worker 5 minutes ahead; all step back 1 h."""
    runs = 60 if full_size else 3
    fast = beat_host(fleet, tmp_path / "fast", ahead=MINUTES)
    slow = beat_host(fleet, tmp_path / "slow", ahead=-MINUTES)
    worker = worker_host(fleet, tmp_path / "worker", ahead=MINUTES)
    for host, ahead in ((fast, MINUTES), (slow, -MINUTES), (worker, MINUTES)):
        host.has_told(fleet, ahead)
    assert _doctor_warns_of(settings) == near(-MINUTES, MINUTES)

    with fleet.database.transaction() as connection:
        connection.execute(_ADD, {"flow_id": desk.flow("Echo").id, "count": SCHEDULES})
        begun = connection.execute(text("SELECT now()")).scalar_one()
    _each_has_fired(fleet, runs)
    # Longer than a lease, and under way when the clock steps.
    long_run = desk.run(
        "Slow", tweaks={"SleepComponent-slow": {"seconds": LEASE + 1}}, max_retries=0
    )
    fleet.wait_for("SELECT state = 'running' FROM tasks WHERE id = :id", id=long_run.id, seconds=60)
    for host, ahead in ((fast, MINUTES), (slow, -MINUTES), (worker, MINUTES)):
        host.clock.set(ahead - HOUR)
    for host, ahead in ((fast, MINUTES), (slow, -MINUTES), (worker, MINUTES)):
        host.has_told(fleet, ahead - HOUR)
    _each_has_fired(fleet, runs)
    fleet.wait_for(
        "SELECT state = 'completed' FROM tasks WHERE id = :id", id=long_run.id, seconds=60
    )

    _nothing_is_lost_or_doubled(fleet, demo_server, begun=begun)
    assert _doctor_warns_of(settings) == near(-MINUTES - HOUR, MINUTES - HOUR)
    assert fast.warnings == near(MINUTES, MINUTES - HOUR)
    assert slow.warnings == near(-MINUTES, -MINUTES - HOUR)
    assert worker.warnings == near(MINUTES, MINUTES - HOUR)


def _each_has_fired(fleet: Fleet, runs: int) -> None:
    """Every schedule so many more times."""
    now = fleet.value("SELECT now()")
    query = """
        SELECT bool_and(next_run_at > :now + make_interval(secs => :runs)) FROM schedules
    """
    fleet.wait_for(query, now=now, runs=runs, seconds=runs + 60)


def _doctor_warns_of(settings: Settings) -> list[float]:
    """The least and the greatest offset that it shows."""
    [clocks] = [check for check in diagnose(lambda: settings).checks if check.name == "Clocks"]
    assert clocks.verdict is Verdict.WARNING
    offsets = [float(seconds) for seconds in re.findall(r"is (\S+) s", clocks.found)]
    return [min(offsets), max(offsets)]


def _nothing_is_lost_or_doubled(fleet: Fleet, demo_server: DemoServer, *, begun: datetime) -> None:
    end = fleet.value("SELECT now()")
    fleet.wait_for("SELECT min(next_run_at) > :end FROM schedules", end=end)
    open_ = "SELECT count(*) = 0 FROM tasks WHERE scheduled_for <= :end AND state <> 'completed'"
    fleet.wait_for(open_, end=end, seconds=60)
    assert sorted(fired(fleet, end=end)) == sorted(expected(fleet, begun=begun, end=end))
    assert fleet.value("SELECT count(*) FROM tasks WHERE created_at < scheduled_for") == 0
    assert fleet.value("SELECT max(attempt) FROM tasks") == 1
    sessions = [run.session_id for run in demo_server.runs]
    assert len(sessions) == len(set(sessions)), "no task was run twice"
    assert violations(fleet.database) == []
