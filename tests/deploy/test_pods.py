"""What the chart starts really starts, and its probes tell the living from the silent."""

import base64
import secrets
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest
import requests
from cryptography.fernet import Fernet

from automagik.core.embedded import ports
from automagik.core.embedded.processes import ChildProcess
from automagik.demo.server import DemoServer
from tests.deploy.chart import NEEDS_HELM, Workload, workloads
from tests.deploy.pods import Pod, pods_can_run

pytestmark = [
    *NEEDS_HELM,
    pytest.mark.skipif(not pods_can_run(), reason="only root may make namespaces"),
]

START_SECONDS = 40.0
METRICS, FLOWER = "9464", "5555"
SIGN_IN = ("admin", "a-password")


@pytest.fixture(scope="module")
def demo_server() -> Iterator[DemoServer]:
    with DemoServer() as server:
        yield server


@pytest.fixture
def secret_files(
    empty_database_url: str, redis_url: str, demo_server: DemoServer, tmp_path: Path
) -> Path:
    folder = tmp_path / "secrets"
    folder.mkdir()
    files = {
        "DATABASE_URL": empty_database_url,
        "REDIS_URL": redis_url,
        "AUTOMAGIK_SECRET_KEY": Fernet.generate_key().decode(),
        "LANGFLOW_API_KEY": demo_server.api_key,
        "FLOWER_BASIC_AUTH": ":".join(SIGN_IN),
    }
    for name, value in files.items():
        (folder / name).write_text(value)
    return folder


@pytest.fixture
def pods(secret_files: Path, demo_server: DemoServer, tmp_path: Path) -> dict[str, Pod]:
    """One of each workload, by its component; workers by their pool."""
    given = (
        f"settings.LANGFLOW_API_URL={demo_server.url}",
        "secrets.langflowApiKey.name=automagik",
        "workers[0].name=default,workers[1].name=gpu,workers[1].queues[0]=gpu",
        "flower.enabled=true,flower.basicAuth.name=flower",
    )
    own = {name: ports.free_port() for name in (METRICS, FLOWER)}

    def pod(workload: Workload) -> Pod:
        name = workload.manifest["metadata"]["name"]
        hostname = f"{name}-{secrets.token_hex(5)}-{secrets.token_hex(2)}"
        folder = tmp_path / hostname
        return Pod(
            workload=workload, hostname=hostname, folder=folder, secrets=secret_files, ports=own
        )

    found = workloads("defaults", "--set", ",".join(given))
    return {each.labels.get("automagik/pool", each.component): pod(each) for each in found}


@pytest.fixture
def started(pods: dict[str, Pod]) -> Iterator[Callable[[str], ChildProcess]]:
    children: list[ChildProcess] = []

    def start(name: str) -> ChildProcess:
        children.append(pods[name].start())
        return children[-1]

    yield start
    for child in children:
        child.stop()


def test_an_install_runs_a_flow(
    pods: dict[str, Pod], started: Callable[[str], ChildProcess]
) -> None:
    worker, beat = pods["default"], pods["beat"]
    assert worker.run(*worker.startup()).returncode == 6  # there are no tables yet
    migrated = pods["migrate"].run_to_its_end()
    assert migrated.returncode == 0, migrated.stderr
    assert worker.run(*worker.startup()).returncode == 1  # it has not started

    running = {name: started(name) for name in ("beat", "default", "gpu", "metrics", "flower")}
    for name in ("beat", "default", "gpu"):
        _until_it_starts(pods[name], running[name])
        assert pods[name].run(*pods[name].liveness()).returncode == 0

    assert worker.run("automagik", "flows", "sync").returncode == 0
    ran = worker.run("automagik", "flows", "run", "Echo", "--input", "Good morning", "--wait")
    assert ran.returncode == 0, ran.stderr
    assert "Good morning" in ran.stdout
    examined = pods["test"].run_to_its_end()
    assert examined.returncode == 0, examined.stdout
    _metrics_are_told(pods["metrics"].ports, running["metrics"])
    _flower_wants_a_password(pods["flower"].ports, running["flower"])

    _a_stopped_one_is_not_alive(worker, running["default"])
    assert beat.run(*beat.liveness(), **_away(beat)).returncode == 0
    assert beat.run(*beat.startup(), **_away(beat)).returncode == 5


def test_a_pod_can_write_to_its_tmp_alone(pods: dict[str, Pod]) -> None:
    beat = pods["beat"]

    assert beat.run("sh", "-c", 'touch "$TMPDIR/a"').returncode == 0
    for place in ("/var/lib", "/var/tmp", str(Path.cwd()), str(beat.secrets)):
        assert "Read-only" in beat.run("touch", f"{place}/a").stderr
    who = beat.run("sh", "-c", "id -u; hostname; grep CapEff /proc/self/status").stdout.split()
    assert who == ["10001", beat.hostname, "CapEff:", "0" * 16]


def _until_it_starts(pod: Pod, child: ChildProcess) -> None:
    child.wait_until(lambda: pod.run(*pod.startup()).returncode == 0, seconds=START_SECONDS)


def _metrics_are_told(own: Mapping[str, int], child: ChildProcess) -> None:
    url = f"http://127.0.0.1:{own[METRICS]}/metrics"
    child.wait_until(lambda: _status(url) == 200, seconds=START_SECONDS)
    told = requests.get(url, timeout=10).text

    assert 'automagik_queue_workers{queue="gpu"} 1.0' in told
    assert 'automagik_queue_running{queue="automagik"} 0.0' in told


def _flower_wants_a_password(own: Mapping[str, int], child: ChildProcess) -> None:
    url = f"http://127.0.0.1:{own[FLOWER]}"
    child.wait_until(lambda: _status(f"{url}/healthcheck") == 200, seconds=START_SECONDS)

    assert _status(f"{url}/workers") == 401
    sign_in = base64.b64encode(":".join(SIGN_IN).encode()).decode()
    assert _status(f"{url}/workers", Authorization=f"Basic {sign_in}") == 200


def _a_stopped_one_is_not_alive(pod: Pod, child: ChildProcess) -> None:
    begun = time.monotonic()
    assert child.stop() == 0
    assert time.monotonic() - begun < pod.workload.pod["terminationGracePeriodSeconds"]
    assert pod.run(*pod.liveness()).returncode == 1


def _away(pod: Pod) -> dict[str, str]:
    """A database that nobody listens for."""
    nowhere = pod.folder / "nowhere"
    nowhere.write_text(f"postgresql://u@127.0.0.1:{ports.free_port()}/d")
    return {"DATABASE_URL_FILE": str(nowhere)}


def _status(url: str, **headers: str) -> int:
    try:
        return requests.get(url, timeout=10, headers=headers).status_code
    except requests.ConnectionError:
        return 0
