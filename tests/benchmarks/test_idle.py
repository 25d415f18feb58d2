import pytest

from tests.benchmarks.smoke import benchmark

pytestmark = pytest.mark.system


def test_an_idle_stack_writes_heartbeats_and_nothing_else() -> None:
    found = benchmark("idle", "--schedules", "200", "--seconds", "6")
    assert found["heartbeats written"]["ours"] > 0
    assert found["other rows written"]["ours"] == 0
    assert found["memory of beat"]["ours"] > 0
