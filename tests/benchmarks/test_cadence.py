from tests.benchmarks.smoke import benchmark


def test_each_rule_is_timed_beside_both_peers() -> None:
    for figure in benchmark("cadence", "--rounds", "20").values():
        times = {"ours": figure["ours"], **figure["peers"]}
        assert times.keys() == {"ours", "croniter", "cronsim"}
        assert min(times.values()) > 0
