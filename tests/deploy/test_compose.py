"""docker-compose.yml: the rules that it keeps. Its parts really start in test_compose_parts.py."""

import json
import re
import shutil
import stat
import subprocess
from pathlib import Path

import pytest
import yaml
from cryptography.fernet import Fernet

from automagik.core.config import Settings
from automagik.core.settings.layers import variable
from tests.deploy.compose_file import (
    FILE,
    ROOT,
    document,
    example_variables,
    ours,
    references,
    services,
    texts,
)
from tests.deploy.tools import run_tool

PROFILES = {"flower", "observe", "langflow", "demo"}
OTHERS = {"FLOWER_BASIC_AUTH", "AUTOMAGIK_DEMO_API_KEY", "DEMO_API_KEY"}
"""Variables that are no settings, but are read: by Flower, the demo server and demo.yaml."""
OPTIONAL = {"LANGFLOW_API_KEY"}


@pytest.fixture
def env_file(tmp_path: Path) -> Path:
    """As deploy/make-env makes it."""
    shutil.copytree(ROOT / "deploy", tmp_path / "deploy")
    shutil.copy(ROOT / ".env.example", tmp_path)
    subprocess.run([tmp_path / "deploy" / "make-env"], check=True, capture_output=True)
    return tmp_path / ".env"


def secrets() -> set[str]:
    return {name for name, is_set in example_variables().items() if is_set}


def test_compose_1_accepts_it_and_says_what_to_do_without_secrets(
    env_file: Path, tmp_path: Path
) -> None:
    # Of 2021, and its PyYAML can no longer be built; a newer one reads the same.
    overrides = tmp_path / "overrides.txt"
    overrides.write_text("pyyaml>=6\n")
    asked = ("--from", "docker-compose==1.29.2", "--with", "setuptools<80")
    compose = (*asked, "--overrides", str(overrides), "docker-compose", "--file", str(FILE))
    profiles = [word for name in sorted(PROFILES) for word in ("--profile", name)]
    env = ("--env-file", str(env_file))
    read = run_tool(*compose, *env, *profiles, "config", folder=tmp_path)
    env_file.write_text("")
    refused = run_tool(*compose, *env, "config", folder=tmp_path)

    assert read.returncode == 0, read.stderr
    assert set(yaml.safe_load(read.stdout)["services"]) == set(services())
    assert refused.returncode == 1
    assert "Run deploy/make-env" in refused.stderr


def test_compose_2_accepts_it(env_file: Path) -> None:
    if (
        not shutil.which("docker")
        or subprocess.run(
            ["docker", "compose", "version"], capture_output=True, check=False
        ).returncode
    ):
        pytest.skip("there is no Docker Compose 2 on this machine")
    profiles = [word for name in sorted(PROFILES) for word in ("--profile", name)]
    words = ["docker", "compose", "--file", str(FILE), "--env-file", str(env_file), *profiles]
    read = subprocess.run(
        [*words, "config", "--format", "json"], capture_output=True, text=True, check=False
    )

    assert read.returncode == 0, read.stderr
    assert set(json.loads(read.stdout)["services"]) == set(services())


def test_each_image_is_pinned_and_ours_is_built_once() -> None:
    foreign = {each["image"] for each in services().values()} - {"automagik:local"}

    assert all(re.search(r":v?\d", image) for image in foreign)
    assert [name for name, each in services().items() if "build" in each] == ["migrate"]


def test_only_the_profiles_that_are_promised_are_there() -> None:
    assert {name for each in services().values() for name in each.get("profiles", [])} == PROFILES
    usual = {name for name, each in services().items() if "profiles" not in each}
    assert usual == {"postgres", "redis", "migrate", "beat-1", "beat-2", "worker"}


def test_no_secret_stands_in_it_and_each_that_is_missing_is_an_error_that_says_what_to_do() -> None:
    named = list(references(document()))

    assert {name for name, _ in named} <= example_variables().keys()
    for name, kind in named:
        if name in secrets():
            assert kind == "?", name
    assert not re.search(r"(?i)(password|key|auth): (?!\$\{)\S", FILE.read_text())
    assert all(
        "Run deploy/make-env" in found
        for found in re.findall(r"\$\{\w+:\?([^}]*)\}", FILE.read_text())
    )


def test_each_variable_of_the_example_is_used() -> None:
    assert {name for name, _ in references(document())} == example_variables().keys()


def test_no_secret_gets_into_a_command_line() -> None:
    for name, service in services().items():
        words = " ".join(texts([service.get("command", []), service.get("healthcheck", {})]))
        assert not {found for found, _ in references(words)} & secrets(), name


def test_our_containers_are_given_known_settings_only() -> None:
    known = {variable(Settings, field) for field in Settings.model_fields}

    for name, service in ours().items():
        assert service["environment"].keys() <= known | OTHERS, name


@pytest.mark.parametrize("name", sorted(ours()))
def test_our_containers_can_write_nothing_and_have_no_rights(name: str) -> None:
    service = ours()[name]

    assert service["read_only"] is True
    assert service["tmpfs"] == ["/tmp"]
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert "user" not in service, "the image says who"


def test_what_people_look_at_is_published_on_loopback_only() -> None:
    ports = {name: each["ports"] for name, each in services().items() if "ports" in each}

    assert ports.keys() == {"flower", "prometheus", "grafana", "langflow"}
    assert all(port.startswith("127.0.0.1:") for each in ports.values() for port in each)


def test_what_runs_for_long_has_a_health_check_and_what_needs_others_waits_for_them() -> None:
    for name, service in services().items():
        is_short = service.get("restart") == "no"
        assert is_short or "healthcheck" in service or name in ("prometheus", "grafana"), name
        if service in ours().values() and name != "migrate":
            assert service["depends_on"]["migrate"] == {
                "condition": "service_completed_successfully"
            }


def test_a_worker_is_not_killed_before_its_runs_had_their_grace() -> None:
    (text,) = re.findall(r"WORKER_STOP_GRACE_PERIOD:-(\d+)s", FILE.read_text())

    assert int(text) > Settings.model_fields["drain_seconds"].default


def test_data_is_in_named_volumes() -> None:
    named = set(document()["volumes"])
    used = {
        volume.split(":")[0]
        for each in services().values()
        for volume in each.get("volumes", [])
        if not volume.startswith("./")
    }

    assert named == used == {"postgres", "redis", "langflow", "prometheus", "grafana"}
    assert "postgres:/var/lib/postgresql" in services()["postgres"]["volumes"]


def test_what_is_mounted_is_in_the_repository() -> None:
    mounted = [
        volume.split(":")[0]
        for each in services().values()
        for volume in each.get("volumes", [])
        if volume.startswith("./")
    ]

    assert mounted
    assert [path for path in mounted if not (ROOT / path).exists()] == []


class TestMakeEnv:
    def test_every_secret_is_made_for_its_owner_alone(self, env_file: Path) -> None:
        made = dict(
            line.split("=", 1)
            for line in env_file.read_text().splitlines()
            if re.match("[A-Z]", line)
        )

        assert made.keys() == secrets()
        assert len(set(made.values())) == len(made)
        Fernet(made.pop("AUTOMAGIK_SECRET_KEY"))
        assert all(re.fullmatch("[0-9a-f]{48}", value) for value in made.values())
        assert stat.S_IMODE(env_file.stat().st_mode) == 0o600

    def test_what_is_set_stays_and_what_is_missing_is_added(self, env_file: Path) -> None:
        kept = [
            line
            for line in env_file.read_text().splitlines()
            if not line.startswith("FLOWER_PASSWORD=")
        ]
        env_file.write_text("\n".join([*kept, "TIMEZONE=Europe/Berlin"]) + "\n")
        again = subprocess.run(
            [env_file.parent / "deploy" / "make-env"], check=True, capture_output=True, text=True
        )
        after = env_file.read_text().splitlines()

        assert after[: len(kept) + 1] == [*kept, "TIMEZONE=Europe/Berlin"]
        assert re.fullmatch("FLOWER_PASSWORD=[0-9a-f]{48}", after[-1])
        assert "FLOWER_PASSWORD: made" in again.stderr
        assert "POSTGRES_PASSWORD" not in again.stderr
        assert after[-1].split("=")[1] not in again.stdout + again.stderr
