"""What beats, workers and people do in one transaction, and what they believe to have done."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from random import Random
from uuid import UUID

from sqlalchemy import Connection

from automagik.core.config import Settings
from automagik.core.exceptions import Conflict, NotFound
from automagik.core.flows.run_handle import AbortReason, RunHandle
from automagik.core.scheduler.dispatch import dispatch
from automagik.core.scheduler.fire import fire
from automagik.core.scheduler.reaper import reap
from automagik.core.scheduler.reconcile import Reconciler
from automagik.core.tasks import by_hand
from automagik.core.tasks.claim import Claimant, claim
from automagik.core.tasks.finish import Ending, Finish, decide, finish, was_finished
from automagik.core.tasks.heartbeat import Heartbeat, HeldRun
from automagik.core.tasks.log import TaskLog
from automagik.core.tasks.outcome import Completed, Failed, Released
from tests.core.protocol.forgetful_queue import ForgetfulQueue
from tests.core.protocol.model import LEASE, OVERDUE, PERSON, Said

LEASE_TIME = timedelta(seconds=LEASE)

OUTCOMES: dict[str, Completed | Failed | Released] = {
    "completed": Completed(answer={"outputs": ["hello"]}, text="hello", http_status=200),
    "failed": Failed(
        code="AM-SRC-RUN", message="no", retryable=True, retry_after=timedelta(seconds=LEASE)
    ),
    "failed for good": Failed(code="AM-SRC-RUN", message="never", retryable=False),
    "released": Released(),
}


@dataclass(frozen=True, kw_only=True, slots=True)
class WorkerProcess:
    """Its heartbeat beats when the test says so."""

    worker: Claimant
    heartbeat: Heartbeat

    def holds(self) -> dict[tuple[UUID, int], HeldRun]:
        return self.heartbeat._runs


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """What counts when the transaction was committed."""

    said: Counter[Said] = field(default_factory=Counter)
    number: int = 0
    given: tuple[WorkerProcess, HeldRun] | None = None
    ended: dict[tuple[UUID, int], Ending] = field(default_factory=dict)
    disowned: dict[tuple[UUID, int], AbortReason] = field(default_factory=dict)
    removed: frozenset[UUID] = frozenset()
    is_refused: bool = False
    was_ended_before: bool = False


Deed = Callable[[Connection], Answer]


class NoJitter(Random):
    """The shortest delay."""

    def random(self) -> float:
        return 0.0


def firing(beat: str, *, settings: Settings) -> Deed:
    return lambda connection: Answer(number=fire(connection, settings=settings, actor=beat))


def dispatching(beat: str, *, queue: ForgetfulQueue, target: int) -> Deed:
    def deed(connection: Connection) -> Answer:
        sent = dispatch(connection, queue, least=target, silence=timedelta(), actor=beat)
        return _counted(beat, "queued", sent)

    return deed


def reaping(beat: str) -> Deed:
    def deed(connection: Connection) -> Answer:
        return _counted(beat, "reaped", reap(connection, lease=timedelta(), actor=beat))

    return deed


def reconciling(queue: ForgetfulQueue) -> Deed:
    overdue = timedelta(seconds=OVERDUE)

    def deed(connection: Connection) -> Answer:
        reconciler = Reconciler(queue, overdue=overdue)
        assert reconciler.reconcile(connection) == 0, "one look is not enough"
        return Answer(number=reconciler.reconcile(connection))

    return deed


def claiming(process: WorkerProcess, task_id: UUID) -> Deed:
    def deed(connection: Connection) -> Answer:
        taken = claim(connection, task_id, worker=process.worker, lease=LEASE_TIME)
        if taken is None:
            return Answer()
        log = TaskLog(taken.task_id, taken.attempt)
        run = HeldRun(claim=taken, log=log, handle=RunHandle())
        return Answer(said=_one(process, "running", run), given=(process, run))

    return deed


def extending(process: WorkerProcess) -> Deed:
    """The statement of a heartbeat, and what it learns from it."""

    def deed(connection: Connection) -> Answer:
        heartbeat = process.heartbeat
        disowned = heartbeat._extend_leases(connection, heartbeat._held())
        return Answer(disowned={key_of(run): reason for run, reason in disowned})

    return deed


def finishing(process: WorkerProcess, run: HeldRun, outcome: str) -> Deed:
    """The worker ends the attempt that it believes to own, rightly or not."""

    def deed(connection: Connection) -> Answer:
        ending = decide(OUTCOMES[outcome], run.claim, random=NoJitter())
        if finish(connection, Finish(run.claim, ending), actor=process.worker.name):
            return Answer(said=_one(process, ending.state, run), ended={key_of(run): ending})
        return Answer(was_ended_before=was_finished(connection, run.claim, ending))

    return deed


def cancelling(task_id: UUID) -> Deed:
    return _by_hand(lambda c: by_hand.cancel(c, task_id, actor=PERSON, reason=None))


def retrying(task_id: UUID) -> Deed:
    return _by_hand(lambda c: by_hand.retry(c, task_id, actor=PERSON, reason=None))


def removing(task_id: UUID) -> Deed:
    return _by_hand(lambda c: by_hand.remove(c, task_id), removed=frozenset({task_id}))


BY_HAND = {"cancel": cancelling, "retry": retrying, "remove": removing}


def managing(change: Callable[[], object]) -> Deed:
    """What a manager does in a transaction of its own."""
    return _by_hand(lambda _: change())


def key_of(run: HeldRun) -> tuple[UUID, int]:
    return run.claim.task_id, run.claim.attempt


def _by_hand(
    change: Callable[[Connection], object], *, removed: frozenset[UUID] = frozenset()
) -> Deed:
    def deed(connection: Connection) -> Answer:
        try:
            change(connection)
        except (Conflict, NotFound):
            return Answer(is_refused=True)
        return Answer(removed=removed)

    return deed


def _counted(beat: str, verb: str, number: int) -> Answer:
    return Answer(number=number, said=Counter({Said(actor=beat, verb=verb): number}))


def _one(process: WorkerProcess, verb: str, run: HeldRun) -> Counter[Said]:
    task_id, attempt = key_of(run)
    said = Said(actor=process.worker.name, verb=verb, task_id=task_id, attempt=attempt)
    return Counter([said])
