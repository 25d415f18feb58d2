"""What is skipped without end is one stretch, so that the record of it does not grow."""

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from automagik.core.database.models import ScheduleRow
from automagik.core.database.session import Database
from automagik.core.flows.values import Flow
from automagik.core.scheduler.skipped import tell_skipped
from tests.core.records import MINUTE, add_schedules, now, put, rows

HOUR = timedelta(hours=1)
STRETCHES = "SELECT first_at, last_at, reason FROM skipped_occurrences ORDER BY first_at, id"


class Record:
    """Of one schedule, whose rule is in force for a day; its minutes are counted from then."""

    def __init__(self, database: Database, flow: Flow) -> None:
        self.database = database
        self.begin = now(database) - 24 * HOUR
        [self.id] = add_schedules(database, flow, counts_from=self.begin, late=-HOUR)

    def at(self, minute: int) -> datetime:
        return self.begin + minute * MINUTE

    def tell(self, *stretches: tuple[int, int, str]) -> None:
        told = [
            {"schedule_id": self.id, "first_at": self.at(a), "last_at": self.at(b), "reason": why}
            for a, b, why in stretches
        ]
        with self.database.transaction() as connection:
            tell_skipped(connection, told)

    def put(self, **columns: Any) -> None:
        put(self.database, ScheduleRow, self.id, **columns)

    @property
    def stretches(self) -> list[tuple[int, int, str]]:
        found = rows(self.database, STRETCHES)
        return [
            ((a - self.begin) // MINUTE, (b - self.begin) // MINUTE, why) for a, b, why in found
        ]


@pytest.fixture
def record(database: Database, flow: Flow) -> Record:
    return Record(database, flow)


def test_a_stretch_goes_on_while_nothing_runs(record: Record) -> None:
    for minute in range(1, 60):
        record.tell((minute, minute, "overlap"))

    assert record.stretches == [(1, 59, "overlap")]


def test_a_night_within_it_grows_no_more_rows_either(record: Record) -> None:
    for minute in range(1, 60, 10):
        record.tell((minute + 5, minute + 6, "quiet-hours"), (minute, minute + 9, "misfire"))

    assert record.stretches == [(1, 60, "misfire"), (6, 57, "quiet-hours")]


def test_another_reason_begins_another_stretch(record: Record) -> None:
    record.tell((1, 2, "overlap"))
    record.tell((3, 4, "misfire"), (5, 6, "overlap"))
    record.tell((7, 8, "overlap"))

    assert record.stretches == [(1, 2, "overlap"), (3, 4, "misfire"), (5, 8, "overlap")]


@pytest.mark.parametrize("column", ["last_run_at", "counts_from"])
def test_what_ran_or_changed_between_ends_a_stretch(record: Record, column: str) -> None:
    record.tell((1, 2, "overlap"))
    record.put(**{column: record.at(3)})
    record.tell((4, 5, "overlap"))

    assert record.stretches == [(1, 2, "overlap"), (4, 5, "overlap")]


def test_a_catch_up_that_goes_backwards_is_told_as_it_goes(record: Record) -> None:
    record.put(caught_up_from=record.at(9), caught_up_until=record.at(12))
    record.tell((7, 8, "overlap"))
    record.tell((5, 6, "overlap"), (13, 14, "overlap"))

    assert record.stretches == [(5, 6, "overlap"), (7, 8, "overlap"), (13, 14, "overlap")]


def test_what_is_told_twice_is_there_once(record: Record) -> None:
    record.tell((1, 4, "quiet-hours"))
    record.tell((2, 3, "quiet-hours"))

    assert record.stretches == [(1, 4, "quiet-hours")]


def test_schedules_do_not_mix(record: Record, database: Database, flow: Flow) -> None:
    other = Record(database, flow)
    record.tell((1, 1, "overlap"))
    other.tell((2, 2, "overlap"))
    ids: list[UUID] = list(
        rows(database, "SELECT schedule_id FROM skipped_occurrences ORDER BY id")
    )

    assert ids == [record.id, other.id]
