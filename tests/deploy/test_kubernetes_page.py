"""What docs/install/kubernetes.md tells to type is right, as far as it goes without a cluster."""

import re
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import yaml
from cryptography.fernet import Fernet

from automagik.cli.command_tree import command_tree, walk
from tests.deploy import kubernetes_tools
from tests.deploy.chart import NEEDS_HELM, ROOT, Manifest, of_kind, run_helm, workloads

pytestmark = NEEDS_HELM

PAGE = ROOT / "docs" / "install" / "kubernetes.md"
SERVERS = ROOT / "deploy" / "helm" / "servers-for-a-try.yaml"
_BLOCK = re.compile(r"```(?P<language>\w+)\n(?P<text>.*?)```", re.DOTALL)
_AUTOMAGIK = re.compile(r"(?:\bam|-- automagik|`automagik) ([a-z]+(?: [a-z]+)?)")
_BY_TEMPLATE = {"install", "upgrade"}


def test_each_install_and_upgrade_can_be_rendered(tmp_path: Path) -> None:
    (tmp_path / "values.yaml").write_text(next(_blocks("yaml")))
    (tmp_path / "deploy").symlink_to(ROOT / "deploy")
    typed = [line for line in _lines() if line[0] == "helm" and line[1] in _BY_TEMPLATE]
    assert len(typed) == 3

    for _, verb, *words in typed:
        options = [str(tmp_path / word) if word == "values.yaml" else word for word in words]
        ended = run_helm("template", *(word for word in options if word != "--wait"))
        assert ended.returncode == 0, f"{verb}: {ended.stderr}"


def test_each_file_of_values_is_accepted(tmp_path: Path) -> None:
    blocks = list(_blocks("yaml"))
    assert len(blocks) > 3

    for block in blocks:
        file = tmp_path / "values.yaml"
        file.write_text(block)
        chart = str(ROOT / "deploy" / "helm" / "automagik")
        ended = run_helm("template", "automagik", chart, "--values", str(file))
        assert ended.returncode == 0, ended.stderr


def test_the_secrets_that_it_makes_are_those_that_are_asked_for(tmp_path: Path) -> None:
    made = _made_secrets(tmp_path)
    asked = {
        item["key"]
        for workload in workloads("defaults", "--set", "secrets.langflowApiKey.name=automagik")
        for volume in workload.pod["volumes"]
        for source in volume.get("projected", {}).get("sources", ())
        for item in source["secret"]["items"]
    }

    assert made.keys() >= asked | _asked_by_servers()
    Fernet(made["AUTOMAGIK_SECRET_KEY"])
    assert all(len(value) > 30 for value in made.values())
    assert len(set(made.values())) == len(made)
    hosts = {urlsplit(made[name]).hostname for name in ("DATABASE_URL", "REDIS_URL")}
    assert hosts <= _services()
    assert urlsplit(made["DATABASE_URL"]).password == made["POSTGRES_PASSWORD"]
    assert urlsplit(made["REDIS_URL"]).password == made["REDIS_PASSWORD"]


@pytest.mark.parametrize("kubernetes", ["1.27", "1.37"])
def test_kubernetes_knows_every_field_of_the_servers(kubernetes: str) -> None:
    assert kubernetes_tools.invalid(SERVERS, kubernetes=kubernetes) == ""


def test_the_servers_image_is_the_charts() -> None:
    (ours,) = {each.container["image"] for each in workloads("defaults")}
    images = {each["spec"]["template"]["spec"]["containers"][0]["image"] for each in _deployments()}

    assert ours in images
    assert f"docker build -f deploy/Dockerfile -t {ours} ." in PAGE.read_text()
    assert f"kind load docker-image {ours}" in PAGE.read_text()


def test_it_names_commands_and_deployments_that_exist() -> None:
    page = PAGE.read_text()
    known = {each.path.removeprefix("automagik ") for each in walk(command_tree())}
    installed = of_kind("Deployment", "defaults", "--set", "fullnameOverride=automagik")

    named = set(_AUTOMAGIK.findall(page))

    assert {"flows run", "flows update", "sources add", "status"} <= named
    assert named <= known
    assert set(re.findall(r"deploy/(automagik-[\w-]+)", page)) <= installed.keys()


def _blocks(language: str) -> Iterator[str]:
    for block in _BLOCK.finditer(PAGE.read_text()):
        if block["language"] == language:
            yield block["text"]


def _lines() -> Iterator[list[str]]:
    """The words of each command, with those on the lines that go on."""
    for block in _blocks("sh"):
        if "<<END" not in block:
            yield from map(shlex.split, block.replace("\\\n", " ").strip().splitlines())


def _made_secrets(folder: Path) -> dict[str, str]:
    (block,) = (each for each in _blocks("sh") if "<<END" in each)
    subprocess.run(["bash", "-euc", block], cwd=folder, check=True)
    file = folder / "secrets.env"
    assert file.stat().st_mode & 0o077 == 0
    pairs = (line.partition("=") for line in file.read_text().splitlines())
    return {name: value for name, _, value in pairs}


def _deployments() -> list[Manifest]:
    found = yaml.safe_load_all(SERVERS.read_text())
    return [each for each in found if each["kind"] == "Deployment"]


def _services() -> set[str]:
    found = yaml.safe_load_all(SERVERS.read_text())
    return {each["metadata"]["name"] for each in found if each["kind"] == "Service"}


def _asked_by_servers() -> set[str]:
    containers = (each["spec"]["template"]["spec"]["containers"][0] for each in _deployments())
    named = [each for container in containers for each in container["env"] if "valueFrom" in each]
    return {each["valueFrom"]["secretKeyRef"]["key"] for each in named}
