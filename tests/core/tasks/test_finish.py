"""How an attempt ends: the rule, and the one transaction that writes it."""

from dataclasses import replace
from datetime import timedelta
from random import Random

import pytest
from sqlalchemy import func

from automagik.core.database.models import TaskRow
from automagik.core.database.session import Database
from automagik.core.flows.values import Flow
from automagik.core.scheduler.reaper import reap
from automagik.core.tasks.claim import Claim
from automagik.core.tasks.finish import Ending, Finish, decide, finish, was_finished
from automagik.core.tasks.outcome import Completed, Failed, Released
from automagik.core.tasks.states import AttemptOutcome, TaskState
from tests.core.records import add_task, attempts, claimed, put, rows, task
from tests.core.tasks.rows import add_flow

SECOND = timedelta(seconds=1)

DONE = Completed(answer={"outputs": [1, {"a": "ä"}]}, text="hello", http_status=200)
BROKEN = Failed(code="AM-SRC-SERVER", message="oops", retryable=True, http_status=503)
HOPELESS = Failed(code="AM-SRC-KEY", message="no", retryable=False, http_status=403)


@pytest.fixture
def flow(database: Database) -> Flow:
    return add_flow(database)


@pytest.fixture
def claim(database: Database, flow: Flow) -> Claim:
    """The first of two attempts."""
    return claimed(database, add_task(database, flow, max_retries=1, max_attempts=2))


def end(database: Database, claim: Claim, outcome: Completed | Failed | Released) -> Ending:
    ending = decide(outcome, claim, random=Random(1))
    with database.transaction() as connection:
        assert finish(connection, Finish(claim, ending), actor="worker@here")
    return ending


class TestEndings:
    def test_a_completed_run_keeps_answer_and_text(self, database: Database, claim: Claim) -> None:
        end(database, claim, DONE)

        done = task(database, claim.task_id)
        assert (done["state"], done["state_actor"]) == ("completed", "worker@here")
        assert (done["result"], done["output_text"]) == (DONE.answer, "hello")
        assert (done["finished_at"] is not None, done["lease_expires_at"]) == (True, None)
        [attempt] = attempts(database, claim.task_id)
        assert (attempt["outcome"], attempt["http_status"]) == ("completed", 200)
        assert attempt["finished_at"] is not None

    def test_a_failure_that_may_pass_waits_for_the_next_attempt(
        self, database: Database, claim: Claim
    ) -> None:
        asked = Failed(code="AM-SRC-RATE", message="later", retryable=True, retry_after=60 * SECOND)

        ending = end(database, claim, asked)

        waiting = task(database, claim.task_id)
        assert (waiting["state"], waiting["finished_at"]) == ("waiting", None)
        assert (waiting["error_code"], waiting["error_message"]) == ("AM-SRC-RATE", "later")
        assert waiting["state_reason"].startswith("AM-SRC-RATE, next attempt in 6")
        assert ending.delay is not None
        assert ending.delay >= 60 * SECOND
        due_in = rows(database, "SELECT run_at - now() FROM tasks")[0]
        assert ending.delay - 5 * SECOND < due_in <= ending.delay
        [attempt] = attempts(database, claim.task_id)
        assert (attempt["outcome"], attempt["error_code"]) == ("failed", "AM-SRC-RATE")

    def test_the_last_attempt_that_fails_is_the_end(self, database: Database, claim: Claim) -> None:
        end(database, claim, BROKEN)
        put(database, TaskRow, claim.task_id, state="queued", run_at=func.now())
        last = claimed(database, claim.task_id)

        end(database, last, BROKEN)

        failed = task(database, claim.task_id)
        assert (failed["state"], failed["attempt"]) == ("failed", 2)
        assert (failed["error_code"], failed["error_message"]) == ("AM-SRC-SERVER", "oops")
        assert failed["finished_at"] is not None
        tries = [(a["outcome"], a["http_status"]) for a in attempts(database, claim.task_id)]
        assert tries == [("failed", 503), ("failed", 503)]

    def test_a_failure_that_cannot_pass_is_the_end_at_once(
        self, database: Database, claim: Claim
    ) -> None:
        end(database, claim, HOPELESS)

        failed = task(database, claim.task_id)
        assert (failed["state"], failed["state_reason"]) == ("failed", "AM-SRC-KEY")

    def test_a_released_run_is_due_at_once_and_costs_no_attempt(
        self, database: Database, claim: Claim
    ) -> None:
        end(database, claim, Released())

        released = task(database, claim.task_id)
        assert (released["state"], released["attempt"]) == ("waiting", 1)
        assert released["max_attempts"] == claim.max_attempts + 1
        assert (released["max_retries"], released["error_code"]) == (1, None)
        assert rows(database, "SELECT run_at <= now() FROM tasks") == [True]
        assert [a["outcome"] for a in attempts(database, claim.task_id)] == ["released"]

    def test_success_after_a_failure_leaves_no_error(
        self, database: Database, claim: Claim
    ) -> None:
        end(database, claim, BROKEN)
        put(database, TaskRow, claim.task_id, state="queued", run_at=func.now())

        end(database, claimed(database, claim.task_id), DONE)

        done = task(database, claim.task_id)
        assert (done["error_code"], done["error_message"]) == (None, None)
        outcomes = [a["outcome"] for a in attempts(database, claim.task_id)]
        assert outcomes == ["failed", "completed"]


class TestFencing:
    """A worker that is not the owner any more writes nothing."""

    @pytest.mark.parametrize("outcome", [DONE, BROKEN, HOPELESS, Released()])
    def test_an_attempt_that_was_taken_back_writes_nothing(
        self, database: Database, claim: Claim, outcome: Completed | Failed | Released
    ) -> None:
        put(database, TaskRow, claim.task_id, lease_expires_at=func.now() - SECOND)
        with database.transaction() as connection:
            reap(connection, lease=timedelta(), actor="beat")

        refused(database, claim, outcome)

    @pytest.mark.parametrize("outcome", [DONE, BROKEN])
    def test_an_attempt_that_was_followed_by_another_writes_nothing(
        self, database: Database, claim: Claim, outcome: Completed | Failed
    ) -> None:
        put(database, TaskRow, claim.task_id, state="waiting", lease_expires_at=None)
        put(database, TaskRow, claim.task_id, state="queued")
        claimed(database, claim.task_id)

        refused(database, claim, outcome)

    def test_a_cancelled_run_stays_cancelled(self, database: Database, claim: Claim) -> None:
        put(
            database,
            TaskRow,
            claim.task_id,
            state="cancelled",
            lease_expires_at=None,
            finished_at=func.now(),
        )

        refused(database, claim, DONE)

    def test_a_deleted_task_is_no_error(self, database: Database, claim: Claim) -> None:
        rows(database, "DELETE FROM tasks RETURNING id")

        with database.transaction() as connection:
            ending = decide(DONE, claim, random=Random(1))
            assert not finish(connection, Finish(claim, ending), actor="worker")

    def test_an_ending_is_written_once(self, database: Database, claim: Claim) -> None:
        end(database, claim, DONE)

        refused(database, claim, BROKEN)

    def test_whoever_finished_can_find_out_that_he_did(
        self, database: Database, claim: Claim
    ) -> None:
        ending = decide(DONE, claim, random=Random(1))
        with database.transaction() as connection:
            assert not was_finished(connection, claim, ending)
            finish(connection, Finish(claim, ending), actor="worker")
        with database.transaction() as connection:
            assert was_finished(connection, claim, ending)
            assert not was_finished(connection, claim, decide(BROKEN, claim, random=Random(1)))


class TestTheRule:
    def test_an_attempt_number_over_the_limit_is_the_last(self, claim: Claim) -> None:
        """Only the number of attempts counts, not how many of them failed."""
        ending = decide(BROKEN, claim, random=Random(1))
        assert (ending.state, ending.outcome) == (TaskState.WAITING, AttemptOutcome.FAILED)

        last = decide(BROKEN, replace(claim, attempt=claim.max_attempts), random=Random(1))
        assert (last.state, last.delay) == (TaskState.FAILED, None)

    def test_later_attempts_wait_longer(self, claim: Claim) -> None:
        patient = replace(claim, max_attempts=100, max_retries=99)
        delays = [
            decide(BROKEN, replace(patient, attempt=attempt), random=Random(1)).delay
            for attempt in (1, 3, 6)
        ]

        assert delays == sorted(set(delays), key=lambda d: d or timedelta())

    def test_a_retry_by_hand_begins_with_a_short_wait_again(self, claim: Claim) -> None:
        first = replace(claim, attempt=1, max_attempts=4, max_retries=3)
        first_by_hand = replace(claim, attempt=5, max_attempts=8, max_retries=3)
        waits = [decide(BROKEN, c, random=Random(1)).delay for c in (first, first_by_hand)]

        assert waits[0] == waits[1]


def refused(database: Database, claim: Claim, outcome: Completed | Failed | Released) -> None:
    before = task(database, claim.task_id), attempts(database, claim.task_id)
    ending = decide(outcome, claim, random=Random(1))

    with database.transaction() as connection:
        assert not finish(connection, Finish(claim, ending), actor="late")

    assert (task(database, claim.task_id), attempts(database, claim.task_id)) == before
