"""Alerts and scaling: what Prometheus and the scalers are told."""

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests.deploy.chart import NAMESPACE, NEEDS_HELM, RELEASE, Manifest, of_kind, workloads
from tests.deploy.promql import RULES, unknown

pytestmark = NEEDS_HELM


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
