"""A source that is down gets no runs but probes, and its tasks use no attempts meanwhile."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from random import Random
from uuid import UUID

import pytest
from sqlalchemy import RowMapping

from automagik.core.database.base import new_id
from automagik.core.database.models import SourceRow
from automagik.core.database.session import Database
from automagik.core.flows.breaker import LONGEST_PAUSE, found_down
from automagik.core.flows.values import Flow
from automagik.core.scheduler.dispatch import dispatch
from automagik.core.tasks.claim import Claim, Claimant, claim
from automagik.core.tasks.finish import Finish, decide, finish
from automagik.core.tasks.outcome import WORKER_LOST, Completed, Failed, Released
from tests.core.records import (
    LEASE,
    MINUTE,
    WAITS_FOR_A_ROW,
    add_task,
    limit_source,
    put,
    row,
    rows,
    task,
)
from workers.ready_queue import CeleryReadyQueues

FAILURES = 3
PAUSE = timedelta(seconds=10)
DOWN = Failed(code="AM-SRC-UNREACHABLE", message="refused", retryable=True, source_is_up=False)
UP = Failed(code="AM-SRC-RUN", message="a bug", retryable=False, source_is_up=True)
SILENT = Failed(code="AM-SRC-RATE", message="later", retryable=True)
DONE = Completed(answer={}, text="hello", http_status=200)


@pytest.fixture
def wide(database: Database, flow: Flow) -> Flow:
    limit_source(database, flow, 100)
    return flow


def send(database: Database, queues: CeleryReadyQueues) -> int:
    with database.transaction() as connection:
        return dispatch(connection, queues, least=300, silence=MINUTE, actor="beat@here")


def take(database: Database, task_id: UUID) -> Claim | None:
    worker = Claimant(id=new_id(), name="worker@here")
    with database.transaction() as connection:
        return claim(connection, task_id, worker=worker, lease=LEASE)


def run(database: Database, task_id: UUID, outcome: Completed | Failed | Released) -> None:
    taken = take(database, task_id)
    assert taken is not None
    ended(database, taken, outcome)


def ended(database: Database, taken: Claim, outcome: Completed | Failed | Released) -> None:
    ending = decide(outcome, taken, random=Random(1))
    with database.transaction() as connection:
        assert finish(connection, Finish(taken, ending), actor="worker@here")
        if ending.source_is_up is False:
            found_down(
                connection,
                taken.source_id,
                task_id=taken.task_id,
                reason="refused",
                failures=FAILURES,
                pause=PAUSE,
            )


def source(database: Database, flow: Flow) -> RowMapping:
    return row(database, SourceRow, flow.source_id)


def is_open(database: Database, flow: Flow) -> bool:
    return source(database, flow)["breaker_opened_at"] is not None


def break_down(database: Database, flow: Flow) -> None:
    for _ in range(FAILURES):
        run(database, add_task(database, flow), DOWN)
    rows(database, "UPDATE tasks SET state = 'paused' WHERE state = 'waiting' RETURNING 1")
    assert is_open(database, flow)


def let_probe(database: Database) -> None:
    """The pause is over."""
    rows(database, "UPDATE sources SET breaker_probe_at = now() RETURNING 1")


def test_it_opens_after_so_many_failures_in_a_row(database: Database, wide: Flow) -> None:
    for outcome in (DOWN, DOWN, DONE, DOWN, DOWN, UP, DOWN, DOWN):
        run(database, add_task(database, wide), outcome)
    assert not is_open(database, wide)

    run(database, add_task(database, wide), DOWN)

    opened = source(database, wide)
    assert opened["breaker_reason"] == "refused"
    assert opened["breaker_probe_at"] - opened["breaker_opened_at"] == PAUSE


def test_what_says_nothing_of_the_source_neither_counts_nor_resets(
    database: Database, wide: Flow
) -> None:
    for outcome in (DOWN, SILENT, DOWN, SILENT, DOWN):
        run(database, add_task(database, wide), outcome)

    assert is_open(database, wide)


def test_an_open_source_gets_nothing_and_its_tasks_use_no_attempts(
    database: Database, wide: Flow, queue: CeleryReadyQueues
) -> None:
    sent = add_task(database, wide)
    assert send(database, queue) == 1
    break_down(database, wide)
    waits = add_task(database, wide)

    assert send(database, queue) == 0
    assert take(database, sent) is None, "it was sent before the source went down"

    held = task(database, sent)
    assert (held["state"], held["attempt"], held["state_reason"]) == (
        "waiting",
        0,
        "the source is down",
    )
    assert task(database, waits)["state"] == "pending"


def test_one_probe_goes_out_after_the_pause(
    database: Database, wide: Flow, queue: CeleryReadyQueues
) -> None:
    break_down(database, wide)
    for _ in range(5):
        add_task(database, wide)
    let_probe(database)

    assert send(database, queue) == 1
    assert send(database, queue) == 0

    probe = source(database, wide)["breaker_probe_id"]
    assert task(database, probe)["state"] == "queued"


def test_an_answered_probe_lets_all_go_on(
    database: Database, wide: Flow, queue: CeleryReadyQueues
) -> None:
    break_down(database, wide)
    for _ in range(5):
        add_task(database, wide)
    let_probe(database)
    send(database, queue)

    run(database, source(database, wide)["breaker_probe_id"], DONE)

    assert not is_open(database, wide)
    assert source(database, wide)["breaker_failures"] == 0
    assert send(database, queue) == 4


def test_the_pause_doubles_with_each_probe_that_fails_up_to_the_longest(
    database: Database, wide: Flow, queue: CeleryReadyQueues
) -> None:
    break_down(database, wide)
    pauses: list[timedelta] = []
    for _ in range(7):
        probe = add_task(database, wide)
        let_probe(database)
        assert send(database, queue) == 1
        run(database, probe, DOWN)
        put(database, SourceRow, wide.source_id, breaker_reason=None)
        rows(database, "UPDATE tasks SET state = 'paused' WHERE state = 'waiting' RETURNING 1")
        pauses += rows(database, "SELECT breaker_probe_at - now() FROM sources")

    expected = [min(PAUSE * 2**n, LONGEST_PAUSE) for n in range(1, 8)]
    assert [round(p.total_seconds(), -1) for p in pauses] == [e.total_seconds() for e in expected]


def test_runs_that_were_under_way_when_it_opened_count_no_more(
    database: Database, wide: Flow
) -> None:
    under_way = [take(database, add_task(database, wide)) for _ in range(4)]
    break_down(database, wide)
    before = source(database, wide)

    for taken in under_way:
        assert taken is not None
        ended(database, taken, DOWN)

    assert source(database, wide) == before


def test_a_late_answer_of_a_run_under_way_closes_it(database: Database, wide: Flow) -> None:
    under_way = take(database, add_task(database, wide))
    break_down(database, wide)

    assert under_way is not None
    ended(database, under_way, DONE)

    assert not is_open(database, wide)


def test_a_probe_that_is_never_heard_of_is_followed_by_another(
    database: Database, wide: Flow, queue: CeleryReadyQueues
) -> None:
    break_down(database, wide)
    add_task(database, wide)
    let_probe(database)
    send(database, queue)
    first = source(database, wide)["breaker_probe_id"]
    second = add_task(database, wide)
    assert send(database, queue) == 0

    let_probe(database)

    assert send(database, queue) == 1
    assert source(database, wide)["breaker_probe_id"] == second
    assert take(database, first) is None


def test_a_cancelled_probe_is_followed_by_another_at_once(
    database: Database, wide: Flow, queue: CeleryReadyQueues
) -> None:
    break_down(database, wide)
    add_task(database, wide)
    let_probe(database)
    assert send(database, queue) == 1
    add_task(database, wide)
    assert send(database, queue) == 0

    cancelled = "state = 'cancelled', finished_at = now()"
    rows(database, f"UPDATE tasks SET {cancelled} WHERE state = 'queued' RETURNING 1")

    assert send(database, queue) == 1


def test_a_throttled_probe_is_followed_by_another_when_its_next_attempt_is_due(
    database: Database, wide: Flow, queue: CeleryReadyQueues
) -> None:
    break_down(database, wide)
    probe = add_task(database, wide)
    let_probe(database)
    assert send(database, queue) == 1
    run(database, probe, SILENT)
    add_task(database, wide)
    rows(database, f"UPDATE tasks SET run_at = now() + '1m' WHERE id = '{probe}' RETURNING 1")
    assert send(database, queue) == 0

    rows(database, f"UPDATE tasks SET run_at = now() WHERE id = '{probe}' RETURNING 1")

    assert send(database, queue) == 1


def test_a_probe_that_is_taken_before_it_is_committed_is_not_held_back(
    database: Database, wide: Flow, queue: CeleryReadyQueues
) -> None:
    break_down(database, wide)
    probe = add_task(database, wide)
    let_probe(database)
    with ThreadPoolExecutor(1) as worker:
        with database.transaction() as connection:
            assert dispatch(connection, queue, least=300, silence=MINUTE, actor="beat@here") == 1
            taken = worker.submit(take, database, probe)
            while rows(database, WAITS_FOR_A_ROW) != [True]:
                assert not taken.done()
        assert taken.result(timeout=20) is not None


def test_a_paused_queue_holds_back_what_was_sent(
    database: Database, wide: Flow, queue: CeleryReadyQueues
) -> None:
    sent = add_task(database, wide)
    send(database, queue)
    rows(database, "UPDATE queues SET paused_at = now() RETURNING 1")

    assert take(database, sent) is None

    held = task(database, sent)
    assert (held["state"], held["attempt"], held["state_reason"]) == (
        "waiting",
        0,
        "the queue is paused",
    )
    rows(database, "UPDATE queues SET paused_at = NULL RETURNING 1")
    assert send(database, queue) == 1
    assert take(database, sent) is not None


class TestAtMostOnce:
    """Its outcomes are the same."""

    @pytest.mark.parametrize(
        ("outcome", "state"),
        [
            (replace(DOWN, never_sent=True), "waiting"),
            (DOWN, "failed"),
            (replace(UP, retryable=True), "failed"),
        ],
        ids=["surely never called", "perhaps called", "called"],
    )
    def test_only_a_call_that_was_never_sent_is_tried_again(
        self, database: Database, wide: Flow, outcome: Failed, state: str
    ) -> None:
        task_id = add_task(database, wide, at_most_once=True)

        run(database, task_id, outcome)

        assert task(database, task_id)["state"] == state

    def test_a_run_that_its_worker_gives_back_has_failed(
        self, database: Database, wide: Flow
    ) -> None:
        task_id = add_task(database, wide, at_most_once=True)

        run(database, task_id, Released())

        ended_task = task(database, task_id)
        assert (ended_task["state"], ended_task["error_code"]) == ("failed", WORKER_LOST)
