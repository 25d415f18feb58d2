"""This host's clock beside PostgreSQL's: what is measured, stored and said."""

import logging
import time
from datetime import timedelta

import pytest

from automagik.core.database.models import BeatRow, WorkerRow
from automagik.core.database.session import Database
from automagik.core.tasks import host_clock
from automagik.core.tasks.host_clock import HostClock, measured_offset
from automagik.core.tasks.presence import beat_ticked, register_beat, worker_alive
from tests.core.records import add_worker, row

MINUTE = 60.0


class WrongClock:
    """What host_clock takes for the module `time`: the wall clock is wrong by so many seconds."""

    def __init__(self) -> None:
        self.error = 0.0
        self.monotonic = time.monotonic

    def time(self) -> float:
        return time.time() + self.error


@pytest.fixture
def wrong_clock(monkeypatch: pytest.MonkeyPatch) -> WrongClock:
    clock = WrongClock()
    monkeypatch.setattr(host_clock, "time", clock)
    return clock


def said(clock: HostClock, database: Database, caplog: pytest.LogCaptureFixture) -> list[str]:
    """What one more measurement makes it say."""
    caplog.clear()
    with caplog.at_level(logging.INFO), database.transaction() as connection:
        clock.offset(connection)
    return [record.levelname for record in caplog.records]


def test_the_offset_is_what_the_host_is_ahead(database: Database, wrong_clock: WrongClock) -> None:
    for error in (0.0, MINUTE, -MINUTE):
        wrong_clock.error = error
        with database.transaction() as connection:
            assert measured_offset(connection) == pytest.approx(error, abs=0.5)


def test_a_slow_answer_tells_nothing(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host_clock, "SLOWEST_ANSWER", timedelta())
    with database.transaction() as connection:
        assert measured_offset(connection) is None


def test_a_wrong_clock_is_told_once_and_again_when_it_jumps(
    database: Database, wrong_clock: WrongClock, caplog: pytest.LogCaptureFixture
) -> None:
    clock = HostClock()
    assert said(clock, database, caplog) == []
    wrong_clock.error = 5 * MINUTE
    assert said(clock, database, caplog) == ["WARNING"]
    assert "+300.0 s" in caplog.text
    wrong_clock.error += 1
    assert said(clock, database, caplog) == []
    wrong_clock.error -= 60 * MINUTE
    assert said(clock, database, caplog) == ["WARNING"]
    wrong_clock.error = 0
    assert said(clock, database, caplog) == ["INFO"]
    assert said(clock, database, caplog) == []


def test_a_clock_that_creeps_around_the_limit_is_told_once(
    database: Database, wrong_clock: WrongClock, caplog: pytest.LogCaptureFixture
) -> None:
    clock = HostClock()
    told = []
    for error in (1.5, 2.4, 1.5, 2.4):
        wrong_clock.error = error
        told += said(clock, database, caplog)
    assert told == ["WARNING"]


def test_signs_of_life_keep_the_last_measurement(database: Database) -> None:
    worker = add_worker(database)
    with database.transaction() as connection:
        beat_id = register_beat(connection, hostname="here", pid=1, clock_offset=1.0)
        for offset in (-MINUTE, None):
            worker_alive(connection, worker.id, clock_offset=offset)
            beat_ticked(connection, beat_id, clock_offset=offset)

    assert row(database, WorkerRow, worker.id)["clock_offset_seconds"] == -MINUTE
    assert row(database, BeatRow, beat_id)["clock_offset_seconds"] == -MINUTE
