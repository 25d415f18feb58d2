"""A worker ends an attempt: result, attempt and the rest of the log in one transaction."""

import json
from dataclasses import dataclass, field
from datetime import timedelta
from random import Random
from typing import Any

from sqlalchemy import Connection, text

from automagik.core.flows.breaker import CLOSE
from automagik.core.tasks.claim import Claim
from automagik.core.tasks.outcome import WORKER_LOST, Completed, Failed, Released
from automagik.core.tasks.retry import backoff
from automagik.core.tasks.states import AttemptOutcome, TaskState


@dataclass(frozen=True, kw_only=True, slots=True)
class Ending:
    """What an outcome makes of the task and of the attempt."""

    state: TaskState
    outcome: AttemptOutcome
    reason: str | None = None
    delay: timedelta | None = None
    extra_attempts: int = 0
    source_is_up: bool | None = None
    columns: dict[str, Any] = field(default_factory=dict)


def decide(outcome: Completed | Failed | Released, claim: Claim, *, random: Random) -> Ending:
    """The rule: what comes after this outcome of this attempt."""
    match outcome:
        case Completed():
            return Ending(
                state=TaskState.COMPLETED,
                outcome=AttemptOutcome.COMPLETED,
                source_is_up=True,
                columns={
                    "result": json.dumps(outcome.answer),
                    "output_text": outcome.text,
                    "http_status": outcome.http_status,
                },
            )
        case Released() if claim.at_most_once:
            return _called_once()
        case Released():
            return Ending(
                state=TaskState.WAITING,
                outcome=AttemptOutcome.RELEASED,
                reason="released by a worker that stops",
                delay=timedelta(),
                extra_attempts=1,
            )
        case Failed():
            return _after_failure(outcome, claim, random=random)


def _called_once() -> Ending:
    """The call was broken off, and nobody knows how far the flow has come."""
    return Ending(
        state=TaskState.FAILED,
        outcome=AttemptOutcome.FAILED,
        reason=WORKER_LOST,
        columns={
            "error_code": WORKER_LOST,
            "error_message": "The worker stopped during the call, and the flow runs at most once.",
        },
    )


def _after_failure(outcome: Failed, claim: Claim, *, random: Random) -> Ending:
    columns = {
        "error_code": outcome.code,
        "error_message": outcome.message,
        "http_status": outcome.http_status,
    }
    may_run_twice = outcome.never_sent or not claim.at_most_once
    if not (outcome.retryable and may_run_twice) or claim.attempt >= claim.max_attempts:
        return Ending(
            state=TaskState.FAILED,
            outcome=AttemptOutcome.FAILED,
            source_is_up=outcome.source_is_up,
            reason=outcome.code,
            columns=columns,
        )
    # A retry by hand begins a new series, and a released attempt does not count.
    before = claim.max_attempts - claim.max_retries - 1
    delay = backoff(claim.attempt - before, random=random, retry_after=outcome.retry_after)
    return Ending(
        state=TaskState.WAITING,
        outcome=AttemptOutcome.FAILED,
        source_is_up=outcome.source_is_up,
        reason=f"{outcome.code}, next attempt in {delay.total_seconds():.1f} s",
        delay=delay,
        columns=columns,
    )


_FINISH = text(f"""
WITH done AS (
    UPDATE tasks SET state = :state, state_reason = :reason, state_actor = :actor,
        lease_expires_at = NULL, max_attempts = max_attempts + :extra_attempts,
        run_at = coalesce(now() + :delay, run_at),
        result = CAST(:result AS jsonb), output_text = :output_text,
        error_code = :error_code, error_message = :error_message,
        finished_at = CASE WHEN :final THEN now() END
    WHERE id = :task_id AND attempt = :attempt AND state = 'running'
    RETURNING id
), answered AS (
    {CLOSE} AND :answered
)
UPDATE task_attempts SET finished_at = now(), outcome = :outcome,
    error_code = :error_code, error_message = :error_message, http_status = :http_status
WHERE task_id = (SELECT id FROM done) AND attempt = :attempt
""")  # noqa: S608  (both parts are constants)


_WAS_FINISHED = text("""
SELECT EXISTS (
    SELECT FROM task_attempts
    WHERE task_id = :task_id AND attempt = :attempt AND outcome = :outcome
)
""")


def finish(connection: Connection, claim: Claim, ending: Ending, *, actor: str) -> bool:
    """False when the attempt is no longer this worker's; then nothing was written."""
    nothing: dict[str, Any] = dict.fromkeys(
        ("result", "output_text", "error_code", "error_message", "http_status")
    )
    result = connection.execute(
        _FINISH,
        {
            **nothing,
            **ending.columns,
            "task_id": claim.task_id,
            "attempt": claim.attempt,
            "state": ending.state,
            "final": ending.state.is_final,
            "reason": ending.reason,
            "delay": ending.delay,
            "extra_attempts": ending.extra_attempts,
            "outcome": ending.outcome,
            "answered": ending.source_is_up is True,
            "source_id": claim.source_id,
            "actor": actor,
        },
    )
    return result.rowcount == 1


def was_finished(connection: Connection, claim: Claim, ending: Ending) -> bool:
    """Whether an earlier try was committed although its connection broke before it could say so.

    The outcome tells: whoever takes an attempt from its worker writes another one.
    """
    arguments = {"task_id": claim.task_id, "attempt": claim.attempt, "outcome": ending.outcome}
    return bool(connection.scalar(_WAS_FINISHED, arguments))
