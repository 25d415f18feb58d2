"""What happens to tasks: each rule is one thing, and says what must come of it."""

from uuid import UUID

from hypothesis import strategies as st
from hypothesis.stateful import initialize, precondition, rule

from automagik.core.flows.run_handle import AbortReason
from automagik.core.tasks.heartbeat import HeldRun
from automagik.core.tasks.states import DISPATCHABLE, TaskState
from tests.core.protocol import deeds
from tests.core.protocol.deeds import OUTCOMES, WorkerProcess, key_of
from tests.core.protocol.model import LEASE, ModelTask
from tests.core.protocol.schedule_rules import BEATS, SCARCELY, STEPS, WHICH, ScheduleRules, newest

WORKERS = st.integers(0, 1)


class TaskRules(ScheduleRules):
    """Beats send, workers claim, extend and finish, people interfere, processes die."""

    @initialize(tasks=st.integers(1, 3), schedules=st.integers(0, 2))
    def people_made_some(self, tasks: int, schedules: int) -> None:
        for number in range(tasks):
            self.stage.create(number % 2, priority=0, retries=2)
        for flow in range(schedules):
            self.create_schedule(flow, "20m")

    @rule(flow=st.integers(0, 1), priority=st.integers(0, 1), retries=st.integers(0, 2))
    def create_task(self, flow: int, priority: int, retries: int) -> None:
        self.stage.create(flow, priority=priority, retries=retries)

    @precondition(lambda self: self._any(*DISPATCHABLE))
    @rule(beat=BEATS, most=st.sampled_from([300, 2]), dies=SCARCELY)
    def dispatch(self, beat: str, most: int, dies: bool) -> None:  # noqa: FBT001
        room = max(0, most - len(self.queue.waiting))
        expected = min(room, self.model.dispatchable())
        deed = deeds.dispatching(beat, queue=self.queue, target=most)
        answer = self.stage.alone(deed, dies=dies)
        assert dies or (answer is not None and answer.number == expected)

    @precondition(lambda self: self._any(*DISPATCHABLE, TaskState.QUEUED))
    @rule(beat=BEATS, after=st.integers(0, 2), again=st.booleans())
    def redis_breaks_during_a_publish(self, beat: str, after: int, again: bool) -> None:  # noqa: FBT001
        self.queue.breaks_after = after
        lost = deeds.reconciling(self.queue)
        deed = lost if again else deeds.dispatching(beat, queue=self.queue, target=300)
        answer = self.stage.alone(deed)
        self.queue.breaks_after = None
        assert answer is None or answer.number == 0

    @precondition(lambda self: self.queue.waiting)
    @rule(index=WHICH, all_of_them=st.booleans())
    def redis_or_a_worker_loses_deliveries(self, index: int, all_of_them: bool) -> None:  # noqa: FBT001
        self.queue.take(index)
        if all_of_them:
            self.queue.flush()

    @precondition(lambda self: self.model.tasks or self.model.schedules)
    @rule(steps=STEPS)
    def a_beat_ticks_later(self, steps: int) -> None:
        self.stage.pass_time(steps)
        self.stage.see_schedules()
        self.fire("beat 1", dies=False)
        self.reap("beat 1", dies=False)
        self.dispatch("beat 1", most=300, dies=False)

    @precondition(lambda self: self.queue.waiting)
    @rule(worker=WORKERS)
    def all_deliveries_arrive(self, worker: int) -> None:
        while self.queue.waiting:
            self._claim(self.queue.take(0), worker)

    @precondition(lambda self: self.queue.waiting)
    @rule(index=WHICH, worker=WORKERS)
    def a_delivery_arrives(self, index: int, worker: int) -> None:
        self._claim(self.queue.take(index), worker)

    @precondition(lambda self: self.queue.waiting)
    @rule(worker=WORKERS, beat=BEATS)
    def deliveries_arrive_while_the_queue_is_paused(self, worker: int, beat: str) -> None:
        """They wait in PostgreSQL again, and use no attempt."""
        with self.stage.paused():
            while self.queue.waiting:
                self._claim(self.queue.take(0), worker)
            self.dispatch(beat, most=300, dies=False)

    @precondition(lambda self: self.queue.ever_sent)
    @rule(which=WHICH, worker=WORKERS)
    def a_delivery_arrives_again(self, which: int, worker: int) -> None:
        self._claim(newest(self.queue.ever_sent, which), worker)

    @precondition(lambda self: self._any_holds())
    @rule(worker=WORKERS)
    def heartbeat(self, worker: int) -> None:
        process = self.stage.workers[worker]
        expected = {}
        for key in process.holds():
            task = self.model.tasks.get(key[0])
            if task is None or task.state is TaskState.CANCELLED:
                expected[key] = AbortReason.CANCELLED
            elif not task.is_owned_in(key[1]):
                expected[key] = AbortReason.LEASE_LOST
            else:
                task.lease_ends = self.model.clock + LEASE
        answer = self.stage.alone(deeds.extending(process))
        assert answer is not None
        assert answer.disowned == expected
        for key in expected:
            del process.holds()[key]

    @precondition(lambda self: self._any_holds())
    @rule(worker=WORKERS)
    def a_worker_dies(self, worker: int) -> None:
        """Its runs are held by nobody; what it had sent before may still arrive."""
        self.stage.workers[worker].holds().clear()

    @precondition(lambda self: self._any_holds())
    @rule(which=WHICH, outcome=st.sampled_from(sorted(OUTCOMES)), dies=SCARCELY)
    def a_worker_finishes(self, which: int, outcome: str, dies: bool) -> None:  # noqa: FBT001
        held = [(p, run) for p, run in self.stage.runs if key_of(run) in p.holds()]
        self._finish(*newest(held, which), outcome, dies=dies)

    @precondition(lambda self: self.stage.runs)
    @rule(which=WHICH, outcome=st.sampled_from(sorted(OUTCOMES)))
    def a_worker_finishes_late(self, which: int, outcome: str) -> None:
        """It was frozen, or does not know that it has done it, or nobody told it of the loss."""
        self._finish(*newest(self.stage.runs, which), outcome)

    @precondition(lambda self: self._any(TaskState.RUNNING))
    @rule(beat=BEATS, dies=SCARCELY)
    def reap(self, beat: str, dies: bool) -> None:  # noqa: FBT001
        expected = self.model.expired()
        answer = self.stage.alone(deeds.reaping(beat), dies=dies)
        assert dies or (answer is not None and answer.number == expected)

    @precondition(lambda self: self._any(TaskState.QUEUED))
    @rule(dies=SCARCELY)
    def reconcile(self, dies: bool) -> None:  # noqa: FBT001
        self.stage.reconcile(dies=dies)

    @precondition(lambda self: self.model.tasks)
    @rule(which=WHICH, wish=st.sampled_from(["cancel", "retry", "remove"]))
    def a_person_changes_a_task(self, which: int, wish: str) -> None:
        task = self._task(which)
        refusing = {
            "cancel": {TaskState.COMPLETED, TaskState.FAILED},
            "retry": set(TaskState) - {TaskState.FAILED, TaskState.CANCELLED},
            "remove": {TaskState.RUNNING},
        }
        is_refused = task.state in refusing[wish]
        answer = self.stage.alone(deeds.BY_HAND[wish](task.id))
        assert answer is not None
        assert answer.is_refused == is_refused
        wanted = {"cancel": TaskState.CANCELLED, "retry": TaskState.PENDING}
        assert is_refused or task.state is wanted.get(wish, task.state)

    def _finish(
        self, process: WorkerProcess, run: HeldRun, outcome: str, *, dies: bool = False
    ) -> None:
        key = key_of(run)
        task = self.model.tasks.get(key[0])
        is_owner = task is not None and task.is_owned_in(key[1])
        ended = self.model.endings.get(key)
        answer = self.stage.alone(deeds.finishing(process, run, outcome), dies=dies)
        if answer is None:
            return
        assert bool(answer.ended) == is_owner
        if not is_owner and task is not None:
            is_known = ended is not None and ended.outcome == outcome.removesuffix(" for good")
            assert answer.was_ended_before == is_known
        process.holds().pop(key, None)

    def _any(self, *states: TaskState) -> bool:
        return any(task.state in states for task in self.model.tasks.values())

    def _any_holds(self) -> bool:
        return any(worker.holds() for worker in self.stage.workers)

    def _claim(self, task_id: UUID, worker: int) -> None:
        expected = self.model.claimable(task_id)
        answer = self.stage.alone(deeds.claiming(self.stage.workers[worker], task_id))
        assert answer is not None
        assert (answer.given is not None) == expected

    def _task(self, which: int) -> ModelTask:
        return newest(list(self.model.tasks.values()), which)
