"""deploy/systemd: units that systemd accepts, that are closed, and that really start."""

import os
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from automagik.core.config import Settings
from automagik.core.settings.layers import is_secret, variable
from tests.deploy.compose_file import ROOT, services

UNITS = ROOT / "deploy" / "systemd"
SERVICES = ("automagik-beat", "automagik-worker@1", "automagik-flower", "automagik-metrics")
EXPOSURE = 1.5
"""systemd's score of a service, from 0 (closed) to 10; those of most distributions have 9."""
SECONDS = 40
_STUBS = ("sysinit", "basic", "shutdown", "network-online", "multi-user")


def unit_file(name: str) -> Path:
    return UNITS / f"{re.sub('@.*', '@', name)}.service"


def said(name: str, key: str) -> list[str]:
    """The values of a key, in the unit and in what all have in common."""
    texts = (unit_file(name), UNITS / "automagik-.service.d" / "10-common.conf")
    lines = [line for text in texts for line in text.read_text().splitlines()]
    return [line.partition("=")[2] for line in lines if line.startswith(f"{key}=")]


def seconds(name: str, key: str) -> int:
    (value,) = said(name, key)
    number, unit = re.fullmatch(r"(\d+)(s|min)", value).groups()  # type: ignore[union-attr]
    return int(number) * (60 if unit == "min" else 1)


@pytest.fixture
def analyze(tmp_path: Path) -> list[str]:
    """The beginning of a command that looks at a root with our units and nothing else."""
    if not shutil.which("systemd-analyze"):
        pytest.skip("there is no systemd-analyze on this machine")
    installed = tmp_path / "etc/systemd/system"
    shutil.copytree(UNITS, installed)
    (installed / "automagik-worker@1.service").symlink_to("automagik-worker@.service")
    programs = tmp_path / "opt/automagik/bin"
    programs.mkdir(parents=True)
    for name in ("celery", "automagik"):
        shutil.copy("/bin/true", programs / name)
    targets = tmp_path / "usr/lib/systemd/system"
    targets.mkdir(parents=True)
    for name in _STUBS:
        (targets / f"{name}.target").write_text("[Unit]\nDescription=stub\n")
    return ["systemd-analyze", f"--root={tmp_path}", "--no-pager"]


def asked(*words: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(words, capture_output=True, text=True, check=False)


def test_systemd_finds_nothing_wrong_with_them(analyze: list[str]) -> None:
    units = [*(f"{name}.service" for name in SERVICES), "automagik.target"]
    checked = asked(*analyze, "verify", *units)

    assert (checked.returncode, checked.stderr) == (0, "")


@pytest.mark.parametrize("name", SERVICES)
def test_each_service_is_closed(analyze: list[str], name: str) -> None:
    threshold = f"--threshold={EXPOSURE * 10:.0f}"
    scored = asked(*analyze, "--offline=true", threshold, "security", f"{name}.service")
    (score,) = re.findall(r"exposure level for \S+: ([\d.]+)", scored.stdout)

    assert float(score) <= EXPOSURE, scored.stdout
    assert scored.returncode == 0


@pytest.mark.parametrize("name", SERVICES)
def test_each_service_is_restarted_without_end_but_not_with_wrong_settings(name: str) -> None:
    assert said(name, "Restart") == ["on-failure"]
    assert said(name, "StartLimitIntervalSec") == ["0"]
    assert said(name, "RestartPreventExitStatus") == ["2"]
    assert said(name, "User") == ["automagik"]
    assert said(name, "WantedBy") == said(name, "PartOf") == ["automagik.target"]


@pytest.mark.parametrize("name", SERVICES)
def test_secrets_are_credentials_of_the_names_of_settings(name: str) -> None:
    secrets = {
        variable(Settings, field) for field in Settings.model_fields if is_secret(Settings, field)
    }
    credentials = [value.split(":")[0] for value in said(name, "LoadCredential")]

    assert set(credentials) == secrets - {"LANGFLOW_API_KEY"}, "that one may be unset"


def test_a_worker_is_not_killed_before_its_runs_had_their_grace() -> None:
    worker = "automagik-worker@1"

    assert seconds(worker, "TimeoutStopSec") > Settings.model_fields["drain_seconds"].default + 20
    assert said(worker, "KillMode") == ["mixed"]
    assert said(worker, "KillSignal") == ["SIGTERM"]


def test_a_beat_has_longer_than_any_patience_before_it_counts_as_frozen() -> None:
    from automagik.core.database.patience import PATIENCE

    assert said("automagik-beat", "Type") == ["notify"]
    assert seconds("automagik-beat", "WatchdogSec") > 3 * PATIENCE.total_seconds()


def test_they_start_what_docker_compose_starts() -> None:
    """Which test_compose_parts.py really does."""
    everywhere = {"automagik-flower": ["--address=0.0.0.0", "--port=5555"]}
    for unit, service in (("automagik-flower", "flower"), ("automagik-metrics", "metrics")):
        (command,) = said(unit, "ExecStart")
        here = command.replace("127.0.0.1", "0.0.0.0").removeprefix("/opt/automagik/bin/")
        assert here.split() + everywhere.get(unit, []) == services()[service]["command"]


def test_accounts_come_from_a_file_for_systemd() -> None:
    (line,) = (UNITS / "sysusers.d" / "automagik.conf").read_text().splitlines()

    assert line.split()[:2] == ["u", "automagik"]
    assert line.split()[-1] == said("automagik-beat", "WorkingDirectory")[0]


@pytest.fixture
def environment(settings: Settings, tmp_path: Path) -> dict[str, str]:
    """That of a service: secrets in files alone, and nothing of who runs the tests."""
    folder = tmp_path / "credentials"
    folder.mkdir()
    for name in (value.split(":")[0] for value in said("automagik-beat", "LoadCredential")):
        (folder / name).write_text(os.environ[name])
    return {
        "PATH": "/usr/bin:/bin",
        "PYTHONPATH": str(ROOT),
        "CREDENTIALS_DIRECTORY": str(folder),
        "NOTIFY_SOCKET": str(tmp_path / "notify"),
        "WORKER_OPTIONS": "--concurrency 3",
    }


@contextmanager
def started(
    name: str, environment: dict[str, str], folder: Path
) -> Iterator["subprocess.Popen[bytes]"]:
    """By the unit's own command, with what systemd fills in."""
    (command,) = said(name, "ExecStart")
    here = command.replace("/opt/automagik/bin", str(Path(sys.executable).parent))
    words = here.replace("%i", "1").replace("%H", socket.gethostname()).split()
    last = words[-1]
    if last.startswith("$"):
        words[-1:] = environment[last[1:]].split()
    process = subprocess.Popen(words, env=environment, cwd=folder, start_new_session=True)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


@pytest.mark.system
def test_a_beat_and_a_worker_start_with_credentials_alone_and_stop_in_time(
    environment: dict[str, str], tmp_path: Path
) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(environment["NOTIFY_SOCKET"])
        manager.settimeout(SECONDS)
        beat_name, worker_name = SERVICES[:2]
        with (
            started(beat_name, environment, tmp_path) as beat,
            started(worker_name, environment, tmp_path) as worker,
        ):
            assert manager.recv(64) == b"READY=1"
            check = [str(Path(sys.executable).parent / "automagik"), "workers", "check"]
            named = [*check, f"1@{socket.gethostname()}"]
            while subprocess.run(named, env=environment, check=False).returncode:
                assert manager.recv(64) == b"WATCHDOG=1", "the beat is alive meanwhile"
            beat.terminate()
            worker.terminate()
            assert beat.wait(seconds(beat_name, "TimeoutStopSec")) == 0
            assert worker.wait(seconds(worker_name, "TimeoutStopSec")) == 0
