"""Calendars against a real PostgreSQL: what becomes of the schedules that use them."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from automagik.core.config import Settings
from automagik.core.database.models import ScheduleRow
from automagik.core.database.session import WAKE, Database, Listener
from automagik.core.exceptions import Conflict, InvalidInput, NotFound
from automagik.core.flows.flow_input import FlowInput
from automagik.core.flows.values import Flow
from automagik.core.scheduler.calendars import CalendarManager
from automagik.core.scheduler.exceptions import InvalidCadence
from automagik.core.scheduler.holidays import OnHoliday
from automagik.core.scheduler.manager import SchedulerManager
from automagik.core.scheduler.rule_text import RuleOption
from automagik.core.scheduler.values import (
    CadenceText,
    RuleLimits,
    Schedule,
    ScheduleChange,
    ScheduleStatus,
)
from tests.core.records import WAITS_FOR_A_ROW, put, rows

SOON = timedelta(seconds=20)
NOON = CadenceText(type="cron", expr="0 12 * * *")
TODAY = datetime.now(UTC).date()
COMING = {TODAY + timedelta(days=days): f"day {days}" for days in range(3)}
FAR = {date(2099, 1, 1): "far"}


@pytest.fixture
def calendars(database: Database) -> CalendarManager:
    return CalendarManager(database)


@pytest.fixture
def manager(database: Database, settings: Settings) -> SchedulerManager:
    return SchedulerManager(database, settings)


@pytest.fixture
def beat(database: Database) -> Iterator[Listener]:
    with database.listen(WAKE) as listener:
        yield listener


def make(
    manager: SchedulerManager, flow: Flow, cadence: CadenceText = NOON, **limits: Any
) -> Schedule:
    limited = RuleLimits(**{"calendar": "de"} | limits)
    return manager.create(flow, cadence, run_input=FlowInput(), limits=limited)


def day_of(schedule: Schedule) -> date:
    assert schedule.next_run_at is not None
    return schedule.next_run_at.astimezone(UTC).date()


def test_a_schedule_heeds_its_calendar(
    manager: SchedulerManager, calendars: CalendarManager, flow: Flow
) -> None:
    calendars.replace("de", COMING)
    schedule = make(manager, flow)

    assert day_of(schedule) == TODAY + timedelta(days=3)
    assert manager.list() == [schedule]
    assert "holidays of de" in schedule.rule.describe()


def test_when_it_changes_its_schedules_move_at_once(
    manager: SchedulerManager, calendars: CalendarManager, flow: Flow, beat: Listener
) -> None:
    calendars.replace("de", FAR)
    schedule = make(manager, flow)
    paused = manager.pause(make(manager, flow).id)
    other = manager.create(flow, NOON, run_input=FlowInput())
    while beat.wait(timedelta()):
        pass

    done = calendars.replace("de", COMING)
    moved = manager.get(schedule.id)

    assert (done.days, done.added, done.removed) == (3, 3, 1)
    assert done.moved_schedules == [schedule.name]
    assert day_of(moved) == TODAY + timedelta(days=3)
    assert moved.counts_from > schedule.counts_from
    assert beat.wait(SOON) == [""]
    assert manager.get(paused.id).next_run_at is None
    assert manager.get(other.id) == other
    assert calendars.replace("de", COMING).moved_schedules == []


def test_it_may_lose_all_of_its_days(
    manager: SchedulerManager, calendars: CalendarManager, flow: Flow
) -> None:
    calendars.replace("de", COMING)
    schedule = make(manager, flow)

    done = calendars.replace("de", {})

    assert (done.days, done.added, done.removed) == (0, 0, 3)
    assert done.moved_schedules == [schedule.name]
    assert calendars.holidays("de") == []


def test_what_is_due_already_stays_due(
    manager: SchedulerManager, calendars: CalendarManager, flow: Flow, database: Database
) -> None:
    calendars.replace("de", FAR)
    schedule = make(manager, flow)
    due = datetime.now(UTC) - timedelta(minutes=1)
    put(database, ScheduleRow, schedule.id, next_run_at=due)
    calendars.replace("de", COMING)

    assert manager.get(schedule.id).next_run_at == due


def test_a_schedule_that_has_no_day_left_is_completed_with_its_reason(
    manager: SchedulerManager, calendars: CalendarManager, flow: Flow
) -> None:
    calendars.replace("de", FAR)
    at = datetime.combine(TODAY + timedelta(days=2), datetime.min.time())
    schedule = make(manager, flow, CadenceText(type="oneshot", expr=at.isoformat()))
    calendars.replace("de", COMING)
    ended = manager.get(schedule.id)

    assert (ended.status, ended.next_run_at) == (ScheduleStatus.COMPLETED, None)
    assert ended.status_reason == "calendar de leaves no occurrence"


def test_who_makes_a_schedule_waits_for_who_changes_its_calendar(
    manager: SchedulerManager, calendars: CalendarManager, flow: Flow, database: Database
) -> None:
    calendars.replace("de", FAR)
    schedule = manager.create(flow, NOON, run_input=FlowInput())
    with ThreadPoolExecutor(2) as threads, database.transaction() as connection:
        _replace_in(connection, COMING)
        making = threads.submit(make, manager, flow)
        changing = threads.submit(manager.update, schedule.id, ScheduleChange(calendar="de"))
        _until(database, f"SELECT ({WAITS_FOR_A_ROW})")
        assert not making.done()
        assert not changing.done()
        connection.commit()
        made = [each.result(SOON.total_seconds()) for each in (making, changing)]

    assert {day_of(each) for each in made} == {TODAY + timedelta(days=3)}


def test_a_calendar_in_use_is_not_deleted(
    manager: SchedulerManager, calendars: CalendarManager, flow: Flow
) -> None:
    calendars.replace("de", FAR)
    schedule = make(manager, flow)

    with pytest.raises(Conflict, match=schedule.name) as refusal:
        calendars.delete("de")
    assert "--unset calendar" in str(refusal.value.hint)
    manager.update(schedule.id, ScheduleChange(unset=[RuleOption.CALENDAR]))
    calendars.delete("de")
    assert calendars.list() == []


def test_what_is_not_there_is_not_found(
    manager: SchedulerManager, calendars: CalendarManager, flow: Flow
) -> None:
    calendars.replace("de", FAR)
    schedule = manager.create(flow, NOON, run_input=FlowInput())
    for attempt in (
        lambda: calendars.holidays("dee"),
        lambda: calendars.delete("dee"),
        lambda: make(manager, flow, calendar="dee"),
        lambda: manager.update(schedule.id, ScheduleChange(calendar="dee")),
    ):
        with pytest.raises(NotFound, match="'dee'") as missing:
            attempt()
        assert "'de'" in str(missing.value.hint)


def test_bad_names_are_refused(calendars: CalendarManager) -> None:
    for name in ("", "-x", "a b", "ü"):
        with pytest.raises(InvalidInput, match="no name"):
            calendars.import_ics(name, "")


def test_limits_are_kept_changed_and_taken_back(
    manager: SchedulerManager, calendars: CalendarManager, flow: Flow
) -> None:
    calendars.replace("de", FAR)
    schedule = make(
        manager,
        flow,
        on_holiday=OnHoliday.NEXT_BUSINESS_DAY,
        exclusions=("2099-12-24",),
        quiet_hours="22:00-06:00",
    )
    more = CadenceText(type="interval", expr="45m")
    wider = manager.update(schedule.id, ScheduleChange(cadence=NOON, more_cadences=(more,)))
    later = manager.update(schedule.id, ScheduleChange(starts_at=datetime(2098, 5, 5, tzinfo=UTC)))
    plain = manager.update(
        schedule.id, ScheduleChange(cadence=NOON, unset=list(RuleOption), name="plain")
    )

    assert schedule.limits.exclusions == ("2099-12-24",)
    assert wider.more_cadences == (more,)
    assert wider.limits == schedule.limits
    assert later.anchor_at == wider.anchor_at, "an interval keeps its beat"
    assert later.next_run_at is not None
    assert later.next_run_at.year == 2098
    assert (plain.limits, plain.more_cadences) == (RuleLimits(), ())
    change = ScheduleChange(quiet_hours="01:00-02:00", unset=[RuleOption.QUIET_HOURS])
    with pytest.raises(InvalidInput, match="given and unset"):
        manager.update(schedule.id, change)
    with pytest.raises(InvalidCadence, match="never fires"):
        manager.update(schedule.id, ScheduleChange(exclusions=("* * * * *",)))
    assert manager.get(schedule.id) == plain


def test_h_follows_the_name_even_one_that_is_made_up(manager: SchedulerManager, flow: Flow) -> None:
    spread = CadenceText(type="cron", expr="H H * * *")
    first, second = (manager.create(flow, spread, run_input=FlowInput()) for _ in range(2))
    renamed = manager.update(first.id, ScheduleChange(name="another name"))

    assert len({each.next_run_at for each in (first, second, renamed)}) == 3
    for each in (first, second, renamed):
        assert each.next_run_at == each.rule.next_after(each.counts_from)
    again = manager.update(second.id, ScheduleChange(cadence=spread))
    assert again.next_run_at == second.next_run_at


def _replace_in(connection: Any, days: dict[date, str]) -> None:
    """What an import does before it commits."""
    connection.exec_driver_sql("UPDATE calendars SET updated_at = now() WHERE name = 'de'")
    connection.exec_driver_sql("DELETE FROM calendar_days")
    for day, title in days.items():
        connection.exec_driver_sql("INSERT INTO calendar_days VALUES ('de', %s, %s)", (day, title))


def _until(database: Database, query: str) -> None:
    deadline = datetime.now(UTC) + SOON
    while not rows(database, query)[0]:
        assert datetime.now(UTC) < deadline, "nobody waits"
