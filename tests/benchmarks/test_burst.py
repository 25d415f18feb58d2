import pytest

from tests.benchmarks.smoke import benchmark

pytestmark = pytest.mark.system


def test_one_beat_and_two_publish_all_that_is_due_at_an_instant() -> None:
    found = benchmark("burst", "--due", "40", "--peers", "none")
    assert found["delivered, 40 at once"]["ours"] == 100
    assert found["rate, 40 at once"]["ours"] > 0
    assert found["rate of 2 beats, 40 at once"]["ours"] > 0
    assert found["processor time of postgresql per run, 40 at once"]["ours"] > 0
