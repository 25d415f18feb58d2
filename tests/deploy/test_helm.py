"""The chart, by a real Helm: accepted by it and by Kubernetes' schemas, and strict with values."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from automagik import __version__
from automagik.cli.command_tree import command_tree, walk
from tests.deploy import kubernetes_tools
from tests.deploy.chart import (
    CHART,
    NAMESPACE,
    NEEDS_HELM,
    RELEASE,
    SECRETS,
    SETS,
    VARIABLES,
    Manifest,
    manifests,
    of_kind,
    options,
    run_helm,
    text,
    workloads,
)

pytestmark = NEEDS_HELM

OLDEST, NEWEST = "1.27", "1.37"
CUSTOM = {"ScaledObject", "PrometheusRule", "ServiceMonitor"}
_AUTOMAGIK = re.compile(r"automagik ([a-z]+(?: [a-z]+)?)")

each_set = pytest.mark.parametrize("values", SETS)


@each_set
def test_helm_finds_nothing_to_complain_of(values: str) -> None:
    ended = run_helm("lint", "--strict", str(CHART), *options(values))

    assert ended.returncode == 0, ended.stdout
    assert "[WARNING]" not in ended.stdout


@pytest.mark.parametrize("kubernetes", [OLDEST, NEWEST])
def test_kubernetes_knows_every_field(kubernetes: str, tmp_path: Path) -> None:
    file = tmp_path / "all.yaml"
    file.write_text("".join(map(text, SETS)))

    assert kubernetes_tools.invalid(file, kubernetes=kubernetes) == ""


def test_a_field_that_kubernetes_does_not_know_is_found(tmp_path: Path) -> None:
    file = tmp_path / "wrong.yaml"
    file.write_text(text("defaults").replace("terminationGracePeriodSeconds", "gracePeriod"))

    assert "gracePeriod" in kubernetes_tools.invalid(file, kubernetes=NEWEST)


def test_the_oldest_kubernetes_is_the_one_that_the_chart_names() -> None:
    assert _chart()["kubeVersion"] == f">={OLDEST}.0-0"


def test_operators_know_every_field() -> None:
    found = [each for values in SETS for each in manifests(values) if each["kind"] in CUSTOM]
    assert {each["kind"] for each in found} == CUSTOM
    wrong = json.loads(json.dumps(found[0]))
    wrong["spec"]["colour"] = "red"

    said = kubernetes_tools.invalid_custom([*found, wrong]).splitlines()

    assert len(said) == 1, said
    assert "colour is unknown" in said[0]


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ("beats.replica=3", "'replica' not allowed"),
        ("settings.AUTOMAGIK_QEUE=x", "'AUTOMAGIK_QEUE' not allowed"),
        ("settings.AUTOMAGIK_DRAIN_SECONDS=soon", "does not match pattern"),
        ("settings.DATABASE_URL=postgresql://u:p@h/d", "'DATABASE_URL' not allowed"),
        ("extraEnv[0].name=REDIS_URL,extraEnv[0].value=redis://:p@h", "/extraEnv/0/name"),
        ("secrets.databaseUrl.value=postgresql://u:p@h/d", "'value' not allowed"),
        ("secrets.databaseUrl.name=", "/secrets/databaseUrl/name"),
        ("flower.enabled=true", "flower.enabled needs flower.basicAuth.name"),
        ("workers[0].name=Big", "/workers/0/name"),
        ("workers[0].name=a,workers[1].name=a", 'Two pools of workers are called "a"'),
        ("workers[0].name=a,workers[0].concurrency=0", "/workers/0/concurrency"),
        ("autoscaling.kind=cpu", "/autoscaling/kind"),
        ("autoscaling.kind=keda", "needs autoscaling.prometheusUrl"),
        ("autoscaling.kind=hpa", "needs metrics.rules.enabled"),
        ("autoscaling.kind=hpa,metrics.enabled=false", "needs metrics.enabled"),
        ("image.digest=latest", "/image/digest"),
        ("fullnameOverride=a-name-of-more-than-26-letters", "/fullnameOverride"),
        ("pod.runAsUser=0", "/pod/runAsUser"),
    ],
)
def test_what_is_wrong_is_refused_by_its_name(wrong: str, said: str) -> None:
    ended = run_helm("template", RELEASE, str(CHART), "--set", wrong)

    assert ended.returncode != 0
    assert said in ended.stderr


def test_a_release_with_a_long_name_is_told_what_to_do() -> None:
    ended = run_helm("template", "a-release-with-a-long-name", str(CHART))

    assert "set fullnameOverride" in ended.stderr


def test_values_and_their_schema_have_the_same_keys() -> None:
    schema = json.loads((CHART / "values.schema.json").read_text())
    values = yaml.safe_load((CHART / "values.yaml").read_text())

    assert set(_keys(values)) == set(_described(schema, schema)) - {"global"}


def test_settings_that_are_no_secrets_can_be_given() -> None:
    schema = json.loads((CHART / "values.schema.json").read_text())

    given = set(schema["properties"]["settings"]["properties"])

    assert given == VARIABLES - SECRETS - {"AUTOMAGIK_HOME", "AUTOMAGIK_PROFILE"}


@each_set
def test_every_variable_is_a_setting(values: str) -> None:
    known = VARIABLES | {f"{name}_FILE" for name in SECRETS} | {"FLOWER_BASIC_AUTH", "TEAM_KEY"}
    for workload in workloads(values):
        names = [each["name"] for each in workload.container["env"]]

        assert set(names) <= known
        assert len(names) == len(set(names))


def test_large_numbers_stay_plain() -> None:
    (given,) = {
        each["value"]
        for workload in workloads("everything")
        for each in workload.container["env"]
        if each["name"] == "AUTOMAGIK_MAX_ANSWER_BYTES"
    }

    assert given == "33554432"


def test_the_chart_is_of_this_version() -> None:
    assert _chart()["version"] == _chart()["appVersion"] == __version__


@pytest.mark.parametrize("values", SETS)
def test_what_is_said_after_an_install_can_be_typed(values: str) -> None:
    command = ("install", RELEASE, str(CHART), "--dry-run=client", "--namespace", NAMESPACE)
    ended = run_helm(*command, *options(values))
    said = ended.stdout.partition("NOTES:")[2]

    named = set(_AUTOMAGIK.findall(said))

    assert ended.returncode == 0, ended.stderr
    assert {"status", "flows run", "schedules create"} <= named
    assert named <= _commands() | {"db upgrade"}
    targets = set(re.findall(r"exec (?:--stdin --tty )?deploy/(\S+)", said))
    assert targets <= of_kind("Deployment", values).keys()
    assert targets


def _chart() -> Any:
    return yaml.safe_load((CHART / "Chart.yaml").read_text())


def _commands() -> set[str]:
    return {each.path.removeprefix("automagik ") for each in walk(command_tree())}


def _keys(values: Any, path: str = "") -> Iterator[str]:
    """Without those that Kubernetes or a user has: the chart's own end where a value is empty."""
    for key, value in values.items():
        where = f"{path}{key}"
        if isinstance(value, dict) and value and key != "resources":
            yield from _keys(value, f"{where}.")
        else:
            yield where


def _described(schema: Manifest, part: Manifest, path: str = "") -> Iterator[str]:
    for key, value in part["properties"].items():
        name = value.get("$ref", "").rpartition("/")[2]
        described = schema["definitions"][name] if name else value
        if described.get("properties") and key not in ("resources", "settings"):
            yield from _described(schema, described, f"{path}{key}.")
        else:
            yield f"{path}{key}"
