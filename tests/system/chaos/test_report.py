"""What is counted from incidents and completions."""

from datetime import UTC, datetime, timedelta

from tests.system.chaos.conductor import Incident
from tests.system.chaos.plan import Fault, Kind
from tests.system.chaos.report import longest_stillness, recoveries

BEGIN = datetime(2030, 1, 1, tzinfo=UTC)


def _at(seconds: float) -> datetime:
    return BEGIN + timedelta(seconds=seconds)


def _incident(kind: Kind, begun: float, healed: float) -> Incident:
    fault = Fault(at=begun, kind=kind, target="", length=healed - begun)
    return Incident(fault=fault, begun_at=_at(begun), healed_at=_at(healed))


def test_a_recovery_lasts_from_healing_to_the_next_completion() -> None:
    incidents = [_incident(Kind.REDIS_KILLED, 0, 10), _incident(Kind.REDIS_KILLED, 20, 30)]
    completions = [_at(9), _at(13), _at(19), _at(31), _at(32)]
    assert recoveries(incidents, completions) == {Kind.REDIS_KILLED: 3.0}


def test_what_another_fault_disturbs_is_no_recovery() -> None:
    incidents = [_incident(Kind.REDIS_KILLED, 0, 10), _incident(Kind.POSTGRES_KILLED, 5, 30)]
    assert recoveries(incidents, [_at(50)]) == {Kind.POSTGRES_KILLED: 20.0}


def test_nothing_completed_is_no_recovery() -> None:
    assert recoveries([_incident(Kind.REDIS_KILLED, 0, 10)], [_at(5)]) == {}


def test_the_longest_stillness_is_between_two_completions() -> None:
    assert longest_stillness([_at(1), _at(2), _at(9), _at(12)]) == 7.0
    assert longest_stillness([]) == 0.0
