import pytest

from tests.benchmarks.smoke import benchmark

pytestmark = pytest.mark.system


def test_a_backlog_is_dispatched_through_a_short_queue() -> None:
    sizes = ("--pending", "350,700", "--places", "100000,8")
    found = benchmark("backlog", *sizes, "--seconds", "1", "--times", "1")
    for places, longest in ((100_000, 300), (8, 8)):
        for size in (350, 700):
            what = f"{size} pending, {places:,} places"
            assert found[f"dispatched, {what}"]["ours"] > 0
            assert 0 < found[f"ready-queue at most, {what}"]["ours"] <= longest
            assert found[f"automagik queues list, {what}"]["ours"] > 0
