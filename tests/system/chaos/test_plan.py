"""The plan of faults is a pure function, and keeps its promises for every seed."""

from collections import Counter
from itertools import pairwise

from hypothesis import given
from hypothesis.strategies import floats, integers

from tests.system.chaos.plan import LENGTHS, Fault, Kind, plan
from tests.system.chaos.roster import roster

MEMBERS = roster(beats=2, workers=3)

seeds = integers(0, 2**32)
durations = floats(1, 600)


def _plan(seed: int, seconds: float, *, longest: float = 5.0) -> list[Fault]:
    return plan(seed, seconds=seconds, pace=2.0, longest=longest, members=MEMBERS)


@given(seeds, durations)
def test_the_same_seed_gives_the_same_plan(seed: int, seconds: float) -> None:
    assert _plan(seed, seconds) == _plan(seed, seconds)


def test_another_seed_gives_another_plan() -> None:
    plans = [tuple(_plan(seed, 60)) for seed in range(100)]
    assert len(set(plans)) == len(plans)


@given(seeds, integers(0, 200))
def test_there_is_a_fault_for_each_pace_and_no_kind_is_neglected(seed: int, count: int) -> None:
    faults = _plan(seed, 2.0 * count)
    assert len(faults) == count
    times = Counter(fault.kind for fault in faults)
    assert {times[kind] for kind in Kind} <= {count // len(Kind), count // len(Kind) + 1}


@given(seeds, durations)
def test_one_thing_is_broken_once_at_a_time(seed: int, seconds: float) -> None:
    faults = _plan(seed, seconds)
    assert faults == sorted(faults, key=lambda fault: fault.at)
    for target in {fault.target for fault in faults}:
        of_one_thing = [fault for fault in faults if fault.target == target]
        assert all(one.at + one.length < after.at for one, after in pairwise(of_one_thing))


@given(seeds, floats(0, 60))
def test_a_fault_is_as_long_as_its_kind_needs_and_not_longer_than_wanted(
    seed: int, longest: float
) -> None:
    for fault in _plan(seed, 120, longest=longest):
        least, most = LENGTHS.get(fault.kind, (0.0, 0.0))
        assert least <= fault.length <= max(least, min(most, longest))


@given(seeds)
def test_who_is_steady_is_never_ended(seed: int) -> None:
    steady = {member.name for member in MEMBERS if member.is_steady}
    ends = {Kind.BEAT_KILLED, Kind.WORKER_KILLED, Kind.WORKER_TERMINATED}
    assert not any(fault.kind in ends and fault.target in steady for fault in _plan(seed, 600))
