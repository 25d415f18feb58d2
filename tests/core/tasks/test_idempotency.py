"""One task per idempotency key, whoever asks, however often and at whatever moment."""

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from datetime import timedelta
from threading import Barrier
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import Connection, delete, func, insert

from automagik.core.config import Settings
from automagik.core.database.base import new_id
from automagik.core.database.models import FlowRow, ScheduleRow, TaskRow
from automagik.core.database.session import WAKE, Database
from automagik.core.exceptions import Conflict, InvalidInput, NotFound
from automagik.core.flows.flow_input import FlowInput
from automagik.core.flows.values import Flow
from automagik.core.tasks.manager import TaskManager
from automagik.core.tasks.values import Task
from tests.core.embedded.patience import eventually
from tests.core.records import WAITS_FOR_A_ROW, put, rows
from tests.core.tasks.rows import add_flow, add_schedule
from tests.core.tasks.workplace import site_of

KEY = "order 4711"
GIVEN = FlowInput(input_value="hi", tweaks={"A-1": {"x": [1, 2.5, None]}}, session_id="s")
IDS = "SELECT id FROM tasks ORDER BY id"


@pytest.fixture
def flow(database: Database) -> Flow:
    return add_flow(database)


@contextmanager
def waiting_for(
    database: Database, create: Callable[[], Task], *, begin: Callable[[Connection], object]
) -> Iterator[tuple[Connection, Future[Task]]]:
    """A creation that waits for what another transaction has begun, which the block ends."""
    with ThreadPoolExecutor(1) as threads, database.engine.connect() as connection:
        begin(connection)
        creating = threads.submit(create)
        assert eventually(lambda: rows(database, WAITS_FOR_A_ROW) == [True], seconds=30)
        assert not creating.done()
        yield connection, creating


def add_with_key(connection: Connection, flow: Flow) -> UUID:
    """What another process inserts and has not committed yet."""
    statement = insert(TaskRow).values(
        id=new_id(),
        flow_id=flow.id,
        flow_version_id=flow.version_id,
        source_id=flow.source_id,
        tweaks={},
        max_retries=0,
        max_attempts=1,
        timeout_seconds=1,
        idempotency_key=KEY,
    )
    return connection.scalars(statement.returning(TaskRow.id)).one()


class TestTheSameKey:
    def test_it_finds_the_task_again_and_nothing_new_is_due(
        self, database: Database, tasks: TaskManager, flow: Flow
    ) -> None:
        first = tasks.create(flow, GIVEN, actor="cli", idempotency_key=KEY)
        found: list[Task] = []
        with database.listen(WAKE) as listener:
            again = tasks.create(
                flow, GIVEN, actor="api", idempotency_key=KEY, on_existing=found.append
            )

            assert listener.wait(timedelta(milliseconds=200)) == []
        assert again == first == found[0]
        assert first.idempotency_key == KEY
        assert rows(database, IDS) == [first.id]

    def test_without_a_key_and_with_another_one_there_is_another_task(
        self, database: Database, tasks: TaskManager, flow: Flow
    ) -> None:
        found: list[Task] = []
        for key in (None, None, KEY, "another"):
            tasks.create(flow, GIVEN, actor="cli", idempotency_key=key, on_existing=found.append)

        assert len(rows(database, IDS)) == 4
        assert found == []

    @pytest.mark.parametrize(
        ("given", "other"),
        [
            (FlowInput(input_value="ho", tweaks=GIVEN.tweaks, session_id="s"), "another input"),
            (FlowInput(input_value="hi", session_id="s"), "other tweaks"),
            (FlowInput(input_value="hi", tweaks=GIVEN.tweaks), "another session"),
            (FlowInput(), "another input and other tweaks and another session"),
        ],
    )
    def test_for_something_else_it_is_refused(
        self, database: Database, tasks: TaskManager, flow: Flow, given: FlowInput, other: str
    ) -> None:
        first = tasks.create(flow, GIVEN, actor="cli", idempotency_key=KEY)

        with pytest.raises(Conflict, match=other) as refusal:
            tasks.create(flow, given, actor="cli", idempotency_key=KEY)

        assert KEY in refusal.value.message
        assert str(first.id) in str(refusal.value.hint)
        assert rows(database, IDS) == [first.id]

    def test_for_another_flow_it_is_refused(
        self, database: Database, tasks: TaskManager, flow: Flow
    ) -> None:
        tasks.create(flow, GIVEN, actor="cli", idempotency_key=KEY)

        with pytest.raises(Conflict, match="has another flow"):
            tasks.create(add_flow(database, "other"), GIVEN, actor="cli", idempotency_key=KEY)

    def test_it_is_free_again_when_the_task_was_deleted(
        self, tasks: TaskManager, flow: Flow
    ) -> None:
        first = tasks.create(flow, GIVEN, actor="cli", idempotency_key=KEY)
        tasks.delete(first.id)

        assert tasks.create(flow, GIVEN, actor="cli", idempotency_key=KEY).id != first.id

    @pytest.mark.parametrize("key", ["", "  ", "a\nb", "\x00", "k" * 201])
    def test_what_is_no_key_is_refused(
        self, database: Database, tasks: TaskManager, flow: Flow, key: str
    ) -> None:
        with pytest.raises(InvalidInput, match="key"):
            tasks.create(flow, GIVEN, actor="cli", idempotency_key=key)

        assert rows(database, IDS) == []


class TestAtTheSameTime:
    def test_many_who_ask_together_get_one_task_and_one_of_them_has_made_it(
        self, database: Database, tasks: TaskManager, flow: Flow, *, full_size: bool
    ) -> None:
        threads, keys = (32, 40) if full_size else (16, 10)
        together = Barrier(threads)
        found: list[Task] = []

        def ask(key: str) -> UUID:
            together.wait(30)
            return tasks.create(
                flow, GIVEN, actor="cli", idempotency_key=key, on_existing=found.append
            ).id

        with ThreadPoolExecutor(threads) as pool:
            made = [set(pool.map(ask, [f"key {n}"] * threads)) for n in range(keys)]

        assert [len(ids) for ids in made] == [1] * keys
        assert len(found) == keys * (threads - 1)
        assert rows(database, IDS) == sorted(task_id for ids in made for task_id in ids)

    def test_who_comes_second_waits_and_finds_what_the_first_has_made(
        self, database: Database, tasks: TaskManager, flow: Flow
    ) -> None:
        made: list[UUID] = []
        with waiting_for(
            database,
            lambda: tasks.create(flow, FlowInput(), actor="cli", idempotency_key=KEY),
            begin=lambda connection: made.append(add_with_key(connection, flow)),
        ) as (first, second):
            first.commit()

            assert second.result(30).id == made[0]

    def test_who_comes_second_makes_it_when_the_first_has_failed(
        self, database: Database, tasks: TaskManager, flow: Flow
    ) -> None:
        with waiting_for(
            database,
            lambda: tasks.create(flow, FlowInput(), actor="cli", idempotency_key=KEY),
            begin=lambda connection: add_with_key(connection, flow),
        ) as (first, second):
            first.rollback()

            assert [second.result(30).id] == rows(database, IDS)


class TestDeletedMeanwhile:
    def test_a_flow_that_was_deleted_is_not_found(
        self, database: Database, tasks: TaskManager, flow: Flow
    ) -> None:
        with database.transaction() as connection:
            connection.execute(delete(FlowRow).where(FlowRow.id == flow.id))

        with pytest.raises(NotFound, match="greeter"):
            tasks.create(flow, GIVEN, actor="cli")

    @pytest.mark.parametrize("kind", [FlowRow, ScheduleRow])
    def test_what_is_being_deleted_is_waited_for_and_not_found(
        self, database: Database, tasks: TaskManager, flow: Flow, kind: Any
    ) -> None:
        schedule_id = add_schedule(database, flow, "nightly")
        with waiting_for(
            database,
            lambda: tasks.create(flow, GIVEN, actor="cli", schedule_id=schedule_id),
            begin=lambda connection: connection.execute(delete(kind)),
        ) as (deleting, creating):
            deleting.commit()

            with pytest.raises(NotFound, match="any more"):
                creating.result(30)


class TestCalls:
    def test_each_call_of_a_flow_carries_the_task_and_the_attempt(
        self, database: Database, settings: Settings
    ) -> None:
        with site_of(database, settings) as site:
            created = site.create("Flaky", "hi")
            site.run(created.id)
            sent_again = {"state": "queued", "queued_at": func.now(), "run_at": func.now()}
            put(database, TaskRow, created.id, **sent_again)
            site.run(created.id)

            keys = [run.idempotency_key for run in site.server.runs]
        assert keys == [f"{created.id}-1", f"{created.id}-2"]
