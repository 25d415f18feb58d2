import pytest

from tests.benchmarks.smoke import benchmark

pytestmark = pytest.mark.system


def test_every_request_is_found_again_after_its_commit() -> None:
    found = benchmark("latency", "--runs", "5", "--gap", "0.05")
    committed, asked = (found[f"{what} to request, p50"]["ours"] for what in ("commit", "command"))
    assert 0 < committed < asked
