"""What the chart lets its pods do, and what it lets others do to them."""

import json
import re
from collections.abc import Iterator

import pytest

from automagik.core.config import Settings
from tests.deploy.chart import (
    NEEDS_HELM,
    ROOT,
    SECRETS,
    SETS,
    Workload,
    manifests,
    of_kind,
    workloads,
)

pytestmark = NEEDS_HELM

each_set = pytest.mark.parametrize("values", SETS)


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
            volumes = {kind for each in workload.pod["volumes"] for kind in each}
            assert volumes <= {"name", "emptyDir", "projected"}
            assert "configMap" not in json.dumps(workload.pod)


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


def _selectors(values: str) -> Iterator[dict[str, str]]:
    for each in manifests(values):
        match each["kind"]:
            case "Service":
                yield each["spec"]["selector"]
            case "Deployment" | "PodDisruptionBudget":
                yield each["spec"]["selector"]["matchLabels"]
