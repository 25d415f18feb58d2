"""One attempt, step by step: claim | call | finish."""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from functools import lru_cache
from random import Random
from typing import TypeVar
from uuid import UUID

from pydantic import SecretStr
from sqlalchemy import Connection

from automagik.core.config import Settings
from automagik.core.database.exceptions import DatabaseUnreachable
from automagik.core.database.session import Database
from automagik.core.encryption import Keyring
from automagik.core.exceptions import AutomagikError, Unreachable
from automagik.core.flows.analyzer import FlowAnalysis, analyze
from automagik.core.flows.breaker import found_down
from automagik.core.flows.exceptions import RemoteError, RunCancelled
from automagik.core.flows.flow_input import FlowInput
from automagik.core.flows.flow_rows import definition_of
from automagik.core.flows.remote import RemoteFlows, RunAnswer
from automagik.core.flows.run_body import RunBody, build_run_body
from automagik.core.flows.run_handle import AbortReason, RunHandle
from automagik.core.flows.stream import RunEvent
from automagik.core.tasks.claim import Claim, Claimant, claim, was_claimed
from automagik.core.tasks.finish import Ending, decide, finish, was_finished
from automagik.core.tasks.heartbeat import Heartbeat, HeldRun
from automagik.core.tasks.log import Level, TaskLog
from automagik.core.tasks.outcome import Completed, Disowned, Failed, Outcome, Released

logger = logging.getLogger(__name__)
T = TypeVar("T")

# How long a worker tries to reach PostgreSQL again before it gives up on a claim or on a result;
# the reaper finds what it gave up on.
DATABASE_PATIENCE = timedelta(minutes=2)
DATABASE_PAUSE = timedelta(seconds=0.5)
ANALYSES = 256


@dataclass(frozen=True, kw_only=True, slots=True)
class Report:
    """What became of a delivery. Without an ending, somebody else ended the run."""

    claim: Claim
    outcome: Outcome
    ending: Ending | None


class TaskRunner:
    """Runs deliveries in one worker process, for all its threads."""

    def __init__(
        self,
        *,
        database: Database,
        settings: Settings,
        worker: Claimant,
        heartbeat: Heartbeat,
        random: Random,
    ) -> None:
        self._database = database
        self._settings = settings
        self._worker = worker
        self._heartbeat = heartbeat
        self._keyring = Keyring.of(settings)
        self._random = random
        # A version never changes, so what was found out about it stays true.
        self._analysis = lru_cache(maxsize=ANALYSES)(self._analyze)

    def run(self, task_id: UUID) -> Report | None:
        """None when there was nothing to claim: a delivery may come twice, or too late."""
        claimed = self._claim(task_id)
        if claimed is None:
            return None
        run = HeldRun(
            claim=claimed,
            log=TaskLog(claimed.task_id, claimed.attempt),
            handle=RunHandle(),
        )
        with self._heartbeat.holding(run):
            return self._finish(run, self._attempt(run))

    def _claim(self, task_id: UUID) -> Claim | None:
        lease = timedelta(seconds=self._settings.lease_seconds)
        tried: Claim | None = None

        def take(connection: Connection) -> Claim | None:
            nonlocal tried
            if tried is None or not was_claimed(connection, tried):
                tried = claim(connection, task_id, worker=self._worker, lease=lease)
            return tried

        return self._persist(take)

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

    def _call(self, run: HeldRun) -> RunAnswer:
        claimed = run.claim
        body = self._body(claimed)
        api_key = self._api_key(claimed)
        run.log.hide(api_key.get_secret_value())
        remote = RemoteFlows(
            claimed.source_url,
            api_key,
            connect_timeout=timedelta(seconds=self._settings.connect_timeout_seconds),
            max_answer_bytes=self._settings.max_answer_bytes,
        )
        run.log.say(
            "langflow",
            f"running {claimed.flow_name!r} on {claimed.source_name} ({claimed.source_url}),"
            f" session {claimed.session_id}, at most {claimed.timeout.total_seconds():g} s",
        )
        return remote.run(
            claimed.remote_flow_id,
            body,
            deadline=claimed.timeout,
            idempotency_key=f"{claimed.task_id}-{claimed.attempt}",
            on_event=lambda event: _say_event(run.log, event),
            handle=run.handle,
        )

    def _body(self, claimed: Claim) -> RunBody:
        return build_run_body(
            FlowInput(
                input_value=claimed.input_value,
                tweaks=claimed.tweaks,
                session_id=claimed.session_id,
            ),
            self._analysis(claimed.flow_version_id),
            input_component=claimed.input_component,
            output_component=claimed.output_component,
            session_id=claimed.session_id,
        )

    def _analyze(self, version_id: UUID) -> FlowAnalysis:
        return analyze(self._persist(lambda c: definition_of(c, version_id)))

    def _api_key(self, claimed: Claim) -> SecretStr:
        """Empty where the source needs none."""
        if claimed.api_key_encrypted is None:
            return SecretStr("")
        return self._keyring.decrypt(claimed.api_key_encrypted)

    def _finish(self, run: HeldRun, outcome: Outcome) -> Report:
        claimed = run.claim
        if isinstance(outcome, Disowned):
            return self._drop(run, outcome.reason, f"broken off: {outcome.reason}")
        ending = decide(outcome, claimed, random=self._random)
        run.log.say("worker", _in_words(ending), level=_LEVELS[type(outcome)])
        if self._persist(lambda c: self._write(c, run, ending)):
            return Report(claim=claimed, outcome=outcome, ending=ending)
        words = "lease lost: what this attempt came to is dropped"
        return self._drop(run, AbortReason.LEASE_LOST, words)

    def _drop(self, run: HeldRun, reason: AbortReason, words: str) -> Report:
        claimed = run.claim
        if reason is AbortReason.LEASE_LOST:
            attempt = claimed.attempt
            logger.warning("Task %s: lease lost, attempt %s dropped", claimed.task_id, attempt)
        run.log.say("worker", words, level="warning")
        self._persist(run.log.close)
        return Report(claim=claimed, outcome=Disowned(reason=reason), ending=None)

    def _write(self, connection: Connection, run: HeldRun, ending: Ending) -> bool:
        if not finish(connection, run.claim, ending, actor=self._worker.name):
            return was_finished(connection, run.claim, ending)
        run.log.close(connection)
        if ending.source_is_up is False:
            self._count_against_source(connection, run.claim, ending)
        return True

    def _count_against_source(self, connection: Connection, claimed: Claim, ending: Ending) -> None:
        found_down(
            connection,
            claimed.source_id,
            task_id=claimed.task_id,
            reason=ending.columns["error_message"],
            failures=self._settings.breaker_failures,
            pause=timedelta(seconds=self._settings.breaker_pause_seconds),
        )

    def _persist(self, work: Callable[[Connection], T]) -> T:
        """Does it in one transaction, again and again while PostgreSQL is away."""
        give_up = time.monotonic() + DATABASE_PATIENCE.total_seconds()
        while True:
            try:
                with self._database.transaction() as connection:
                    return work(connection)
            except DatabaseUnreachable as error:
                if time.monotonic() > give_up:
                    raise
                logger.warning("Trying again: %s", error.message)
                time.sleep(DATABASE_PAUSE.total_seconds())


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


def _say_event(log: TaskLog, event: RunEvent) -> None:
    """Tokens are left out: the message that they make up follows them."""
    if event.text and event.kind != "token":
        level: Level = "error" if event.kind == "error" else "info"
        log.quote(event.component or "langflow", event.text, level=level)


def _in_words(ending: Ending) -> str:
    return ending.state if ending.reason is None else f"{ending.state}: {ending.reason}"


_LEVELS: dict[type, Level] = {Completed: "info", Failed: "error", Released: "warning"}
