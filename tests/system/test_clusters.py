"""End to end on pytest-celery's clusters, which here are processes and need no Docker.

Schedule, beat, broker, worker, LangFlow's stand-in, rows: every part is the real one.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path

import kombu.pools
import pytest
from celery import Celery, current_app
from pytest_celery import CeleryBrokerCluster, CeleryTestSetup, CeleryWorkerCluster, RedisTestBroker

from automagik.core.config import Settings
from automagik.demo.server import DemoServer
from tests.system.clusters import LocalRedis, LocalWorker, WorkerNode
from tests.system.conftest import Desk
from tests.system.fleet import Fleet
from tests.system.history import violations

pytestmark = pytest.mark.system

SLOTS = 2
NODES = ("node1", "node2")


@pytest.fixture(scope="session")
def docker_client() -> None:
    """Whatever of the plugin needs Docker asks for this."""
    pytest.fail("A node is a process here: nothing may ask for Docker.")


@pytest.fixture
def celery_broker_cluster(tmp_path: Path) -> Iterator[CeleryBrokerCluster]:
    node = RedisTestBroker(LocalRedis.launch(tmp_path))
    cluster = CeleryBrokerCluster(node)
    assert cluster.ready()
    yield cluster
    node.teardown()


@pytest.fixture
def celery_backend_cluster() -> None:
    """There is none: results are in PostgreSQL."""


@pytest.fixture
def default_worker_container_cls() -> type[LocalWorker]:
    return LocalWorker


@pytest.fixture
def celery_worker_cluster(
    settings: Settings,
    tmp_path: Path,
    default_worker_command: list[str],
    default_worker_env: Mapping[str, str],
    default_worker_app: Celery,
) -> Iterator[CeleryWorkerCluster]:
    """On their way, but not ready yet."""
    command = [*default_worker_command, "--concurrency", str(SLOTS)]
    nodes = [
        WorkerNode(
            LocalWorker.launch(name, command=command, env=default_worker_env, logs=tmp_path),
            app=default_worker_app,
        )
        for name in NODES
    ]
    yield CeleryWorkerCluster(*nodes)
    for node in nodes:
        node.teardown()


@pytest.fixture
def celery_setup_app(
    celery_setup_cls: type[CeleryTestSetup],
    celery_setup_config: Mapping[str, str],
    celery_setup_name: str,
) -> Iterator[Celery]:
    """As the plugin makes it; but afterwards Celery is as it was before."""
    before = current_app._get_current_object()
    how = {"celery_setup_config": celery_setup_config, "celery_setup_app_name": celery_setup_name}
    with celery_setup_cls.create_setup_app(**how) as app:
        yield app
    before.set_current()
    kombu.pools.reset()  # type: ignore[no-untyped-call]


@pytest.fixture
def cluster(celery_setup: CeleryTestSetup, fleet: Fleet) -> CeleryTestSetup:
    """Two workers, their broker and a beat, all of them ready."""
    fleet.beat(REDIS_URL=celery_setup.broker.config()["url"])
    assert celery_setup.ready(docker=True)
    return celery_setup


def test_a_schedule_runs_through_the_cluster(
    cluster: CeleryTestSetup, fleet: Fleet, desk: Desk, demo_server: DemoServer
) -> None:
    schedule = desk.schedule("Echo", "interval", "1s")
    done = "SELECT count(*) >= 3 FROM tasks WHERE schedule_id = :id AND state = 'completed'"
    fleet.wait_for(done, id=schedule.id)
    tasks = fleet.rows("SELECT * FROM tasks WHERE state = 'completed'")
    for task in tasks:
        assert task.output_text == "on time"
        assert task.result["session_id"] == str(task.id)
        [attempt] = fleet.rows("SELECT * FROM task_attempts WHERE task_id = :id", id=task.id)
        assert (attempt.outcome, attempt.http_status) == ("completed", 200)
        assert attempt.worker_name in {node.hostname() for node in cluster.worker_cluster}
        said = fleet.rows(
            "SELECT message FROM task_logs WHERE task_id = :id ORDER BY id", id=task.id
        )
        assert [line.message for line in said][:: len(said) - 1] == [
            f"attempt 1 of 4 on {attempt.worker_name}",
            "completed",
        ]
    called = [run for run in demo_server.runs if run.outcome == "completed"]
    assert {run.session_id for run in called} >= {str(task.id) for task in tasks}
    assert violations(fleet.database) == []


def test_both_workers_answer_and_share_the_work(
    cluster: CeleryTestSetup, fleet: Fleet, desk: Desk
) -> None:
    names = [node.hostname() for node in cluster.worker_cluster]
    answers = cluster.app.control.ping(destination=names, timeout=10)
    assert sorted(name for answer in answers for name in answer) == names
    assert all(pong == {"ok": "pong"} for answer in answers for pong in answer.values())

    for number in range(12):
        desk.run("Slow", str(number), tweaks=_lasting(0.5))
    fleet.wait_for("SELECT count(*) = 12 FROM tasks WHERE state = 'completed'")
    assert _workers_of_runs(fleet) == set(names)
    most = "SELECT max(c) FROM (SELECT count(*) c FROM task_attempts GROUP BY worker_name) s"
    assert fleet.value(most) <= 12 - SLOTS, "neither did nearly all of it"
    assert violations(fleet.database) == []


def test_a_killed_node_takes_up_work_again_after_its_restart(
    cluster: CeleryTestSetup, fleet: Fleet, desk: Desk, demo_server: DemoServer
) -> None:
    task = desk.run("Slow", "survivor", tweaks=_lasting(1))
    demo_server.wait_for_runs(lambda runs: len(runs) == 1)
    [busy] = _workers_of_runs(fleet)
    node = next(node for node in cluster.worker_cluster if node.hostname() == busy)
    node.kill()
    assert node.container.status == "exited"
    fleet.wait_for("SELECT state = 'completed' FROM tasks WHERE id = :id", id=task.id)
    outcomes = fleet.rows("SELECT worker_name, outcome FROM task_attempts ORDER BY attempt")
    [other] = {node.hostname() for node in cluster.worker_cluster} - {busy}
    assert [tuple(row) for row in outcomes] == [(busy, "worker_lost"), (other, "completed")]

    node.restart()
    later = [desk.run("Slow", str(number), tweaks=_lasting(0.5)) for number in range(8)]
    fleet.wait_for("SELECT count(*) = 9 FROM tasks WHERE state = 'completed'")
    assert _workers_of_runs(fleet, since=later[0].created_at) == {busy, other}
    assert violations(fleet.database) == []


def test_a_broker_that_forgets_everything_loses_no_run(
    cluster: CeleryTestSetup, fleet: Fleet, desk: Desk, demo_server: DemoServer
) -> None:
    """It is restarted in the middle, with deliveries waiting; no run starts a second time."""
    for number in range(40):
        desk.run("Slow", str(number), tweaks=_lasting(0.3))
    fleet.wait_for("SELECT count(*) >= 4 FROM tasks WHERE state = 'completed'")
    queued = "SELECT count(*) FROM tasks WHERE state = 'queued'"
    assert fleet.value(queued) > 2 * len(NODES) * SLOTS, "deliveries wait in the broker"
    cluster.broker.restart()
    fleet.wait_for("SELECT count(*) = 40 FROM tasks WHERE state = 'completed'", seconds=60)
    assert len(demo_server.runs) == 40
    assert fleet.value("SELECT max(attempt) FROM tasks") == 1
    assert violations(fleet.database) == []


def _lasting(seconds: float) -> Mapping[str, Mapping[str, object]]:
    return {"SleepComponent-slow": {"seconds": seconds}}


def _workers_of_runs(fleet: Fleet, *, since: object = "-infinity") -> set[str]:
    query = "SELECT DISTINCT worker_name FROM task_attempts WHERE started_at >= :since"
    return {row.worker_name for row in fleet.rows(query, since=since)}
