import pytest

from tests.benchmarks.smoke import benchmark

pytestmark = pytest.mark.system


def test_runs_in_flight_keep_their_leases() -> None:
    found = benchmark("in_flight", "--flying", "20", "--delay", "1", "--waves", "2")
    assert found["completed"]["ours"] > 0
    assert found["memory of the worker"]["ours"] > 0
    assert found["connections to PostgreSQL"]["ours"] > 0
    assert found["leases lost"]["ours"] == 0
    assert found["attempts beyond the first"]["ours"] == 0
