"""Pauses: what they hold back is told or made up for, whoever ends them and however."""

from collections.abc import Callable
from datetime import date, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as examples
from hypothesis import strategies as st
from sqlalchemy import delete, update

from automagik.core.config import Settings
from automagik.core.database.models import ScheduleRow, SourceRow
from automagik.core.database.session import Database
from automagik.core.exceptions import Conflict, InvalidInput
from automagik.core.flows.values import Flow
from automagik.core.scheduler.calendars import CalendarManager
from automagik.core.scheduler.changes import ResumeFrom
from automagik.core.scheduler.coverage import find_gaps
from automagik.core.scheduler.fire import fire
from automagik.core.scheduler.manager import SchedulerManager
from automagik.core.scheduler.pauses import end_pauses
from automagik.core.scheduler.values import CadenceText, Schedule, ScheduleChange, ScheduleStatus
from tests.core.records import MINUTE, add_schedules, now, put, row, rows
from tests.core.scheduler.simulated import pass_time

SECOND = timedelta(seconds=1)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)

SKIPPED = "SELECT first_at, last_at, reason FROM skipped_occurrences ORDER BY id"
OCCURRENCES = "SELECT scheduled_for FROM tasks ORDER BY scheduled_for"
RAN_AND_SKIPPED = """
SELECT t.scheduled_for FROM tasks t JOIN skipped_occurrences o ON o.schedule_id = t.schedule_id
    AND t.scheduled_for BETWEEN o.first_at AND o.last_at
"""


@pytest.fixture
def manager(database: Database, settings: Settings) -> SchedulerManager:
    return SchedulerManager(database, settings)


def add(database: Database, flow: Flow, *, late: timedelta, **columns: Any) -> UUID:
    """Every ten minutes; due for so long."""
    since = now(database) - DAY
    every = 10 * MINUTE
    return add_schedules(
        database, flow, every=every, late=late, **({"counts_from": since} | columns)
    )[0]


def beat(database: Database) -> int:
    with database.transaction() as connection:
        return end_pauses(connection)


def fire_all(database: Database, settings: Settings) -> None:
    fired = True
    while fired:
        with database.transaction() as connection:
            fired = bool(fire(connection, settings=settings, actor="beat@here"))


def gaps(database: Database) -> int:
    with database.transaction() as connection:
        return sum(gap.occurrences for gap in find_gaps(connection).gaps)


def stored(database: Database, schedule_id: UUID) -> dict[str, Any]:
    found = row(database, ScheduleRow, schedule_id)
    names = ("status", "next_run_at", "held_from", "paused_until", "status_reason")
    return {name: found[name] for name in names}


class TestByHand:
    def test_a_pause_keeps_where_the_clock_stood(
        self, database: Database, flow: Flow, manager: SchedulerManager
    ) -> None:
        schedule_id = add(database, flow, late=HOUR)
        due = row(database, ScheduleRow, schedule_id)["next_run_at"]

        paused = manager.pause(schedule_id, note="why")

        assert (paused.held_from, paused.next_run_at, paused.status_reason) == (due, None, "why")
        assert gaps(database) == 0

    def test_from_now_what_was_held_back_is_skipped(
        self, database: Database, settings: Settings, flow: Flow, manager: SchedulerManager
    ) -> None:
        schedule_id = add(database, flow, late=HOUR + MINUTE)
        before = row(database, ScheduleRow, schedule_id)
        due = before["next_run_at"]
        manager.pause(schedule_id)

        resumed = manager.resume(schedule_id)
        fire_all(database, settings)

        assert rows(database, SKIPPED) == [(due, due + HOUR, "paused")]
        assert rows(database, OCCURRENCES) == []
        assert resumed.next_run_at == due + HOUR + 10 * MINUTE
        assert (resumed.held_from, resumed.counts_from) == (None, before["counts_from"])
        assert gaps(database) == 0

    def test_from_the_last_the_misfire_policy_decides_as_after_downtime(
        self, database: Database, settings: Settings, flow: Flow, manager: SchedulerManager
    ) -> None:
        schedule_id = add(database, flow, late=HOUR + MINUTE, misfire="run-all")
        due = row(database, ScheduleRow, schedule_id)["next_run_at"]
        manager.pause(schedule_id)

        assert manager.resume(schedule_id, since=ResumeFrom.LAST).next_run_at == due
        fire_all(database, settings)

        assert rows(database, OCCURRENCES) == [due + n * 10 * MINUTE for n in range(7)]
        assert rows(database, SKIPPED) == []

    @pytest.mark.parametrize("since", ResumeFrom)
    def test_a_pause_that_held_nothing_back_leaves_the_clock_alone(
        self, database: Database, flow: Flow, manager: SchedulerManager, since: ResumeFrom
    ) -> None:
        schedule_id = add(database, flow, late=-HOUR)
        before = stored(database, schedule_id)
        manager.pause(schedule_id, note="why", until=2 * HOUR)
        manager.resume(schedule_id, since=since)

        assert stored(database, schedule_id) == before
        assert rows(database, SKIPPED) == []

    def test_what_was_set_aside_holds_nothing_back(
        self, database: Database, flow: Flow, manager: SchedulerManager
    ) -> None:
        schedule_id = add(database, flow, late=HOUR)
        put(database, ScheduleRow, schedule_id, status="error", next_run_at=None)

        with pytest.raises(Conflict, match="no occurrence is held back"):
            manager.resume(schedule_id, since=ResumeFrom.LAST)

    def test_the_end_must_lie_ahead(
        self, database: Database, flow: Flow, manager: SchedulerManager
    ) -> None:
        schedule_id = add(database, flow, late=-HOUR)

        for wrong in (now(database) - SECOND, timedelta.max):
            with pytest.raises(InvalidInput):
                manager.pause(schedule_id, until=wrong)
        assert stored(database, schedule_id)["status"] == "active"

    def test_the_last_word_about_the_end_counts_and_a_note_stays(
        self, database: Database, flow: Flow, manager: SchedulerManager
    ) -> None:
        schedule_id = add(database, flow, late=-HOUR)
        first = manager.pause(schedule_id, note="why", until=2 * HOUR)
        again = manager.pause(schedule_id)

        assert (again.paused_until, again.status_reason) == (first.paused_until, "why")
        assert manager.pause(schedule_id, until=HOUR).paused_until != first.paused_until
        manager.resume(schedule_id)
        assert manager.pause(schedule_id).paused_until is None


class TestByBeats:
    def test_at_its_end_a_beat_resumes_it_and_what_came_before_is_skipped(
        self, database: Database, settings: Settings, flow: Flow, manager: SchedulerManager
    ) -> None:
        schedule_id = add(database, flow, late=HOUR, misfire="run-all")
        due = row(database, ScheduleRow, schedule_id)["next_run_at"]
        manager.pause(schedule_id, note="why", until=HOUR)
        assert beat(database) == 0
        pass_time(database, 2 * HOUR)
        shift = due - 2 * HOUR

        assert beat(database) == 1
        assert stored(database, schedule_id) == {
            "status": "active",
            "next_run_at": shift + 2 * HOUR + 10 * MINUTE,
            "held_from": None,
            "paused_until": None,
            "status_reason": None,
        }
        assert rows(database, SKIPPED) == [(shift, shift + 2 * HOUR, "paused")]
        fire_all(database, settings)

        # It was an hour late, which is left to the misfire policy.
        assert len(rows(database, OCCURRENCES)) == 6
        assert gaps(database) == 0

    def test_an_occurrence_at_the_very_end_runs(
        self, database: Database, flow: Flow, manager: SchedulerManager
    ) -> None:
        schedule_id = add(database, flow, late=-10 * MINUTE)
        end = row(database, ScheduleRow, schedule_id)["next_run_at"] + 10 * MINUTE
        manager.pause(schedule_id, until=end)
        pass_time(database, HOUR)
        beat(database)

        assert stored(database, schedule_id)["next_run_at"] == end - HOUR
        held = end - 10 * MINUTE - HOUR
        assert rows(database, SKIPPED) == [(held, held, "paused")]

    def test_one_whose_last_occurrence_was_held_back_is_completed(
        self, database: Database, flow: Flow, manager: SchedulerManager
    ) -> None:
        at = now(database) + HOUR
        once = {"type": "oneshot", "expr": at.isoformat()}
        schedule_id = add(database, flow, late=-HOUR, next_run_at=at, **once)
        manager.pause(schedule_id, until=2 * HOUR)
        pass_time(database, 3 * HOUR)
        put(database, ScheduleRow, schedule_id, expr=(at - 3 * HOUR).isoformat())
        beat(database)

        found = stored(database, schedule_id)
        assert (found["status"], found["next_run_at"]) == ("completed", None)
        assert found["status_reason"] == "its last occurrence was skipped: paused"
        assert gaps(database) == 0

    def test_a_rule_that_cannot_be_computed_stops_no_other(
        self, database: Database, flow: Flow, manager: SchedulerManager
    ) -> None:
        good, *bad = (add(database, flow, late=-MINUTE) for _ in range(3))
        for schedule_id in (good, *bad):
            manager.pause(schedule_id, until=HOUR)
        put(database, ScheduleRow, bad[0], expr="sometimes")
        put(database, ScheduleRow, bad[1], exclusions=[17])
        pass_time(database, 2 * HOUR)

        assert beat(database) == 3

        assert stored(database, good)["status"] == "active"
        assert {stored(database, each)["status"] for each in bad} == {"error"}
        assert "sometimes" in stored(database, bad[0])["status_reason"]

    def test_what_somebody_holds_is_left_for_the_next_time(
        self, database: Database, flow: Flow, manager: SchedulerManager
    ) -> None:
        held, free = (add(database, flow, late=-MINUTE) for _ in range(2))
        for schedule_id in (held, free):
            manager.pause(schedule_id, until=HOUR)
        pass_time(database, 2 * HOUR)

        with database.transaction() as connection:
            connection.execute(update(ScheduleRow).where(ScheduleRow.id == held).values(name="x"))
            assert beat(database) == 1
        assert beat(database) == 1

    def test_what_failed_before_is_forgiven_then(
        self, database: Database, flow: Flow, manager: SchedulerManager
    ) -> None:
        schedule_id = add(database, flow, late=-MINUTE)
        manager.pause(schedule_id, until=HOUR)
        pass_time(database, 2 * HOUR)
        before = now(database)
        beat(database)

        assert row(database, ScheduleRow, schedule_id)["updated_at"] >= before


class TestChanges:
    def test_under_a_new_rule_it_holds_back_anew_and_the_old_rule_is_told(
        self, database: Database, flow: Flow, manager: SchedulerManager
    ) -> None:
        schedule_id = add(database, flow, late=HOUR)
        due = row(database, ScheduleRow, schedule_id)["next_run_at"]
        manager.pause(schedule_id, until=3 * HOUR)
        before = now(database)
        hourly = ScheduleChange(cadence=CadenceText(type="interval", expr="1h"))

        changed = manager.update(schedule_id, hourly)

        assert rows(database, SKIPPED) == [(due, due + HOUR, "paused")]
        assert (changed.status, changed.next_run_at) == (ScheduleStatus.PAUSED, None)
        assert changed.paused_until is not None
        assert changed.held_from is not None
        assert before < changed.counts_from < changed.held_from <= before + HOUR + SECOND
        assert gaps(database) == 0

    def test_new_days_of_its_calendar_are_told_by_the_old_ones(
        self, database: Database, flow: Flow, manager: SchedulerManager
    ) -> None:
        calendars = CalendarManager(database)
        today = now(database).date()
        calendars.replace("de", {date(2020, 1, 1): "long ago"})
        schedule_id = add(database, flow, late=HOUR, calendar="de")
        due = row(database, ScheduleRow, schedule_id)["next_run_at"]
        manager.pause(schedule_id)

        calendars.replace("de", {today + n * DAY: "off" for n in range(-1, 3)})

        assert rows(database, SKIPPED) == [(due, due + HOUR, "paused")]
        assert stored(database, schedule_id)["held_from"].date() == today + 3 * DAY
        assert gaps(database) == 0

    def test_its_name_and_input_leave_what_is_held_back(
        self, database: Database, flow: Flow, manager: SchedulerManager
    ) -> None:
        schedule_id = add(database, flow, late=HOUR)
        held_from = manager.pause(schedule_id).held_from

        changed = manager.update(schedule_id, ScheduleChange(name="new", priority=3))

        assert changed.held_from == held_from
        assert rows(database, SKIPPED) == []


class Life:
    """A schedule to which things happen; each of the names below is one."""

    def __init__(self, database: Database, settings: Settings, flow: Flow, misfire: str) -> None:
        self.database = database
        self.settings = settings.model_copy(update={"misfire_grace_seconds": 60.0})
        self.manager = SchedulerManager(database, settings)
        self.flow = flow
        [self.id] = add_schedules(database, flow, late=-MINUTE, misfire=misfire)
        put(database, ScheduleRow, self.id, counts_from=now(database))

    def happens(self, what: str, number: int) -> None:
        deeds: dict[str, Callable[[], object]] = {
            "beat": self.beat,
            "beat late": self.beat_late,
            "pause": lambda: self.manager.pause(self.id),
            "pause for a while": lambda: self.manager.pause(self.id, until=number * 40 * SECOND),
            "resume": lambda: self.manager.resume(self.id),
            "resume from last": lambda: self.manager.resume(self.id, since=ResumeFrom.LAST),
            "update": lambda: self.manager.update(self.id, every(number)),
            "disable": lambda: self.disable(now(self.database)),
            "enable": lambda: self.disable(None),
        }
        deeds[what]()
        pass_time(self.database, number * 37 * SECOND)

    def beat(self) -> None:
        beat(self.database)
        fire_all(self.database, self.settings)

    def beat_late(self) -> None:
        pass_time(self.database, HOUR)
        self.beat()

    def disable(self, at: datetime | None) -> None:
        put(self.database, SourceRow, self.flow.source_id, disabled_at=at)

    def ends(self) -> Schedule:
        self.disable(None)
        self.beat()
        self.manager.resume(self.id)
        self.beat()
        return self.manager.get(self.id)

    def delete(self) -> None:
        with self.database.transaction() as connection:
            connection.execute(delete(ScheduleRow).where(ScheduleRow.id == self.id))


def every(minutes: int) -> ScheduleChange:
    return ScheduleChange(cadence=CadenceText(type="interval", expr=f"{minutes}m"))


DEEDS = st.sampled_from(
    [
        *("beat", "beat", "beat late", "pause", "pause", "pause for a while", "resume"),
        *("resume from last", "resume from last", "update", "disable", "enable"),
    ]
)


@examples(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    misfire=st.sampled_from(["run-once", "skip", "run-all"]),
    deeds=st.lists(st.tuples(DEEDS, st.integers(1, 5)), max_size=14),
)
def test_however_it_is_paused_resumed_and_changed_each_occurrence_is_told_once(
    database: Database,
    settings: Settings,
    flow: Flow,
    misfire: str,
    deeds: list[tuple[str, int]],
) -> None:
    life = Life(database, settings, flow, misfire)
    for what, number in deeds:
        life.happens(what, number)
        assert gaps(database) == 0, what
    ended = life.ends()

    assert gaps(database) == 0
    assert rows(database, RAN_AND_SKIPPED) == []
    assert ended.status is ScheduleStatus.ACTIVE
    tasks = rows(database, "SELECT id FROM tasks WHERE schedule_id = :id", id=life.id)
    assert ended.runs == len(tasks), "none ran twice"
    life.delete()
