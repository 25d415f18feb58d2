"""One run: start everything, break it by plan under load, heal, drain, stop, look."""

import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from automagik.core.exceptions import Conflict
from automagik.core.scheduler.manager import SchedulerManager
from automagik.core.scheduler.selection import Selection
from automagik.core.scheduler.values import ScheduleStatus
from tests.system.chaos.conductor import Conductor
from tests.system.chaos.evidence import evidence
from tests.system.chaos.findings import findings
from tests.system.chaos.load import Load, schedule_all
from tests.system.chaos.memory import Scales
from tests.system.chaos.plan import plan
from tests.system.chaos.report import (
    Report,
    counted,
    deliveries,
    longest_stillness,
    recoveries,
    surprises,
    versions,
)
from tests.system.chaos.roster import roster
from tests.system.chaos.stage import Stage, stage_in

TICK_SECONDS = 0.05
PUT_OFF_SECONDS = 60.0
"""How long faults that could not be done in time are tried after the end."""
DRAIN_SECONDS = 180.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Scenario:
    seed: int
    seconds: float
    """How long faults begin."""
    beats: int = 2
    workers: int = 3
    rate: float = 3.0
    """Runs by hand in a second."""
    pace: float = 2.0
    """Seconds between the beginnings of two faults, on average."""
    longest: float = 5.0
    """Seconds that a fault lasts at most, unless its kind needs more."""


def run(scenario: Scenario, home: Path, *, say: Callable[[str], None]) -> Report:
    members = roster(beats=scenario.beats, workers=scenario.workers)
    faults = plan(
        scenario.seed,
        seconds=scenario.seconds,
        pace=scenario.pace,
        longest=scenario.longest,
        members=members,
    )
    with stage_in(home, members) as stage:
        say(f"seed {scenario.seed}: {len(faults)} faults in {scenario.seconds:.0f} s, in {home}")
        stage.crew.start()
        schedule_all(stage)
        begun = stage.fleet.value("SELECT now()")
        load = Load(stage, seed=scenario.seed, rate=scenario.rate)
        scales = Scales(stage.crew)
        conductor = Conductor(stage, faults, seed=scenario.seed, say=say)
        load.start()
        try:
            _conduct(conductor, stage, scales, seconds=scenario.seconds)
        finally:
            load.stop()
            conductor.heal_all()
        say("all is healed")
        healed = time.monotonic()
        end = _drain(stage, scales)
        say(f"drained in {time.monotonic() - healed:.1f} s")
        unruly = [f"did not stop: {name}" for name in stage.crew.stop()]
        unruly += [f"ended by itself: {crash}" for crash in stage.crew.crashes]
        found = findings(stage, begun=begun, end=end, accepted=load.accepted)
        return _report(
            scenario,
            stage,
            conductor=conductor,
            scales=scales,
            refused=load.refused,
            violations=[*unruly, *found],
        )


def _conduct(conductor: Conductor, stage: Stage, scales: Scales, *, seconds: float) -> None:
    begun = time.monotonic()
    while (elapsed := time.monotonic() - begun) < seconds or not conductor.is_done:
        if elapsed > seconds + PUT_OFF_SECONDS:
            return
        conductor.step()
        stage.crew.supervise()
        scales.weigh()
        time.sleep(TICK_SECONDS)


def _drain(stage: Stage, scales: Scales) -> datetime:
    """Until when every occurrence must have become a task, and every task must have ended.

    No schedule is paused before its clock has passed that instant. Gives up in the end: what is
    not done then is found afterwards.
    """
    stage.fleet.database.dispose()
    now: datetime = stage.fleet.value("SELECT now()")
    all_fired = "SELECT min(next_run_at) > :now FROM schedules WHERE status = 'active'"
    none_left = "SELECT count(*) = 0 FROM tasks WHERE finished_at IS NULL"
    _wait_for(lambda: bool(stage.fleet.value(all_fired, now=now)), stage, scales)
    _pause_all(stage)
    _wait_for(lambda: bool(stage.fleet.value(none_left)), stage, scales)
    return now


def _wait_for(holds: Callable[[], bool], stage: Stage, scales: Scales) -> None:
    give_up = time.monotonic() + DRAIN_SECONDS
    while not holds() and time.monotonic() < give_up:
        stage.crew.supervise()
        scales.weigh()
        time.sleep(TICK_SECONDS)


def _pause_all(stage: Stage) -> None:
    manager = SchedulerManager(stage.fleet.database, stage.settings)
    for schedule in manager.list(Selection(statuses=[ScheduleStatus.ACTIVE])):
        with suppress(Conflict):  # A one-shot was faster.
            manager.pause(schedule.id)


def _report(
    scenario: Scenario,
    stage: Stage,
    *,
    conductor: Conductor,
    scales: Scales,
    refused: int,
    violations: list[str],
) -> Report:
    query = "SELECT finished_at FROM tasks WHERE state = 'completed' ORDER BY 1"
    completions = [row.finished_at for row in stage.fleet.rows(query)]
    attempts = "SELECT coalesce(outcome, 'open'), count(*) FROM task_attempts GROUP BY 1"
    return Report(
        seed=scenario.seed,
        seconds=scenario.seconds,
        beats=scenario.beats,
        workers=scenario.workers,
        versions=versions(stage),
        faults=Counter(incident.fault.kind for incident in conductor.incidents),
        missed=conductor.missed,
        tasks=counted(stage, "SELECT state, count(*) FROM tasks GROUP BY 1"),
        occurrences=stage.fleet.value("SELECT count(*) FROM tasks WHERE scheduled_for IS NOT NULL"),
        attempts=counted(stage, attempts),
        calls=len(stage.server.runs),
        deliveries=deliveries(stage.logs),
        doubled=stage.doubled,
        cancelled=stage.cancelled,
        poisoned=stage.poisoned,
        refused=refused,
        ends=stage.crew.ends,
        surprises=surprises(stage.logs),
        recoveries=recoveries(conductor.incidents, completions),
        longest_stillness=longest_stillness(completions),
        growth=scales.growth(),
        violations=violations,
        evidence=evidence(stage, violations),
    )
