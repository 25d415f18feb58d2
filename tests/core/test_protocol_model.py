"""Beats, workers, people and an unreliable Redis on real rows, in every order that can be found.

A model in Python says what may happen and what must; whatever was done, every task comes to an end.
AUTOMAGIK_TEST_MODEL_EXAMPLES is the number of orders to try.
"""

import os
from contextlib import closing

import pytest
from hypothesis import HealthCheck
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule, run_state_machine_as_test

from automagik.core.config import Settings
from automagik.core.scheduler.values import ScheduleChange
from tests.core.protocol import deeds
from tests.core.protocol.deeds import Answer, Deed, WorkerProcess
from tests.core.protocol.schedule_rules import SCARCELY, WHICH, newest
from tests.core.protocol.task_rules import WORKERS, TaskRules
from tests.core.protocol.world import World
from tests.core.records import opened

EXAMPLES = int(os.environ.get("AUTOMAGIK_TEST_MODEL_EXAMPLES", "25"))
STEPS = 40
SHRINKING = 360
"""Seconds that Hypothesis may take to make a failing order short, and some more."""

OF_BEATS = ["fire", "dispatch", "reap", "reconcile"]
OF_DELIVERIES = ["claim"]
OF_RUNS = ["extend", "complete", "release"]
OF_TASKS = sorted(deeds.BY_HAND)
OF_SCHEDULES = ["pause", "update"]
DEEDS = st.sampled_from(OF_BEATS + OF_DELIVERIES + OF_RUNS + OF_TASKS + OF_SCHEDULES)

OF_ONE_TASK = st.sampled_from(["reap", "claim", *OF_RUNS, *OF_TASKS])


class Protocol(TaskRules):
    """All that happens one after the other, and any two of it at the same time."""

    @rule(first=DEEDS, second=DEEDS, which=WHICH, other=WORKERS, dies=SCARCELY)
    def two_at_once(self, first: str, second: str, which: int, other: int, dies: bool) -> None:  # noqa: FBT001
        """The second comes before the first has committed, which then does, or dies."""
        workers = self.stage.workers
        self.stage.at_once(
            self._deed(first, which, beat="beat 1", worker=workers[0]),
            self._deed(second, which, beat="beat 2", worker=workers[other]),
            dies=dies,
        )

    @precondition(lambda self: self.model.dispatchable() or self.model.to_fire())
    @rule(deed=st.sampled_from(OF_BEATS), dies=SCARCELY)
    def two_beats_do_the_same(self, deed: str, dies: bool) -> None:  # noqa: FBT001
        self.two_at_once(deed, deed, 0, 0, dies)

    @precondition(lambda self: self.stage.runs)
    @rule(first=OF_ONE_TASK, second=OF_ONE_TASK, which=WHICH, other=WORKERS, dies=SCARCELY)
    def a_race_for_a_task(
        self,
        first: str,
        second: str,
        which: int,
        other: int,
        dies: bool,  # noqa: FBT001
    ) -> None:
        self.two_at_once(first, second, which, other, dies)

    def _deed(self, name: str, which: int, *, beat: str, worker: WorkerProcess) -> Deed:
        """Nothing, where there is nothing to do it to."""
        if name in OF_BEATS:
            return self._of_beat(name, beat)
        if name in OF_DELIVERIES and self.queue.ever_sent:
            return deeds.claiming(worker, newest(self.queue.ever_sent, which))
        if name in OF_RUNS and self.stage.runs:
            return self._of_run(name, which, worker)
        if name in OF_TASKS and self.model.tasks:
            return deeds.BY_HAND[name](self._task(which).id)
        if name in OF_SCHEDULES and self.model.schedules:
            return self._of_schedule(name, which)
        return lambda _: Answer()

    def _of_beat(self, name: str, beat: str) -> Deed:
        match name:
            case "fire":
                return deeds.firing(beat, settings=self.stage.settings)
            case "dispatch":
                return deeds.dispatching(beat, queue=self.queue, target=300)
            case "reap":
                return deeds.reaping(beat)
        return deeds.reconciling(self.queue)

    def _of_run(self, name: str, which: int, worker: WorkerProcess) -> Deed:
        if name == "extend":
            return deeds.extending(worker)
        process, run = newest(self.stage.runs, which)
        return deeds.finishing(process, run, "completed" if name == "complete" else "released")

    def _of_schedule(self, name: str, which: int) -> Deed:
        schedule = self._schedule(which)
        manager = self.stage.schedules
        if name == "pause":
            return deeds.managing(lambda: manager.pause(schedule.id))
        change = ScheduleChange(cadence=self._cadence("30m"))
        return deeds.managing(lambda: manager.update(schedule.id, change))


@pytest.mark.timeout(SHRINKING + 5 * EXAMPLES)
def test_every_task_comes_to_one_end_in_whatever_order_things_happen(settings: Settings) -> None:
    orders = hypothesis_settings(
        max_examples=EXAMPLES,
        stateful_step_count=STEPS,
        deadline=None,
        report_multiple_bugs=False,
        suppress_health_check=list(HealthCheck),
    )
    with opened(settings.require_database_url()) as database, closing(World(database)) as world:

        class Here(Protocol):
            def __init__(self) -> None:
                super().__init__(world, settings)

        run_state_machine_as_test(Here, settings=orders)
