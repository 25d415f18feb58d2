"""What docker-compose.yml starts, started as processes: where no engine is, this stands in for it.

Commands, environments and health checks are those of the file; only ports, and the names of hosts
in URLs, are of this machine. Isolation, volumes and the network are what an engine alone can show.
"""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import redis
from cryptography.fernet import Fernet
from redis.exceptions import AuthenticationError
from redis.exceptions import ConnectionError as RedisConnectionError

from automagik.core.embedded import ports
from automagik.core.embedded.binaries import find_redis
from tests.deploy.compose_file import ROOT, example_variables, interpolated, services

pytestmark = pytest.mark.system

SECONDS = 40
LONG_RUNNING = ("beat-1", "worker", "flower", "metrics", "demo")
PUBLISHED = ("5555", "9464", "7870")
"""The ports that our containers listen on."""


class Parts:
    """The services of the file on this machine."""

    def __init__(
        self, folder: Path, addresses: Mapping[str, str], moved: Mapping[str, str]
    ) -> None:
        self._folder = folder
        self._variables = {
            name: Fernet.generate_key().decode() if "SECRET_KEY" in name else f"secret{index}"
            for index, (name, is_set) in enumerate(example_variables().items())
            if is_set
        }
        self._moved = {"/etc/automagik/": f"{folder}/", "0.0.0.0": "127.0.0.1", **moved}
        self._addresses = addresses
        demo = (ROOT / "deploy" / "demo.yaml").read_text()
        (folder / "demo.yaml").write_text(self._here(demo))

    def words(self, command: list[str]) -> list[str]:
        return [self._here(interpolated(word, self._variables)) for word in command]

    def environment(self, name: str) -> dict[str, str]:
        """Nothing of this machine's but where programs are."""
        said = {
            key: interpolated(str(value), self._variables)
            for key, value in services()[name]["environment"].items()
        }
        for key in said.keys() & self._addresses.keys():
            said[key] = self._addresses[key]
        path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
        home = {"HOME": str(self._folder), "AUTOMAGIK_HOME": str(self._folder / "home")}
        return {"PATH": path, "PYTHONPATH": str(ROOT), **home, **said}

    def _here(self, text: str) -> str:
        for old, new in self._moved.items():
            text = text.replace(old, new)
        return text

    def run(self, name: str) -> None:
        """To its end."""
        subprocess.run(
            self.words(services()[name]["command"]),
            env=self.environment(name),
            cwd=self._folder,
            check=True,
            timeout=SECONDS,
        )

    @contextmanager
    def running(self, *names: str) -> Iterator[list["subprocess.Popen[bytes]"]]:
        """Stopped as an engine stops them, and they must end well."""
        processes = [self._started(name) for name in names]
        try:
            yield processes
            for each in processes:
                each.terminate()
            assert [each.wait(SECONDS) for each in processes] == [0] * len(names), names
        finally:
            for each in processes:
                each.kill()
                each.wait()

    def _started(self, name: str) -> "subprocess.Popen[bytes]":
        return subprocess.Popen(
            self.words(services()[name]["command"]),
            env=self.environment(name),
            cwd=self._folder,
            start_new_session=True,
        )

    def is_healthy(self, name: str) -> bool:
        kind, *command = services()[name]["healthcheck"]["test"]
        assert kind == "CMD"
        checked = subprocess.run(
            self.words(command),
            env=self.environment(name),
            cwd=self._folder,
            check=False,
            capture_output=True,
        )
        return checked.returncode == 0

    def cli(self, *words: str) -> str:
        """As `docker compose exec worker automagik …`."""
        asked = subprocess.run(
            ["automagik", *words],
            env=self.environment("worker"),
            cwd=self._folder,
            check=True,
            capture_output=True,
            text=True,
        )
        return asked.stdout


@pytest.fixture
def parts(tmp_path: Path, empty_database_url: str, redis_url: str) -> Parts:
    addresses = {"DATABASE_URL": empty_database_url, "REDIS_URL": redis_url}
    moved = {port: str(ports.free_port()) for port in PUBLISHED}
    return Parts(tmp_path, addresses, {"//demo:": "//127.0.0.1:", **moved})


def test_everything_of_ours_starts_becomes_healthy_runs_a_flow_and_stops(parts: Parts) -> None:
    parts.run("migrate")
    with parts.running(*LONG_RUNNING):
        for name in LONG_RUNNING:
            wait_until(partial(parts.is_healthy, name), what=f"{name} is healthy")
        parts.run("demo-setup")
        output = parts.cli("schedules", "trigger", "demo-echo", "--wait")
        shown = parts.cli("status", "-o", "json")

    assert "Hello from AutoMagik" in output
    assert '"is_well": true' in shown
    assert not parts.is_healthy("beat-1"), "nobody lives any more"
    assert not parts.is_healthy("worker")


def test_redis_keeps_what_it_has_evicts_nothing_wants_a_password_and_shows_none(
    tmp_path: Path, free_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    programs = tmp_path / "programs"
    programs.mkdir()
    (programs / "redis-server").symlink_to(find_redis().path)
    # What the image's script does beside this is to become another user.
    script = programs / "docker-entrypoint.sh"
    script.write_text('#!/bin/sh\nexec "$@"\n')
    script.chmod(0o755)
    monkeypatch.setenv("PATH", str(programs), prepend=os.pathsep)
    parts = Parts(tmp_path, {}, {"redis-server -": f"redis-server - --port {free_port}"})
    with parts.running("redis") as (server,):
        password = parts.environment("redis")["REDIS_PASSWORD"]
        client = redis.Redis(port=free_port, password=password)
        wait_until(lambda: answers(client), what="Redis answers")
        settings: Any = client.config_get("appendonly", "maxmemory-policy")
        with pytest.raises(AuthenticationError):
            redis.Redis(port=free_port).ping()
        client.close()
        seen = Path(f"/proc/{server.pid}/cmdline").read_text()

    assert settings == {"appendonly": "yes", "maxmemory-policy": "noeviction"}
    assert password not in seen


def wait_until(holds: Callable[[], bool], *, what: str) -> None:
    deadline = time.monotonic() + SECONDS
    while not holds():
        assert time.monotonic() < deadline, f"not in time: {what}"
        time.sleep(0.05)


def answers(client: redis.Redis) -> bool:
    try:
        return bool(client.ping())
    except RedisConnectionError:
        return False
