import pytest

from benchmarks.peers import are_installed
from tests.benchmarks.smoke import benchmark

pytestmark = pytest.mark.system

PEERS = ("redbeat", "apscheduler", "celery", "django-celery-beat", "sqlalchemy-celery-beat")


@pytest.mark.timeout(300)
def test_beats_deliver_what_comes_due() -> None:
    peers = PEERS if are_installed() else ()
    words = ("--schedules", "400", "--seconds", "2", "--peers", ",".join(peers) or "none")
    found = benchmark("beats", *words, seconds=290)
    assert found["delivered, 400 schedules"]["ours"] == 100
    assert found["delivered, 400 schedules"]["peers"] == dict.fromkeys(peers, 100)
    for what in ("lag p50", "lag p99", "memory", "start to first message"):
        assert found[f"{what}, 400 schedules"]["ours"] > 0
