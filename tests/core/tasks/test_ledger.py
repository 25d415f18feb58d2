"""Claims and ends of many threads, while others hold rows and PostgreSQL refuses values."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from random import Random
from uuid import UUID

import pytest
from sqlalchemy import Connection, text

from automagik.core.config import Settings
from automagik.core.database.session import Database
from automagik.core.flows.values import Flow
from automagik.core.tasks.claim import Claim
from automagik.core.tasks.finish import decide
from automagik.core.tasks.full_sources import FullSources
from automagik.core.tasks.ledger import LARGE, LARGE_ANSWER, WAITING, Ledger
from automagik.core.tasks.log import TaskLog
from automagik.core.tasks.outcome import Completed
from automagik.core.tasks.states import TaskState
from tests.core.embedded.patience import eventually
from tests.core.records import add_task, add_worker, attempts, rows, task
from tests.core.tasks.rows import add_flow

PATIENCE = 20
MANY = 40
CONNECTIONS = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"

LOCKED = f"{CONNECTIONS} AND wait_event_type = 'Lock'"


@pytest.fixture
def flow(database: Database) -> Flow:
    return add_flow(database)


@pytest.fixture
def ledger(database: Database, settings: Settings) -> Ledger:
    return Ledger(database, settings, add_worker(database), full_sources=FullSources())


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(MANY) as pool:
        yield pool


def queued(database: Database, flow: Flow, count: int = 1) -> list[UUID]:
    return [add_task(database, flow, state=TaskState.QUEUED) for _ in range(count)]


@contextmanager
def held(database: Database, task_id: UUID) -> Iterator[Connection]:
    """Somebody else is in the midst of changing it."""
    with database.transaction() as connection:
        connection.execute(text("SELECT FROM tasks WHERE id = :id FOR UPDATE"), {"id": task_id})
        yield connection


def complete(ledger: Ledger, claim: Claim | None, said: str = "hello", *, lines: int = 1) -> bool:
    assert claim is not None
    log = TaskLog(claim.task_id, claim.attempt)
    for number in range(lines):
        log.say("test", str(number))
    outcome = Completed(answer={"outputs": [said]}, text=said, http_status=200)
    return ledger.finish(claim, decide(outcome, claim, random=Random(1)), log)


def test_each_of_many_is_claimed_once_and_finished_with_its_own_log(
    database: Database, flow: Flow, ledger: Ledger, pool: ThreadPoolExecutor
) -> None:
    task_ids = queued(database, flow, MANY)

    claims = list(pool.map(ledger.claim, task_ids * 2))

    made = [claim for claim in claims if claim is not None]
    assert sorted(claim.task_id for claim in made) == sorted(task_ids)
    assert all(pool.map(lambda claim: complete(ledger, claim, str(claim.task_id)), made))
    assert rows(database, "SELECT DISTINCT state FROM tasks") == ["completed"]
    assert rows(database, "SELECT id::text = output_text FROM tasks GROUP BY 1") == [True]
    assert rows(database, "SELECT count(*) FROM task_logs GROUP BY task_id") == [1] * MANY


def test_a_claim_waits_for_who_holds_its_row_and_the_others_do_not(
    database: Database, flow: Flow, ledger: Ledger, pool: ThreadPoolExecutor
) -> None:
    [busy, *others] = queued(database, flow, 10)
    with held(database, busy) as connection:
        waiting = pool.submit(ledger.claim, busy)
        assert None not in list(pool.map(ledger.claim, others, timeout=PATIENCE))
        assert not waiting.done()
        connection.execute(text("UPDATE tasks SET priority = 7 WHERE id = :id"), {"id": busy})

    claim = waiting.result(PATIENCE)
    assert claim is not None
    assert claim.task_id == busy


def test_a_claim_whose_task_is_cancelled_meanwhile_comes_to_nothing(
    database: Database, flow: Flow, ledger: Ledger, pool: ThreadPoolExecutor
) -> None:
    [task_id] = queued(database, flow)
    with held(database, task_id) as connection:
        waiting = pool.submit(ledger.claim, task_id)
        connection.execute(
            text("UPDATE tasks SET state = 'cancelled', finished_at = now() WHERE id = :id"),
            {"id": task_id},
        )

    assert waiting.result(PATIENCE) is None
    assert attempts(database, task_id) == []


def test_an_end_waits_for_who_holds_its_row_and_the_others_do_not(
    database: Database, flow: Flow, ledger: Ledger, pool: ThreadPoolExecutor
) -> None:
    [busy, *others] = [ledger.claim(task_id) for task_id in queued(database, flow, 10)]
    assert busy is not None
    with held(database, busy.task_id):
        waiting = pool.submit(complete, ledger, busy)
        assert all(pool.map(lambda claim: complete(ledger, claim), others, timeout=PATIENCE))
        assert not waiting.done()

    assert waiting.result(PATIENCE)
    assert task(database, busy.task_id)["state"] == "completed"


def test_whoever_holds_the_row_of_a_source_does_not_stop_the_ends_of_others(
    database: Database, flow: Flow, ledger: Ledger, pool: ThreadPoolExecutor
) -> None:
    """Its breaker counts a failure, which the next answer takes back."""
    rows(database, "UPDATE sources SET breaker_failures = 1 RETURNING id")
    other = add_flow(database, "other")
    counted = [ledger.claim(task_id) for task_id in queued(database, flow, 3)]
    others = [ledger.claim(task_id) for task_id in queued(database, other, 3)]
    with database.transaction() as connection:
        hold = text("SELECT FROM sources WHERE id = :id FOR NO KEY UPDATE")
        connection.execute(hold, {"id": flow.source_id})
        waiting = [pool.submit(complete, ledger, claim) for claim in counted]
        assert all(pool.map(lambda claim: complete(ledger, claim), others, timeout=PATIENCE))
        assert not any(end.done() for end in waiting)

    assert all(end.result(PATIENCE) for end in waiting)
    assert rows(database, "SELECT sum(breaker_failures) FROM sources") == [0]


def test_whoever_waits_for_rows_does_not_stop_large_ends(
    database: Database, flow: Flow, ledger: Ledger, pool: ThreadPoolExecutor
) -> None:
    *busy, large = queued(database, flow, 10)
    claim = ledger.claim(large)
    with database.transaction() as connection:
        connection.execute(text("SELECT FROM tasks WHERE id = ANY(:ids) FOR UPDATE"), {"ids": busy})
        waiting = [pool.submit(ledger.claim, task_id) for task_id in busy]
        assert eventually(lambda: rows(database, LOCKED) == [WAITING], seconds=PATIENCE)
        ending = pool.submit(complete, ledger, claim, "x" * LARGE_ANSWER)
        assert ending.result(PATIENCE)

    assert None not in [each.result(PATIENCE) for each in waiting]


def test_of_ends_together_only_the_one_that_postgresql_refuses_fails(
    database: Database, flow: Flow, ledger: Ledger, pool: ThreadPoolExecutor
) -> None:
    claims = [ledger.claim(task_id) for task_id in queued(database, flow, 10)]
    texts = ["\x00" if number == 3 else "fine" for number in range(10)]

    ends = [pool.submit(complete, ledger, *each) for each in zip(claims, texts, strict=True)]

    failed = [number for number, end in enumerate(ends) if end.exception(PATIENCE) is not None]
    assert failed == [3]
    assert rows(database, "SELECT count(*) FROM tasks WHERE state = 'completed'") == [9]


def test_who_lost_the_lease_is_told_and_writes_nothing(
    database: Database, flow: Flow, ledger: Ledger
) -> None:
    [task_id] = queued(database, flow)
    claim = ledger.claim(task_id)
    rows(
        database,
        "UPDATE tasks SET state = 'waiting', lease_expires_at = NULL RETURNING id",
    )

    assert not complete(ledger, claim)
    assert rows(database, "SELECT count(*) FROM task_logs") == [0]


def test_large_answers_and_long_logs_go_alone_and_whole(
    database: Database,
    flow: Flow,
    ledger: Ledger,
    pool: ThreadPoolExecutor,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """More of them than there are connections for."""
    claims = [ledger.claim(task_id) for task_id in queued(database, flow, 2 * LARGE)]
    monkeypatch.setattr(ledger, "_ends", None)  # nobody goes with others

    said = "x" * LARGE_ANSWER
    assert all(pool.map(lambda claim: complete(ledger, claim, said, lines=500), claims))

    assert rows(database, "SELECT DISTINCT length(output_text) FROM tasks") == [LARGE_ANSWER]
    assert rows(database, "SELECT DISTINCT count(*) FROM task_logs GROUP BY task_id") == [500]


def test_however_many_threads_wait_few_connections_are_used(
    database: Database, flow: Flow, ledger: Ledger, pool: ThreadPoolExecutor
) -> None:
    task_ids = queued(database, flow, MANY)
    with database.transaction() as connection:
        connection.execute(text("SELECT FROM tasks FOR UPDATE"))
        waiting = [pool.submit(ledger.claim, task_id) for task_id in task_ids]
        assert eventually(lambda: rows(database, LOCKED) == [WAITING], seconds=PATIENCE)
        assert not any(each.done() for each in waiting)
        # Who holds the rows, who asks, and the one that writes for all.
        assert rows(database, CONNECTIONS)[0] <= WAITING + 3

    assert None not in [each.result(PATIENCE) for each in waiting]
