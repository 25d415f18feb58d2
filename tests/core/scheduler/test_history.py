"""The history of a schedule: runs and skipped occurrences in one list, page by page."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from sqlalchemy import delete, event, insert

from automagik.core.database.base import new_id
from automagik.core.database.models import TaskAttemptRow, TaskRow
from automagik.core.database.session import Database
from automagik.core.flows.values import Flow
from automagik.core.scheduler.history import Entry, HistoryFilter, Origin, history
from automagik.core.tasks.states import AttemptOutcome, TaskState
from tests.core.records import add_schedules, add_task, rows
from tests.core.scheduler.stored import add_flow

BEGIN = datetime(2026, 1, 5, tzinfo=UTC)
SECOND = timedelta(seconds=1)
HOUR = timedelta(hours=1)
SKIP = """
INSERT INTO skipped_occurrences (schedule_id, first_at, last_at, reason)
VALUES (:id, :first, :last, :reason) RETURNING 1
"""


@pytest.fixture
def flow(database: Database) -> Flow:
    return add_flow(database)


@pytest.fixture
def schedule_id(database: Database, flow: Flow) -> UUID:
    return add_schedules(database, flow, late=-HOUR)[0]


def entries(database: Database, schedule_id: UUID, **wanted: Any) -> Sequence[Entry]:
    with database.transaction() as connection:
        return history(connection, schedule_id, HistoryFilter(**{"limit": 20, **wanted}))


def skip(
    database: Database, schedule_id: UUID, first: datetime, last: datetime, reason: str = "misfire"
) -> None:
    rows(database, SKIP, id=schedule_id, first=first, last=last, reason=reason)


def add_attempt(database: Database, task_id: UUID, number: int, started_at: datetime) -> None:
    with database.transaction() as connection:
        connection.execute(
            insert(TaskAttemptRow).values(
                task_id=task_id,
                attempt=number,
                worker_id=new_id(),
                worker_name="worker@here",
                started_at=started_at,
                finished_at=started_at,
                outcome=AttemptOutcome.FAILED,
            )
        )


def test_it_tells_what_became_of_each_run_and_of_what_was_skipped(
    database: Database, flow: Flow, schedule_id: UUID
) -> None:
    task_id = add_task(
        database,
        flow,
        schedule_id=schedule_id,
        scheduled_for=BEGIN,
        state=TaskState.FAILED,
        attempt=2,
        error_code="AM-SRC",
        started_at=BEGIN + 20 * SECOND,
        finished_at=BEGIN + 25 * SECOND,
    )
    for number in (1, 2):
        add_attempt(database, task_id, number, BEGIN + 10 * number * SECOND)
    skip(database, schedule_id, BEGIN + HOUR, BEGIN + 3 * HOUR)

    skipped, failed = entries(database, schedule_id)

    assert skipped == Entry(
        at=BEGIN + 3 * HOUR,
        origin=Origin.SKIPPED,
        since=BEGIN + HOUR,
        reason="misfire",
        reason_text="no beat fired it in time",
    )
    assert failed == Entry(
        at=BEGIN,
        origin=Origin.CLOCK,
        task_id=task_id,
        state=TaskState.FAILED,
        attempts=2,
        error_code="AM-SRC",
        started_after=10 * SECOND,
        ran_for=5 * SECOND,
    )


def test_it_tells_where_each_run_comes_from(
    database: Database, flow: Flow, schedule_id: UUID
) -> None:
    [backfill_id] = rows(
        database,
        "INSERT INTO backfills (id, schedule_id, begin_at, end_at, max_concurrent, occurrences,"
        " told_until, actor) VALUES (gen_random_uuid(), :id, now() - interval '1 day', now(), 1,"
        " 1, now(), 'me') RETURNING id",
        id=schedule_id,
    )
    made = BEGIN + 9 * HOUR
    parent = add_task(database, flow)
    runs: dict[Origin, dict[str, Any]] = {
        Origin.CLOCK: {"scheduled_for": BEGIN},
        Origin.BACKFILL: {"scheduled_for": BEGIN + HOUR, "backfill_id": backfill_id},
        Origin.FOLLOW_UP: {"parent_task_id": parent, "parent_attempt": 1},
        Origin.BY_HAND: {},
    }
    for number, columns in enumerate(runs.values()):
        at = made + number * HOUR
        add_task(database, flow, schedule_id=schedule_id, created_at=at, **columns)
    add_task(database, flow)

    found = entries(database, schedule_id)
    assert [entry.origin for entry in found] == list(reversed(runs))
    assert [entry.at for entry in found] == [
        made + 3 * HOUR,
        made + 2 * HOUR,
        BEGIN + HOUR,
        BEGIN,
    ]

    with database.transaction() as connection:
        connection.execute(delete(TaskRow).where(TaskRow.id == parent))
    assert entries(database, schedule_id)[1].origin is Origin.FOLLOW_UP


def test_filters_choose_a_stretch_states_and_what_was_skipped(
    database: Database, flow: Flow, schedule_id: UUID
) -> None:
    for number, state in enumerate((TaskState.FAILED, TaskState.COMPLETED, TaskState.PENDING)):
        at = BEGIN + number * HOUR
        add_task(database, flow, schedule_id=schedule_id, scheduled_for=at, state=state)
    add_task(database, flow, schedule_id=schedule_id, created_at=BEGIN + 3 * HOUR)
    skip(database, schedule_id, BEGIN + 4 * HOUR, BEGIN + 4 * HOUR)

    def found(**wanted: Any) -> list[int]:
        return [(each.at - BEGIN) // HOUR for each in entries(database, schedule_id, **wanted)]

    assert found() == [4, 3, 2, 1, 0]
    assert found(since=BEGIN + HOUR, before=BEGIN + 4 * HOUR) == [3, 2, 1]
    assert found(states=[TaskState.FAILED, TaskState.COMPLETED], skipped=False) == [1, 0]
    assert found(states=[TaskState.FAILED]) == [4, 0]
    assert found(tasks=False) == [4]
    assert found(limit=2) == [4, 3]


@pytest.fixture
def chain_id(database: Database, flow: Flow, schedule_id: UUID) -> UUID:
    columns: dict[str, Any] = {
        "type": "after",
        "expr": "completed",
        "after_schedule_id": schedule_id,
    }
    return add_schedules(database, flow, next_run_at=None, **columns)[0]


def test_ends_that_a_chain_does_not_follow_are_told_in_words(
    database: Database, chain_id: UUID
) -> None:
    skip(database, chain_id, BEGIN, BEGIN, "input")

    [entry] = entries(database, chain_id)
    assert "could not be made" in (entry.reason_text or "")


def test_the_newest_runs_of_a_chain_come_from_an_index_however_many_there_are(
    database: Database, flow: Flow, chain_id: UUID
) -> None:
    first = add_task(database, flow, schedule_id=chain_id, parent_attempt=1)
    rows(
        database,
        "INSERT INTO tasks (id, flow_id, flow_version_id, source_id, schedule_id, max_retries,"
        " max_attempts, timeout_seconds, parent_attempt) SELECT gen_random_uuid(), flow_id,"
        " flow_version_id, source_id, schedule_id, 3, 4, 60, 1"
        " FROM tasks, generate_series(1, 5000) WHERE id = :id RETURNING 1",
        id=first,
    )
    statements: list[tuple[str, object]] = []
    event.listen(
        database.engine,
        "before_cursor_execute",
        lambda _c, _cur, sql, parameters, *_: statements.append((sql, parameters)),
    )

    assert len(entries(database, chain_id, limit=3)) >= 3

    [(sql, parameters)] = [each for each in statements if "first_started_at" in each[0]]
    with database.engine.connect() as connection:
        connection.exec_driver_sql("ANALYZE tasks")
        plan = connection.exec_driver_sql(f"EXPLAIN {sql}", parameters).scalars().all()  # type: ignore[arg-type]
    assert "using ix_tasks_schedule_id on tasks t" in "\n".join(plan)
    assert not any("Sort" in line for line in plan)


def test_page_by_page_it_is_the_whole_list(database: Database, flow: Flow) -> None:
    numbers = st.lists(st.integers(0, 12), max_size=8)

    @hypothesis_settings(
        max_examples=20, deadline=None, suppress_health_check=[HealthCheck.too_slow]
    )
    @given(numbers.map(set), numbers, numbers, st.integers(1, 4), st.booleans())
    def pages(
        tasks: set[int],
        by_hand: list[int],
        skips: list[int],
        limit: int,
        is_chain: bool,  # noqa: FBT001 - drawn
    ) -> None:
        columns: dict[str, Any] = {"late": -HOUR}
        if is_chain:
            tasks = set()
            columns = {"type": "after", "expr": "completed", "after_flow_id": flow.id}
            columns["next_run_at"] = None
        [schedule_id] = add_schedules(database, flow, **columns)
        for number in tasks:
            at = BEGIN + number * HOUR
            add_task(database, flow, schedule_id=schedule_id, scheduled_for=at)
        for number in by_hand:
            add_task(database, flow, schedule_id=schedule_id, created_at=BEGIN + number * HOUR)
        for number in skips:
            skip(database, schedule_id, BEGIN, BEGIN + number * HOUR)
        whole = [BEGIN + number * HOUR for number in sorted([*tasks, *by_hand, *skips])][::-1]

        found: list[datetime] = []
        before = None
        while page := entries(database, schedule_id, limit=limit, before=before):
            assert len(page) >= min(limit, len(whole) - len(found))
            found += [entry.at for entry in page]
            before = found[-1]

        assert found == whole

    pages()
