"""A worker ends an attempt: result, attempt and the rest of the log in one transaction."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from random import Random
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, text

from automagik.core.database.prepared import Prepared
from automagik.core.flows.breaker import CLOSE, IS_COUNTING
from automagik.core.tasks.claim import Claim
from automagik.core.tasks.log import LINES, Line
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
                    "result": outcome.answer,
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


class Finish:
    """An attempt's end with the rest of its log."""

    def __init__(self, claim: Claim, ending: Ending, lines: Sequence[Line] = ()) -> None:
        self.claim = claim
        self.ending = ending
        self.lines = lines
        self.row = _row(claim, ending)
        """As the statement reads it: JSON."""


def _row(claim: Claim, ending: Ending) -> str:
    return json.dumps(
        {
            "task_id": str(claim.task_id),
            "attempt": claim.attempt,
            "source_id": str(claim.source_id),
            "state": ending.state,
            "final": ending.state.is_final,
            "reason": ending.reason,
            "delay": None if ending.delay is None else ending.delay.total_seconds(),
            "extra_attempts": ending.extra_attempts,
            "outcome": ending.outcome,
            "answered": ending.source_is_up is True,
            **ending.columns,
        }
    )


# A row that somebody holds is waited for, or passed by, also that of a source whose breaker is to
# be closed. Only the attempt that is named is ended, if it is the one that runs.
_FINISH = """
WITH ends AS MATERIALIZED (
    SELECT * FROM jsonb_to_recordset(CAST(:ends AS jsonb)) AS e (task_id uuid, attempt int,
        source_id uuid, state text, final boolean, reason text, delay double precision,
        extra_attempts int, outcome text, answered boolean, result jsonb, output_text text,
        error_code text, error_message text, http_status int)
), {closing} own AS MATERIALIZED (
    SELECT t.id FROM ends e JOIN tasks t ON t.id = e.task_id AND t.attempt = e.attempt
    WHERE t.state = 'running' {passing} FOR NO KEY UPDATE OF t {waiting}
), done AS (
    UPDATE tasks t SET state = e.state, state_reason = e.reason, state_actor = :actor,
        lease_expires_at = NULL, max_attempts = t.max_attempts + e.extra_attempts,
        run_at = coalesce(now() + make_interval(secs => e.delay), t.run_at),
        result = e.result, output_text = e.output_text,
        error_code = e.error_code, error_message = e.error_message,
        finished_at = CASE WHEN e.final THEN now() END
    FROM own JOIN ends e ON e.task_id = own.id
    WHERE t.id = own.id AND t.attempt = e.attempt AND t.state = 'running'
    RETURNING t.id, t.attempt
), answered AS (
    {close}
), logged AS (
    INSERT INTO task_logs (task_id, attempt, at, level, component, message)
    SELECT line.task_id, line.attempt, line.at, line.level, line.component, line.message
    FROM {lines} JOIN done ON done.id = line.task_id AND done.attempt = line.attempt
    ORDER BY line.number
)
UPDATE task_attempts a SET finished_at = now(), outcome = e.outcome,
    error_code = e.error_code, error_message = e.error_message, http_status = e.http_status
FROM done JOIN ends e ON e.task_id = done.id AND e.attempt = done.attempt
WHERE a.task_id = done.id AND a.attempt = done.attempt
RETURNING a.task_id, a.attempt
"""
_ANSWERED = "SELECT source_id FROM ends WHERE answered"
_CLOSING = f"""
closing AS MATERIALIZED (
    SELECT id FROM sources WHERE id IN ({_ANSWERED}) AND {IS_COUNTING}
    FOR NO KEY UPDATE SKIP LOCKED
),
"""  # noqa: S608  (the parts are constants)
_PASSING = f"""
AND NOT (e.answered AND e.source_id IN (
    SELECT id FROM sources WHERE {IS_COUNTING} AND id NOT IN (SELECT id FROM closing)
))
"""  # noqa: S608  (the part is a constant)
_TYPES = {"ends": "text", "lines": "text", "actor": "text"}
_FINISH_FREE = Prepared(
    "finish_free",
    _FINISH.format(
        waiting="SKIP LOCKED",
        closing=_CLOSING,
        passing=_PASSING,
        close=CLOSE.format(sources="SELECT id FROM closing"),
        lines=LINES,
    ),
    **_TYPES,
)
_FINISH_WAITING = Prepared(
    "finish",
    _FINISH.format(
        waiting="", closing="", passing="", close=CLOSE.format(sources=_ANSWERED), lines=LINES
    ),
    **_TYPES,
)


_WAS_FINISHED = text("""
SELECT EXISTS (
    SELECT FROM task_attempts
    WHERE task_id = :task_id AND attempt = :attempt AND outcome = :outcome
)
""")


def finish(connection: Connection, end: Finish, *, actor: str) -> bool:
    """False when the attempt is no longer this worker's; then nothing was written.

    Waits while somebody holds the row of the task.
    """
    return bool(_finish(connection, _FINISH_WAITING, [end], actor=actor))


def finish_free(connection: Connection, ends: Sequence[Finish], *, actor: str) -> list[bool]:
    """Like `finish`, for many at once and without waiting: False may mean that a row is held."""
    done = _finish(connection, _FINISH_FREE, ends, actor=actor)
    return [(end.claim.task_id, end.claim.attempt) in done for end in ends]


def _finish(
    connection: Connection, statement: Prepared, ends: Sequence[Finish], *, actor: str
) -> set[tuple[UUID, int]]:
    """The attempts that were ended."""
    rows = statement.run(
        connection,
        ends=f"[{','.join(end.row for end in ends)}]",
        lines=json.dumps([line for end in ends for line in end.lines]),
        actor=actor,
    )
    return {(row["task_id"], row["attempt"]) for row in rows}


def was_finished(connection: Connection, claim: Claim, ending: Ending) -> bool:
    """Whether an earlier try was committed although its connection broke before it could say so.

    The outcome tells: whoever takes an attempt from its worker writes another one.
    """
    arguments = {"task_id": claim.task_id, "attempt": claim.attempt, "outcome": ending.outcome}
    return bool(connection.scalar(_WAS_FINISHED, arguments))
