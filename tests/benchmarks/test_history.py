import pytest

from tests.benchmarks.smoke import benchmark

pytestmark = pytest.mark.system


@pytest.mark.timeout(300)
def test_a_history_is_filled_read_worked_beside_and_pruned() -> None:
    sizes = ("--tasks", "3000", "--few", "2000", "--lines", "2", "--backlog", "2000")
    found = benchmark("history", *sizes, "--looks", "2", "--rounds", "1", seconds=290)
    for what in ("list --worker --state", "show", "stats of a day", "failures of a day"):
        assert found[f"{what}, p95"]["ours"] > 0
    for what in ("prune, a batch", "list while pruning"):
        assert found[f"{what}, p95"]["ours"] > 0
    for step, tasks in (("dispatch", 500), ("claim", 100), ("finish", 100)):
        assert found[f"{step} of {tasks}, p50"]["ours"] > 0
        assert found[f"{step} of {tasks} in a new backlog, p50"]["ours"] > 0
        assert 1 <= found[f"rows read to {step} a task"]["ours"] <= 20
