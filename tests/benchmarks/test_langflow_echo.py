import pytest

from tests.benchmarks.smoke import benchmark

# The first use installs LangFlow, which takes minutes.
pytestmark = [pytest.mark.langflow, pytest.mark.system, pytest.mark.timeout(900)]


def test_echo_runs_are_measured_beside_a_bare_script() -> None:
    words = ("--runs", "10", "--parallel", "4", "--rounds", "1")
    found = benchmark("langflow_echo", *words, seconds=890)
    assert found["echo runs"]["ours"] > 0
    assert found["echo runs"]["peers"]["script"] > 0
    assert found["worker + postgresql per run"]["peers"]["langflow"] > 0
