import pytest

from tests.benchmarks.smoke import benchmark

pytestmark = pytest.mark.system


def test_small_runs_go_on_beside_large_ones() -> None:
    sizes = ("--bytes", "20000", "--lines", "50", "--parallel", "2")
    found = benchmark("large", "--seconds", "1", "--rate", "10", *sizes)
    for what in ("1 MB results", "10,000 lines"):
        assert found[f"small runs beside {what}, p50"]["ours"] > 0
        assert found[f"small runs beside {what}, p50"]["peers"]["alone"] > 0
        assert found[f"runs with {what}"]["ours"] > 0
        assert found[f"memory of the worker with {what}"]["ours"] > 0
