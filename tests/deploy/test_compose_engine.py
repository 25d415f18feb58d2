"""The project of docker-compose.yml, built, started and stopped by a real engine, where one is."""

import json
import re
import shutil
import subprocess
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.deploy.compose_file import FILE, OUR_IMAGE, ROOT, services

pytestmark = [pytest.mark.system, pytest.mark.timeout(900)]

SECONDS = 120
REMEMBERED = 2_000
"""So many characters of an engine's words are shown of what failed."""


def docker(*words: str, seconds: float = 600) -> "subprocess.CompletedProcess[str]":
    asked = ["docker", *words]
    return subprocess.run(asked, capture_output=True, text=True, timeout=seconds, check=False)


def require(*words: str, reason: str) -> None:
    if docker(*words).returncode:
        pytest.skip(reason)


@pytest.fixture(scope="module")
def _engine() -> None:
    if not shutil.which("docker"):
        pytest.skip("there is no docker on this machine: test_compose_parts.py stands in for it")
    require("info", reason="no Docker engine runs here: test_compose_parts.py stands in for it")
    require("compose", "version", reason="docker has no compose here")
    base = re.findall(
        r"^ARG PYTHON_IMAGE=(\S+)", (ROOT / "deploy/Dockerfile").read_text(), re.MULTILINE
    )
    for image in (*base, services()["postgres"]["image"], services()["redis"]["image"]):
        if docker("image", "inspect", image).returncode:
            require("pull", "--quiet", image, reason=f"the image {image} cannot be had here")


class Project:
    """One of its own, with its volumes."""

    def __init__(self, env_file: Path) -> None:
        self._env_file = env_file
        self._name = f"automagik-test-{uuid.uuid4().hex[:8]}"

    def __call__(self, *words: str) -> str:
        project = ("--file", str(FILE), "--env-file", str(self._env_file), "-p", self._name)
        done = docker("compose", *project, "--profile", "demo", *words)
        assert done.returncode == 0, f"{words}: {done.stdout}{done.stderr}"[-REMEMBERED:]
        return done.stdout

    def healthy(self) -> set[str]:
        lines = self("ps", "--format", "json").splitlines()
        found = (json.loads(line) for line in lines)
        return {each["Service"] for each in found if each.get("Health") == "healthy"}


@pytest.fixture
def project(_engine: None, tmp_path: Path) -> Iterator[Project]:
    built = docker(
        "build",
        "--network",
        "host",
        "-f",
        str(ROOT / "deploy/Dockerfile"),
        "-t",
        OUR_IMAGE,
        str(ROOT),
    )
    assert built.returncode == 0, built.stderr[-REMEMBERED:]
    shutil.copytree(ROOT / "deploy", tmp_path / "deploy")
    shutil.copy(ROOT / ".env.example", tmp_path)
    subprocess.run([tmp_path / "deploy" / "make-env"], check=True, capture_output=True)
    made = Project(tmp_path / ".env")
    yield made
    made("down", "--volumes", "--timeout", "5")


def test_it_comes_up_runs_flows_grows_survives_a_kill_and_goes(project: Project) -> None:
    project("up", "--detach")
    wait_for(project, {"postgres", "redis", "beat-1", "beat-2", "worker", "demo"})

    asked = ("exec", "-T", "worker", "automagik")
    said = project(*asked, "schedules", "trigger", "demo-echo", "--wait")
    assert "Hello from AutoMagik" in said
    assert project("exec", "-T", "worker", "id", "-u").strip() == "10001"
    wrote = "touch /here /var/lib/automagik/here || echo refused"
    assert project("exec", "-T", "worker", "sh", "-c", wrote).strip() == "refused"

    project("up", "--detach", "--no-recreate", "--scale", "worker=2")
    project("kill", "beat-1", "redis")
    project("up", "--detach", "--no-recreate", "--scale", "worker=2")
    wait_for(project, {"redis", "beat-1", "worker"})
    assert "Hello from AutoMagik" in project(*asked, "schedules", "trigger", "demo-echo", "--wait")
    assert project(*asked, "db", "verify") == ""


def wait_for(project: Project, wanted: set[str]) -> None:
    deadline = time.monotonic() + SECONDS
    while not wanted <= project.healthy():
        assert time.monotonic() < deadline, project("ps", "--all")
        time.sleep(1)
