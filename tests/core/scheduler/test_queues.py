"""Queues: their names, what waits in them, pausing and resuming."""

from datetime import timedelta

import pytest

from automagik.core import queues as module
from automagik.core.config import Settings
from automagik.core.database.models import WorkerRow
from automagik.core.database.session import WAKE, Database
from automagik.core.exceptions import InvalidInput, NotFound
from automagik.core.queues import QueueManager, ensure_queue
from automagik.core.tasks.presence import register_worker
from automagik.core.tasks.states import TaskState
from tests.core.records import add_task, now, put, rows
from tests.core.tasks.rows import add_flow

HOUR = timedelta(hours=1)


@pytest.fixture
def queues(database: Database, settings: Settings) -> QueueManager:
    return QueueManager(database, settings)


def add_queue(database: Database, name: str) -> None:
    with database.transaction() as connection:
        ensure_queue(connection, name)


def names(database: Database) -> set[str]:
    return set(rows(database, "SELECT name FROM queues"))


def bind(database: Database, *queues: str, slots: int = 10, **columns: object) -> None:
    """A worker takes from these queues."""
    with database.transaction() as connection:
        worker = register_worker(
            connection,
            name="worker@here",
            hostname="here",
            pid=1,
            pool="threads",
            slots=slots,
            queues=list(queues),
        )
    if columns:
        put(database, WorkerRow, worker.id, **columns)


class TestNames:
    @pytest.mark.parametrize("name", ["gpu", "A", "7", "eu-west_1.slow", "x" * 63, "celery"])
    def test_a_valid_name_becomes_a_row_once(self, database: Database, name: str) -> None:
        add_queue(database, name)
        add_queue(database, name)

        assert names(database) == {"automagik", name}

    @pytest.mark.parametrize(
        "name",
        [
            "",
            " ",
            "-x",
            ".x",
            "_x",
            "x" * 64,
            "a b",
            "a,b",
            "a:b",
            "a/b",
            "a\n",
            "größe",
            "x\x06\x163",
        ],
    )
    def test_other_names_are_refused(self, database: Database, name: str) -> None:
        with pytest.raises(InvalidInput, match="no name") as refused:
            add_queue(database, name)

        assert refused.value.hint
        assert names(database) == {"automagik"}

    @pytest.mark.parametrize(
        "name",
        ["celeryev", "celeryev.7", "celery.pidbox", "w.reply.celery.pidbox", "unacked_mutex"],
    )
    def test_a_name_that_celery_uses_is_refused(self, database: Database, name: str) -> None:
        with pytest.raises(InvalidInput, match="Celery"):
            add_queue(database, name)


class TestList:
    def test_the_default_queue_is_there_before_anything_else(self, queues: QueueManager) -> None:
        [queue] = queues.list()

        assert queue.name == "automagik"
        assert (queue.paused_at, queue.due, queue.queued, queue.running) == (None, 0, 0, 0)
        assert (queue.workers, queue.slots) == (0, 0)

    def test_tasks_are_counted_by_queue_and_state(
        self, database: Database, queues: QueueManager
    ) -> None:
        add_queue(database, "gpu")
        flow = add_flow(database)
        for state in (
            TaskState.PENDING,
            TaskState.WAITING,
            TaskState.QUEUED,
            TaskState.RUNNING,
            TaskState.PAUSED,
            TaskState.COMPLETED,
        ):
            add_task(database, flow, state=state, queue="gpu")
        add_task(database, flow, queue="gpu", run_at=now(database) + HOUR)
        add_task(database, flow)

        default, gpu = queues.list()

        assert (default.due, default.queued, default.running) == (1, 0, 0)
        assert (gpu.name, gpu.due, gpu.queued, gpu.running) == ("gpu", 2, 1, 1)

    def test_a_backlog_is_counted_so_far_and_no_further(
        self, database: Database, queues: QueueManager, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(module, "MOST_COUNTED", 3)
        add_queue(database, "gpu")
        flows = [add_flow(database, name) for name in ("a", "b")]
        for number in range(4):
            add_task(database, flows[number % 2], run_at=now(database) - (number + 1) * HOUR)
        add_task(database, flows[0], state=TaskState.QUEUED)
        add_task(database, flows[1], queue="gpu")

        default, gpu = queues.list()

        assert (default.due, default.queued, default.waiting) == (3, 1, "4+")
        assert default.oldest_age is not None
        assert default.oldest_age >= 4 * HOUR
        assert (gpu.due, gpu.waiting) == (1, "1")

    def test_workers_count_in_each_of_their_queues_while_they_take_deliveries(
        self, database: Database, queues: QueueManager
    ) -> None:
        bind(database, "automagik", "gpu", slots=4)
        bind(database, "gpu", slots=2)
        bind(database, "gpu", status="draining")
        bind(database, "gpu", heartbeat_at=now(database) - HOUR)

        found = {queue.name: (queue.workers, queue.slots) for queue in queues.list()}

        assert found == {"automagik": (1, 4), "gpu": (2, 6)}

    def test_the_default_is_first_and_a_queue_without_a_row_is_not_hidden(
        self, database: Database, queues: QueueManager
    ) -> None:
        add_queue(database, "a")
        add_task(database, add_flow(database), queue="b")

        assert [queue.name for queue in queues.list()] == ["automagik", "a", "b"]


class TestPause:
    def test_it_keeps_instant_and_reason(self, database: Database, queues: QueueManager) -> None:
        add_queue(database, "gpu")
        before = now(database)
        queue = queues.pause("gpu", reason="new driver")

        assert queue.paused_at is not None
        assert before < queue.paused_at < now(database)
        assert queue.pause_reason == "new driver"
        assert queues.list()[0].paused_at is None

    def test_twice_is_once_and_a_new_reason_replaces_the_old(self, queues: QueueManager) -> None:
        first = queues.pause("automagik", reason="why")

        assert queues.pause("automagik") == first
        other = queues.pause("automagik", reason="another")
        assert (other.paused_at, other.pause_reason) == (first.paused_at, "another")

    def test_resuming_takes_both_away_and_wakes_beats(
        self, database: Database, queues: QueueManager
    ) -> None:
        queues.pause("automagik", reason="why")
        with database.listen(WAKE) as listener:
            queue = queues.resume("automagik")
            assert listener.wait(timedelta(seconds=5)) == [""]

        assert (queue.paused_at, queue.pause_reason) == (None, None)

    def test_the_default_can_be_resumed_before_anything_else(self, queues: QueueManager) -> None:
        assert queues.resume("automagik").paused_at is None

    def test_an_unknown_queue_is_not_made_and_the_nearest_is_named(
        self, database: Database, queues: QueueManager
    ) -> None:
        add_queue(database, "gpu-large")
        for act in (queues.pause, queues.resume):
            with pytest.raises(NotFound) as missing:
                act("gpu-lagre")
            assert "'gpu-large'" in (missing.value.hint or "")

        assert names(database) == {"automagik", "gpu-large"}

    def test_without_a_near_name_the_hint_is_the_list(self, queues: QueueManager) -> None:
        with pytest.raises(NotFound) as missing:
            queues.pause("xyz")

        assert "automagik queues list" in (missing.value.hint or "")
