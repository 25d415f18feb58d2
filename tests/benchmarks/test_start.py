import pytest

from tests.benchmarks.smoke import benchmark

pytestmark = pytest.mark.system


def test_commands_are_timed_against_a_local_stack() -> None:
    found = benchmark("start", "--times", "1", "--tasks", "5")
    for command in ("--help", "tasks list", "schedules list", "status"):
        assert found[f"automagik {command}"]["ours"] > 0
        assert found[f"automagik {command}, processor"]["ours"] > 0
