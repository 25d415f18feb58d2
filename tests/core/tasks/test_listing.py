"""Which tasks a list shows, page by page, and what reading it costs."""

import random
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import event, insert, text

from automagik.core.database.models import TaskRow
from automagik.core.database.session import Database
from automagik.core.exceptions import NotFound
from automagik.core.flows.flow_input import FlowInput
from automagik.core.flows.values import Flow
from automagik.core.tasks import listing
from automagik.core.tasks.listing import ALL, TaskFilter
from automagik.core.tasks.manager import TaskManager
from automagik.core.tasks.states import FINAL, TaskState
from automagik.core.tasks.values import Task
from tests.core.tasks.rows import add_flow, add_schedule, add_worker, start

MIDNIGHT = datetime(2026, 11, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)
STATES = [TaskState.PENDING, TaskState.COMPLETED, TaskState.FAILED, TaskState.CANCELLED]


def all_pages(tasks: TaskManager, wanted: TaskFilter, *, limit: int) -> list[UUID]:
    page = tasks.list(wanted, limit=limit)
    found = [task.id for task in page.tasks]
    while page.following is not None:
        page = tasks.list(wanted, limit=limit, after=page.following)
        found += [task.id for task in page.tasks]
    return found


def task_ids(tasks: Sequence[Task]) -> list[UUID]:
    return [task.id for task in tasks]


@st.composite
def filters(draw: st.DrawFn) -> dict[str, Any]:
    hours = st.none() | st.integers(-1, 13).map(lambda hour: MIDNIGHT + hour * HOUR)
    return {
        "flow": draw(st.sampled_from([None, "even", "odd"])),
        "states": draw(st.lists(st.sampled_from(STATES), max_size=3)),
        "since": draw(hours),
        "until": draw(hours),
        "error_code": draw(st.sampled_from([None, "AM-A", "AM-B"])),
        "search": draw(st.sampled_from([None, "NEEDLE", "50%"])),
    }


class Made:
    """The rows that a list is compared with; too many to be shown."""

    def __init__(self, rows: list[dict[str, Any]]) -> None:
        self.rows = rows


class TestAgainstReference:
    """What a list finds is what reading everything would."""

    @pytest.fixture
    def made(self, database: Database) -> Made:
        """A task each ten minutes, by clocks from an hour behind to ten minutes ahead."""
        flows = [add_flow(database, "even"), add_flow(database, "odd")]
        chance = random.Random(7)
        rows = [_row(flows[number % 2], number, chance) for number in range(70)]
        with database.transaction() as connection:
            connection.execute(insert(TaskRow), rows)
        return Made([row | {"flow": "odd" if n % 2 else "even"} for n, row in enumerate(rows)])

    @given(wanted=filters(), limit=st.integers(1, 30), stride=st.integers(1, 80))
    @settings(
        max_examples=60,
        deadline=None,
        suppress_health_check=[HealthCheck.function_scoped_fixture],
    )
    def test_every_page_of_every_filter(
        self,
        tasks: TaskManager,
        made: Made,
        wanted: dict[str, Any],
        limit: int,
        stride: int,
    ) -> None:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(listing, "STRIDE", stride)
            found = all_pages(tasks, TaskFilter(**wanted), limit=limit)

        expected = [row["id"] for row in made.rows if _fits(row, wanted)]
        assert found == sorted(expected, reverse=True)


def _row(flow: Flow, number: int, chance: random.Random) -> dict[str, Any]:
    state = chance.choice(STATES)
    made_at = MIDNIGHT + number * timedelta(minutes=10)
    host_says = made_at + chance.uniform(-1, 1 / 6) * HOUR
    failed = state is TaskState.FAILED
    return {
        "id": UUID(int=int(host_says.timestamp() * 1000) << 80 | 7 << 76 | 2 << 62 | number),
        "flow_id": flow.id,
        "flow_version_id": flow.version_id,
        "source_id": flow.source_id,
        "max_retries": 0,
        "max_attempts": 1,
        "timeout_seconds": 1,
        "state": state,
        "finished_at": made_at if state in FINAL else None,
        "created_at": made_at,
        "tweaks": {},
        "input_value": chance.choice(["", "a Needle in hay", "50% off", "50 off"]),
        "error_code": chance.choice(["AM-A", "AM-B"]) if failed else None,
        "error_message": chance.choice(["needle", "no"]) if failed else None,
    }


def _fits(row: dict[str, Any], wanted: dict[str, Any]) -> bool:
    said = f"{row['input_value']}\n{row['error_message']}".lower()
    return (
        wanted["flow"] in (None, row["flow"])
        and (not wanted["states"] or row["state"] in wanted["states"])
        and (wanted["since"] is None or row["created_at"] >= wanted["since"])
        and (wanted["until"] is None or row["created_at"] < wanted["until"])
        and wanted["error_code"] in (None, row["error_code"])
        and (wanted["search"] is None or wanted["search"].lower() in said)
    )


class TestWorker:
    def test_a_worker_is_meant_by_name_host_or_id(
        self, database: Database, tasks: TaskManager, task: Task
    ) -> None:
        worker_id = add_worker(database, "a@one")
        start(database, task.id, worker_id=worker_id)
        other = tasks.create(add_flow(database, "other"), FlowInput(), actor="t")
        start(database, other.id, worker_id=add_worker(database, "b@two"))

        for reference in ("a@one", str(worker_id), str(worker_id)[:-1]):
            assert task_ids(tasks.list(TaskFilter(worker=reference)).tasks) == [task.id]
        both = tasks.list(TaskFilter(worker="here")).tasks
        assert task_ids(both) == [other.id, task.id]

    def test_an_unknown_one_is_not_found(self, tasks: TaskManager) -> None:
        with pytest.raises(NotFound, match="no worker 'nobody'"):
            tasks.list(TaskFilter(worker="nobody"))


class TestList:
    def test_the_newest_come_first_page_by_page(
        self, database: Database, tasks: TaskManager
    ) -> None:
        flow = add_flow(database)
        made = [tasks.create(flow, FlowInput(), actor="t").id for _ in range(5)]

        first = tasks.list(limit=2)
        second = tasks.list(limit=9, after=first.following)

        assert [t.id for t in [*first.tasks, *second.tasks]] == made[::-1]
        assert second.following is None

    def test_filters_narrow_it_to_flows_and_states(
        self, database: Database, tasks: TaskManager, task: Task
    ) -> None:
        other = tasks.create(add_flow(database, "other"), FlowInput(), actor="t")
        start(database, other.id)

        def found(**wanted: object) -> list[object]:
            return [t.id for t in tasks.list(TaskFilter(**wanted)).tasks]  # type: ignore[arg-type]

        assert found(flow="GREETER") == [task.id]
        assert found(states=[TaskState.RUNNING]) == [other.id]
        assert found(states=[TaskState.RUNNING, TaskState.PENDING]) == [other.id, task.id]
        assert found(states=[TaskState.FAILED]) == []
        assert found(flow="other", states=[TaskState.PENDING]) == []
        with pytest.raises(NotFound, match="greetr"):
            found(flow="greetr")

    def test_a_filter_by_schedule_finds_its_tasks_alone(
        self, database: Database, tasks: TaskManager
    ) -> None:
        flow = add_flow(database)
        schedule_id = add_schedule(database, flow, "nightly")
        tasks.create(flow, FlowInput(), actor="t")
        of_schedule = tasks.create(flow, FlowInput(), actor="t", schedule_id=schedule_id)

        found = tasks.list(TaskFilter(schedule="nightly"))

        assert found.tasks == [of_schedule]
        assert of_schedule.schedule_name == "nightly"

    @pytest.mark.parametrize(
        "wanted",
        [
            ALL,
            TaskFilter(states=[TaskState.FAILED]),
            TaskFilter(states=[TaskState.COMPLETED, TaskState.RUNNING]),
            TaskFilter(flow="greeter"),
            TaskFilter(flow="greeter", states=[TaskState.COMPLETED]),
            TaskFilter(since=MIDNIGHT),
            TaskFilter(error_code="AM-A"),
            TaskFilter(worker="worker@here"),
        ],
        ids=["all", "one state", "two states", "a flow", "both", "a time", "an error", "a worker"],
    )
    def test_a_list_reads_an_index_and_neither_answers_nor_outputs(
        self, database: Database, tasks: TaskManager, task: Task, wanted: TaskFilter
    ) -> None:
        _multiply(database, task, times=5_000)
        add_worker(database)
        statements: list[tuple[str, object]] = []
        event.listen(
            database.engine,
            "before_cursor_execute",
            lambda _c, _cur, sql, parameters, *_: statements.append((sql, parameters)),
        )

        tasks.list(wanted)

        sql, parameters = statements[-1]
        with database.engine.connect() as connection:
            plan = "\n".join(
                row[0]
                for row in connection.exec_driver_sql(f"EXPLAIN {sql}", parameters)  # type: ignore[arg-type]
            )
        assert "Seq Scan on tasks" not in plan
        assert "output_text" not in sql
        assert "tasks.result" not in sql


def _multiply(database: Database, task: Task, *, times: int) -> None:
    """Completed copies, in a table that PostgreSQL knows the size of."""
    with database.transaction() as connection:
        connection.execute(
            text("""
            INSERT INTO tasks (id, flow_id, flow_version_id, source_id, max_retries, max_attempts,
                timeout_seconds, state, finished_at)
            SELECT gen_random_uuid(), flow_id, flow_version_id, source_id, 3, 4, 60, 'completed',
                now()
            FROM tasks, generate_series(1, :times) WHERE id = :id
            """),
            {"id": task.id, "times": times},
        )
        connection.execute(text("ANALYZE tasks"))
