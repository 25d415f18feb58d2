"""What happens to schedules, and to the clock."""

from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import TypeVar

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from automagik.core.config import Settings
from automagik.core.flows.flow_input import FlowInput
from automagik.core.scheduler.values import CadenceText, ScheduleChange
from tests.core.protocol import deeds
from tests.core.protocol.model import PERSON, TICK, ModelSchedule
from tests.core.protocol.stage import Stage
from tests.core.protocol.world import World
from tests.core.records import now

T = TypeVar("T")

BEATS = st.sampled_from(["beat 1", "beat 2"])
WHICH = st.integers(0, 3)
"""Of what there is, from the newest on."""
SCARCELY = st.integers(0, 3).map(lambda drawn: drawn == 3)
STEPS = st.sampled_from([1, 2, 3, 4, 12])
"""Of the clock."""
RULES = st.sampled_from(["20m", "30m", "once"])


class ScheduleRules(RuleBasedStateMachine):
    """People make, change, pause and resume them; beats fire them, also too late."""

    def __init__(self, world: World, settings: Settings) -> None:
        super().__init__()
        self.stage = Stage(world, settings)
        self.model = self.stage.model
        self.queue = self.stage.queue

    @invariant()
    def rows_and_history_are_as_they_must_be(self) -> None:
        self.stage.check()

    def teardown(self) -> None:
        if self.stage.is_sound:
            self.stage.drain()

    @rule(steps=STEPS)
    def time_passes(self, steps: int) -> None:
        self.stage.pass_time(steps)

    @rule(flow=st.integers(0, 1), expr=RULES)
    def create_schedule(self, flow: int, expr: str) -> None:
        self.stage.schedules.create(
            self.stage.flows[flow], self._cadence(expr), run_input=FlowInput(), max_retries=1
        )

    @precondition(lambda self: self.model.schedules)
    @rule(which=WHICH, expr=RULES, wish=st.sampled_from(["pause", "resume", "update", "delete"]))
    def a_person_changes_a_schedule(self, which: int, expr: str, wish: str) -> None:
        schedule, manager = self._schedule(which), self.stage.schedules
        change = ScheduleChange(cadence=self._cadence(expr))
        wishes: dict[str, Callable[[], object]] = {
            "pause": lambda: manager.pause(schedule.id),
            "resume": lambda: manager.resume(schedule.id),
            "update": lambda: manager.update(schedule.id, change),
            "delete": lambda: manager.delete(schedule.id),
        }
        self.stage.alone(deeds.managing(wishes[wish]))
        self.stage.see_schedules()
        changed = self.model.schedules.get(schedule.id)
        assert (changed is None) == (wish == "delete")
        assert wish != "pause" or (changed is not None and changed.status != "active")
        if wish == "resume" and schedule.status == "paused" and changed and changed.next_due:
            assert changed.next_due > self.model.clock, "what passed meanwhile is not made up for"

    @precondition(lambda self: self.model.schedules)
    @rule(which=WHICH)
    def a_person_triggers_a_schedule(self, which: int) -> None:
        """One run more, now."""
        count = len(self.model.tasks)
        schedule_id, manager = self._schedule(which).id, self.stage.schedules
        self.stage.alone(deeds.managing(lambda: manager.trigger(schedule_id, actor=PERSON)))
        assert len(self.model.tasks) == count + 1

    @precondition(lambda self: any(_ran_and_goes_on(s) for s in self.model.schedules.values()))
    @rule(which=WHICH)
    def a_backup_sets_a_clock_back(self, which: int) -> None:
        candidates = [s for s in self.model.schedules.values() if _ran_and_goes_on(s)]
        self.stage.rewind(newest(candidates, which).id)

    @precondition(lambda self: self.model.to_fire())
    @rule(beat=BEATS, dies=SCARCELY)
    def fire(self, beat: str, dies: bool) -> None:  # noqa: FBT001
        expected = self.model.to_fire()
        before = dict(self.model.occurrences)
        answer = self.stage.alone(deeds.firing(beat, settings=self.stage.settings), dies=dies)
        if answer is None:
            assert self.model.occurrences == before
            return
        assert answer.number == len(expected)
        assert self.model.occurrences.keys() == before.keys() | expected.keys()
        self.stage.see_schedules()
        for (schedule_id, occurrence), following in expected.items():
            schedule = self.model.schedules[schedule_id]
            assert (schedule.last_due, schedule.next_due) == (occurrence, following)
            assert schedule.status == ("active" if following else "completed")

    def _schedule(self, which: int) -> ModelSchedule:
        return newest(list(self.model.schedules.values()), which)

    def _cadence(self, expr: str) -> CadenceText:
        if expr != "once":
            return CadenceText(type="interval", expr=expr)
        at = now(self.stage.world.database) + timedelta(seconds=2 * TICK)
        return CadenceText(type="oneshot", expr=at.isoformat())


def newest(things: Sequence[T], which: int) -> T:
    """0 is the newest; those who ask for older ones than there are begin anew."""
    return things[-1 - which % len(things)]


def _ran_and_goes_on(schedule: ModelSchedule) -> bool:
    """By the rule that it still has."""
    is_going = schedule.status == "active" and schedule.every is not None
    return is_going and schedule.last_due is not None and schedule.last_due > schedule.anchor
