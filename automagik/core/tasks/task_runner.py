"""One attempt, step by step: claim | call | finish."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING
from uuid import UUID

from automagik.core.exceptions import AutomagikError, Unreachable
from automagik.core.flows.exceptions import RemoteError, RunCancelled
from automagik.core.flows.remote import RunAnswer
from automagik.core.flows.run_handle import AbortReason, RunHandle
from automagik.core.logs.subject import Subject, turn_to
from automagik.core.tasks.claim import Claim, Claimant
from automagik.core.tasks.finish import Ending, decide
from automagik.core.tasks.heartbeat import Heartbeat, HeldRun
from automagik.core.tasks.ledger import Ledger
from automagik.core.tasks.log import Level, TaskLog
from automagik.core.tasks.outcome import Completed, Disowned, Failed, Outcome, Released

if TYPE_CHECKING:
    from automagik.core.tracing.spans import Traces

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True, slots=True)
class Report:
    """What became of a delivery. Without an ending, somebody else ended the run."""

    claim: Claim
    outcome: Outcome
    ending: Ending | None


class TaskRunner:
    """Runs deliveries in one worker process, for all its threads.

    Args:
        call: runs the flow of a claimed attempt. Raises AutomagikError when it fails, and
            RunCancelled when it was broken off by the run's handle.
        traces: of this process; None where it makes no spans.
    """

    def __init__(
        self,
        *,
        ledger: Ledger,
        worker: Claimant,
        heartbeat: Heartbeat,
        call: Callable[[HeldRun], RunAnswer],
        random: Random,
        traces: "Traces | None" = None,
    ) -> None:
        self._ledger = ledger
        self._worker = worker
        self._heartbeat = heartbeat
        self._call = call
        self._random = random
        self._traces = traces

    def run(self, task_id: UUID) -> Report | None:
        """None when there was nothing to claim: a delivery may come twice, or too late."""
        turn_to(Subject(task_id=task_id))
        if self._traces is not None:
            return self._run_traced(task_id, self._traces)
        run = self._claimed(self._ledger.claim(task_id))
        if run is None:
            return None
        with self._heartbeat.holding(run):
            return self._finish(run, self._attempt(run))

    def _run_traced(self, task_id: UUID, traces: "Traces") -> Report | None:
        root = traces.root()
        run = self._claimed(self._ledger.claim(task_id, traceparent=root.traceparent))
        if run is None:
            return None
        with self._heartbeat.holding(run), traces.attempt(run.claim, root) as attempt:
            report = self._finish(run, self._attempt(run))
            attempt.tell(report)
            return report

    def _claimed(self, claimed: Claim | None) -> HeldRun | None:
        if claimed is None:
            return None
        turn_to(_subject(claimed))
        return HeldRun(
            claim=claimed,
            log=TaskLog(claimed.task_id, claimed.attempt),
            handle=RunHandle(),
        )

    def _attempt(self, run: HeldRun) -> Outcome:
        claimed = run.claim
        run.log.say(
            "worker",
            f"attempt {claimed.attempt} of {claimed.max_attempts} on {self._worker.name}",
        )
        try:
            answer = self._call(run)
        except RunCancelled:
            return _broken_off(run.handle.reason)
        except AutomagikError as error:
            return _failed(error, run.log)
        except Exception as error:
            # Whatever it is, the run ends now and says so, and not when its lease is over.
            logger.exception("Task %s: unexpected error", claimed.task_id)
            return _unexpected(error, run.log)
        run.log.say(
            "langflow",
            f"HTTP {answer.http_status} after {answer.duration.total_seconds():.2f} s",
        )
        return Completed(answer=answer.answer, text=answer.text, http_status=answer.http_status)

    def _finish(self, run: HeldRun, outcome: Outcome) -> Report:
        claimed = run.claim
        if isinstance(outcome, Disowned):
            return self._drop(run, outcome.reason, f"broken off: {outcome.reason}")
        ending = decide(outcome, claimed, random=self._random)
        run.log.say("worker", _in_words(ending), level=_LEVELS[type(outcome)])
        if self._ledger.finish(claimed, ending, run.log):
            return Report(claim=claimed, outcome=outcome, ending=ending)
        words = "lease lost: what this attempt came to is dropped"
        return self._drop(run, AbortReason.LEASE_LOST, words)

    def _drop(self, run: HeldRun, reason: AbortReason, words: str) -> Report:
        claimed = run.claim
        if reason is AbortReason.LEASE_LOST:
            attempt = claimed.attempt
            logger.warning("Task %s: lease lost, attempt %s dropped", claimed.task_id, attempt)
        run.log.say("worker", words, level="warning")
        self._ledger.keep(run.log)
        return Report(claim=claimed, outcome=Disowned(reason=reason), ending=None)


def _subject(claimed: Claim) -> Subject:
    return Subject(
        task_id=claimed.task_id,
        attempt=claimed.attempt,
        flow=claimed.flow_name,
        schedule=claimed.schedule_name,
    )


def _broken_off(reason: AbortReason | None) -> Outcome:
    if reason is AbortReason.SHUTDOWN:
        return Released()
    return Disowned(reason=reason or AbortReason.CANCELLED)


def _failed(error: AutomagikError, log: TaskLog) -> Failed:
    message = log.redact(error.message)
    log.say("langflow", message, level="error")
    if not isinstance(error, RemoteError):
        retryable = isinstance(error, Unreachable)
        return Failed(code=error.code, message=message, retryable=retryable, never_sent=True)
    return Failed(
        code=error.code,
        message=message,
        retryable=error.retryable,
        retry_after=error.retry_after,
        http_status=error.http_status_received,
        never_sent=error.never_sent,
        source_is_up=error.source_is_up,
    )


def _unexpected(error: Exception, log: TaskLog) -> Failed:
    message = log.redact(f"Unexpected {type(error).__name__}: {error}")
    log.say("worker", message, level="error")
    return Failed(code=AutomagikError.code, message=message, retryable=True)


def _in_words(ending: Ending) -> str:
    return ending.state if ending.reason is None else f"{ending.state}: {ending.reason}"


_LEVELS: dict[type, Level] = {Completed: "info", Failed: "error", Released: "warning"}
