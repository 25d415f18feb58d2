import pytest

from benchmarks.peers import are_installed
from tests.benchmarks.smoke import benchmark

pytestmark = pytest.mark.system


def test_every_run_completes_and_is_paid_for() -> None:
    found = benchmark("runs", "--runs", "40", "--concurrency", "4", "--peers", "none")
    for how in ("all deliveries waiting", "dispatch under way"):
        assert found[f"runs, {how}"]["ours"] > 0
        assert found[f"worker + postgresql per run, {how}"]["ours"] > 0
    assert found["beat per run, dispatch under way"]["ours"] >= 0


@pytest.mark.skipif(not are_installed(), reason="the environment of the peers is not there")
@pytest.mark.parametrize("peer", ["raw-threads", "db-prefork"])
def test_celery_is_measured_on_the_same_servers(peer: str) -> None:
    words = ("--runs", "40", "--peer-runs", "40", "--peers", peer)
    figure = benchmark("runs", *words)["runs, all deliveries waiting"]
    assert figure["peers"][peer] > 0
    assert figure["ratios"][peer] > 0


def test_runs_over_http_reach_a_server() -> None:
    found = benchmark("runs", "--http", "--runs", "40", "--peers", "none")
    assert found["runs, all deliveries waiting"]["ours"] > 0


@pytest.mark.skipif(not are_installed(), reason="the environment of the peers is not there")
def test_celery_with_requests_asks_the_same_server() -> None:
    words = ("--http", "--runs", "40", "--peer-runs", "40", "--peers", "raw-prefork")
    assert benchmark("runs", *words)["runs, all deliveries waiting"]["peers"]["raw-prefork"] > 0
