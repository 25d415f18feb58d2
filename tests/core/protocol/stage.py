"""The rows, the model and the ready-queue of one example; after each step the three must agree."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from uuid import UUID

from sqlalchemy import Row

from automagik.core.config import Settings
from automagik.core.database.models import ScheduleRow
from automagik.core.flows.flow_input import FlowInput
from automagik.core.queues import QueueManager, ensure_queue
from automagik.core.scheduler.manager import SchedulerManager
from automagik.core.tasks.heartbeat import Heartbeat, HeldRun
from automagik.core.tasks.manager import TaskManager
from automagik.core.tasks.states import TaskState
from tests.core.protocol.deeds import (
    LEASE_TIME,
    Answer,
    Deed,
    WorkerProcess,
    claiming,
    dispatching,
    finishing,
    key_of,
    reaping,
    reconciling,
)
from tests.core.protocol.forgetful_queue import ForgetfulQueue
from tests.core.protocol.model import GRACE, LEASE, PERSON, TICK, Model, ModelTask, Said
from tests.core.protocol.world import World, instant
from tests.core.records import add_worker, limit_source, put
from tests.core.scheduler.stored import add_flow
from tests.system.history import violations

LIMITS = {"Echo": 1, "Slow": 3}


class Stage:
    """Two sources, two workers, no tasks."""

    def __init__(self, world: World, settings: Settings) -> None:
        self.world = world
        self.settings = settings.model_copy(
            update={"misfire_grace_seconds": GRACE, "lease_seconds": LEASE}
        )
        world.empty()
        world.alone(lambda c: ensure_queue(c, settings.queue))
        self.flows = [add_flow(world.database, name) for name in LIMITS]
        self.schedules = SchedulerManager(world.database, self.settings)
        self.tasks = TaskManager(world.database, self.settings)
        self.queue = ForgetfulQueue()
        self.workers = [self._worker(name) for name in ("worker 1", "worker 2")]
        self.model = Model(limits={})
        for flow, limit in zip(self.flows, LIMITS.values(), strict=True):
            limit_source(world.database, flow, limit)
            self.model.limits[flow.source_id] = limit
        self.runs: list[tuple[WorkerProcess, HeldRun]] = []
        """All attempts that workers ever were given."""
        self.is_sound = True
        """False from the begin of a step until its outcome was checked."""
        self._seen = self._checked = 0

    def create(self, flow: int, *, priority: int, retries: int) -> None:
        self.tasks.create(
            self.flows[flow], FlowInput(), actor=PERSON, priority=priority, max_retries=retries
        )
        self.settle([])

    def pass_time(self, steps: int) -> None:
        self.is_sound = False
        self.world.pass_time(steps)
        self.model.clock += steps * TICK

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Meanwhile nothing may be sent or started."""
        queues, name = QueueManager(self.world.database, self.settings), self.settings.queue
        queues.pause(name)
        self.model.is_paused = True
        yield
        queues.resume(name)
        self.model.is_paused = False

    def alone(self, deed: Deed, *, dies: bool = False) -> Answer | None:
        """None when whoever did it died, or Redis was away: then nothing was done."""
        self.is_sound = False
        answer = self.world.alone(deed, dies=dies)
        self.settle([] if answer is None else [answer])
        return answer

    def at_once(self, first: Deed, second: Deed, *, dies: bool) -> None:
        """Whoever waits for a row that the other holds may or may not get it."""
        self.is_sound = False
        self.settle(self.world.at_once(first, second, dies=dies))
        for row in self.world.tasks():
            task = self.model.tasks[row.id]
            task.queued_at = instant(row.since_queued, clock=self.model.clock)
            if task.lease_ends is not None:
                task.lease_ends = instant(row.until_lease_ends, clock=self.model.clock)

    def reconcile(self, *, dies: bool = False) -> None:
        """What was lost is in Redis again, and only that."""
        missing = self.model.missing(set(self.queue.waiting))
        before = set(self.queue.waiting)
        answer = self.alone(reconciling(self.queue), dies=dies)
        assert set(self.queue.waiting) == before | missing
        if answer is None:
            return
        assert answer.number == len(missing)
        for task_id in missing:
            self.model.tasks[task_id].queued_at = self.model.clock

    def settle(self, answers: list[Answer]) -> None:
        """What happened is what somebody says to have done, and each of it was allowed."""
        removed = frozenset[UUID]().union(*(answer.removed for answer in answers))
        for answer in answers:
            self.model.endings |= answer.ended
            if answer.given is not None:
                self._given(*answer.given)
        changes, self._seen = self.world.changes(after=self._seen, clock=self.model.clock)
        followed = Counter(filter(None, map(self.model.follow, changes)))
        if removed:
            self.model.forget(removed)
            return
        said = sum((answer.said for answer in answers), Counter[Said]())
        assert followed == +said

    def check(self) -> None:
        """The rows are what the model says, and their history keeps every promise."""
        self.is_sound = False
        rows = {row.id: row for row in self.world.tasks()}
        assert rows.keys() == self.model.tasks.keys()
        for task in self.model.tasks.values():
            self._compare(task, rows[task.id])
        self.see_schedules()
        if self._checked != self._seen:
            self.check_history()
            self._checked = self._seen
        self.is_sound = True

    def check_history(self) -> None:
        assert violations(self.world.database) == []

    def see_schedules(self) -> None:
        self.model.schedules = self.world.schedules(clock=self.model.clock)

    def rewind(self, schedule_id: UUID) -> None:
        """Its clock is set back to an occurrence that ran, as by a backup that is put in place."""
        put(self.world.database, ScheduleRow, schedule_id, next_run_at=ScheduleRow.last_run_at)

    def drain(self) -> None:
        """With a worker that lives, a Redis that works and time, every task comes to an end."""
        for _ in range(len(self.model.tasks) + 2):
            self.pass_time(3 * LEASE // TICK)
            self.alone(reaping("beat 1"))
            self.alone(dispatching("beat 1", queue=self.queue, target=300))
            self.reconcile()
            while self.queue.waiting:
                self._run_one()
            self.check()
        self.check_history()
        states = {task.state for task in self.model.tasks.values()}
        assert all(state.is_final for state in states), "a task never comes to an end"

    def _run_one(self) -> None:
        worker = self.workers[0]
        taken = self.alone(claiming(worker, self.queue.take(0)))
        if taken is not None and taken.given is not None:
            self.alone(finishing(*taken.given, "completed"))

    def _worker(self, name: str) -> WorkerProcess:
        worker = add_worker(self.world.database, name)
        heartbeat = Heartbeat(self.world.database, worker, lease=LEASE_TIME, announces=True)
        return WorkerProcess(worker=worker, heartbeat=heartbeat)

    def _given(self, process: WorkerProcess, run: HeldRun) -> None:
        process.holds()[key_of(run)] = run
        self.runs.append((process, run))

    def _compare(self, task: ModelTask, row: Row[Any]) -> None:
        clock = self.model.clock
        stored = ModelTask(
            id=row.id,
            source_id=task.source_id,
            due=instant(row.until_due, clock=clock) or 0,
            max_retries=task.max_retries,
            max_attempts=row.max_attempts,
            state=TaskState(row.state),
            attempt=row.attempt,
            queued_at=instant(row.since_queued, clock=clock),
            lease_ends=instant(row.until_lease_ends, clock=clock),
        )
        assert stored == task
