"""Deliveries that come twice, late, too early, or from whoever can write to Redis."""

from collections.abc import Iterator
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from celery import Celery
from sqlalchemy import text

from automagik.core.config import Settings
from automagik.core.tasks.manager import TaskManager
from automagik.demo.server import DemoServer
from tests.system.conftest import Desk
from tests.system.fleet import Fleet
from tests.system.history import violations
from workers.ready_queue import TASK_NAME

pytestmark = [pytest.mark.system, pytest.mark.parametrize("pool", ["threads", "prefork"])]

TIMES = 3


class Bomb:
    """Makes a file when it is unpickled."""

    def __init__(self, file: Path) -> None:
        self._file = file

    def __reduce__(self) -> tuple[object, ...]:
        return Path.touch, (self._file,)


@pytest.fixture
def sender(settings: Settings) -> Iterator[Celery]:
    """Sends to the broker what it likes."""
    with Celery(broker=settings.require_redis_url(), set_as_current=False) as app:
        app.conf.task_default_queue = settings.queue
        yield app


def test_a_delivery_that_comes_again_is_ignored(
    fleet: Fleet, desk: Desk, demo_server: DemoServer, sender: Celery, pool: str
) -> None:
    """While its run goes on, and after it. There is no beat, so only the test sends."""
    task = desk.run("Slow", tweaks={"SleepComponent-slow": {"seconds": 0.5}})
    for _ in range(TIMES):
        sender.send_task(TASK_NAME, (str(task.id),), task_id=str(task.id))
    worker = fleet.worker("-P", pool, "-c", "2")
    fleet.wait_for("SELECT state = 'completed' FROM tasks")
    sender.send_task(TASK_NAME, (str(task.id),), task_id=str(task.id))

    ignored = f"{TASK_NAME}[{task.id}] ignored"
    fleet.wait_until(
        lambda: worker.tail(1000).count(ignored) == TIMES,
        seconds=20,
        what="one line in the log for each delivery too many",
    )
    assert len(demo_server.runs) == 1
    assert fleet.value("SELECT attempt FROM tasks") == 1
    assert violations(fleet.database) == []


def test_a_forged_delivery_changes_nothing_and_leaves_one_line(
    fleet: Fleet, desk: Desk, demo_server: DemoServer, sender: Celery, tmp_path: Path, *, pool: str
) -> None:
    worker = fleet.worker("-P", pool, "-c", "2")
    trap = tmp_path / "the bomb went off"
    before = [*_not_to_be_run(desk), uuid4()]
    rows = _rows(fleet)

    forged = [sender.send_task(TASK_NAME, (str(id_),), task_id=str(id_)).id for id_ in before]
    for name, arguments, serializer in (
        (TASK_NAME, (str(before[0]),), "json"),
        (TASK_NAME, ("not-a-uuid",), "json"),
        (TASK_NAME, (7,), "json"),
        (TASK_NAME, (), "json"),
        ("os.system", ("true",), "json"),
        (TASK_NAME, (Bomb(trap),), "pickle"),
    ):
        forged.append(sender.send_task(name, arguments, serializer=serializer).id)

    def are_ignored_once() -> bool:
        log = worker.tail(1000)
        return all(log.count(f"{TASK_NAME}[{id_}] ignored") == 1 for id_ in forged)

    fleet.wait_until(are_ignored_once, seconds=20, what="one line in the log for each")
    assert _rows(fleet) == rows
    assert demo_server.runs == []
    assert not trap.exists()
    assert "Traceback" not in worker.tail(1000)

    fleet.beat()
    genuine = desk.run("Echo", "genuine")
    fleet.wait_for("SELECT state = 'completed' FROM tasks WHERE id = :id", id=genuine.id)
    assert worker.poll() is None
    assert violations(fleet.database) == []


def _not_to_be_run(desk: Desk) -> list[UUID]:
    """A cancelled task, a paused one, one whose time has not come, one that waits to be retried."""
    cancelled, paused, early, waiting = (desk.run("Echo").id for _ in range(4))
    TaskManager(desk.database, desk.settings).cancel(cancelled, actor="test")
    with desk.database.transaction() as connection:
        pause = text("UPDATE tasks SET state = 'paused' WHERE id = :id")
        connection.execute(pause, {"id": paused})
        postpone = text("UPDATE tasks SET run_at = now() + interval '1 hour' WHERE id = ANY(:ids)")
        connection.execute(postpone, {"ids": [early, waiting]})
        for state in ("queued", "waiting"):
            change = text("UPDATE tasks SET state = :state WHERE id = :id")
            connection.execute(change, {"state": state, "id": waiting})
    return [cancelled, paused, early, waiting]


def _rows(fleet: Fleet) -> list[str]:
    tables = ("tasks", "task_attempts", "task_events", "task_logs")
    return [
        str(row) for table in tables for row in fleet.rows(f"SELECT * FROM {table} ORDER BY 1, 2")
    ]
