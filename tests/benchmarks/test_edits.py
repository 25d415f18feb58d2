import pytest

from tests.benchmarks.smoke import benchmark

pytestmark = pytest.mark.system


def test_created_and_edited_schedules_are_published_while_others_are() -> None:
    found = benchmark("edits", "--schedules", "800", "--edits", "10")
    for what in ("created until published", "edited until published", "lag of others meanwhile"):
        assert 0 < found[f"{what}, p50"]["ours"] <= found[f"{what}, p99"]["ours"]
