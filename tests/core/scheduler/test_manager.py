"""SchedulerManager against a real PostgreSQL."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import event, func, select, text, update

from automagik.core.config import Settings
from automagik.core.database.base import new_id
from automagik.core.database.models import ScheduleRow
from automagik.core.database.session import WAKE, Database, Listener
from automagik.core.exceptions import AutomagikError, Conflict, InvalidInput, NotFound
from automagik.core.flows.flow_input import FlowInput
from automagik.core.flows.values import Flow, FlowChange
from automagik.core.scheduler.cadence import ScheduleType
from automagik.core.scheduler.exceptions import InvalidCadence
from automagik.core.scheduler.manager import SchedulerManager
from automagik.core.scheduler.selection import Selection
from automagik.core.scheduler.values import (
    CadenceText,
    Schedule,
    ScheduleChange,
    ScheduleStatus,
)
from automagik.core.tasks.run_options import RunOption
from automagik.core.tasks.states import TaskState
from tests.core.scheduler.stored import add_flow, mark_gone

SOON = timedelta(seconds=5)
NEXT_YEAR = datetime.now(UTC).year + 1
EVERY_5M = CadenceText(type="interval", expr="5m")
DAILY = CadenceText(type="cron", expr="0 9 * * *")
ONCE = CadenceText(type="one-time", expr=f"{NEXT_YEAR}-01-02T09:00")


@pytest.fixture
def database(settings: Settings) -> Iterator[Database]:
    opened = Database(settings.require_database_url())
    yield opened
    opened.dispose()


@pytest.fixture
def manager(database: Database, settings: Settings) -> SchedulerManager:
    return SchedulerManager(database, settings)


@pytest.fixture
def flow(database: Database) -> Flow:
    return add_flow(database)


@pytest.fixture
def beat(database: Database) -> Iterator[Listener]:
    """Hears what wakes a beat."""
    with database.listen(WAKE) as listener:
        yield listener


def make(
    manager: SchedulerManager, flow: Flow, cadence: CadenceText = EVERY_5M, **more: Any
) -> Schedule:
    return manager.create(flow, cadence, **{"run_input": FlowInput(input_value="hi")} | more)


def put(database: Database, schedule: Schedule, **columns: Any) -> None:
    """A beat, or a person with psql, writes these columns."""
    with database.transaction() as connection:
        connection.execute(
            update(ScheduleRow).where(ScheduleRow.id == schedule.id).values(**columns)
        )


def test_an_interval_begins_now_and_is_first_due_after_its_length(
    manager: SchedulerManager, flow: Flow
) -> None:
    schedule = make(manager, flow)

    assert schedule.type is ScheduleType.INTERVAL
    assert schedule.status is ScheduleStatus.ACTIVE
    assert schedule.next_run_at == schedule.anchor_at + timedelta(minutes=5)
    assert abs(datetime.now(UTC) - schedule.anchor_at) < timedelta(minutes=1)
    assert manager.get(schedule.id) == schedule


def test_the_zone_is_that_of_the_settings_unless_one_is_given(
    manager: SchedulerManager, flow: Flow
) -> None:
    there = make(manager, flow, DAILY, timezone="Asia/Kolkata")

    assert make(manager, flow, DAILY).timezone == "UTC"
    assert there.next_run_at is not None
    assert (there.next_run_at.hour, there.next_run_at.minute) == (3, 30)


def test_a_one_shot_of_now_is_due_at_once(
    manager: SchedulerManager, flow: Flow, database: Database
) -> None:
    schedule = make(manager, flow, CadenceText(type="oneshot", expr="now"))

    with database.transaction() as connection:
        due = select(ScheduleRow.next_run_at <= func.now()).where(ScheduleRow.id == schedule.id)
        assert connection.scalar(due) is True


def test_all_that_was_given_is_kept(manager: SchedulerManager, database: Database) -> None:
    schedule = make(
        manager,
        add_flow(database, "Slow"),
        run_input=FlowInput(
            input_value="größer",
            tweaks={"Sleep": {"seconds": 1.5}},
            session_id="mine",
        ),
        name=" nightly ",
        priority=3,
        queue="gpu",
        max_retries=0,
        timeout=timedelta(seconds=90),
    )

    assert schedule.name == "nightly"
    assert schedule.run_input == FlowInput(
        input_value="größer", tweaks={"SleepComponent-slow": {"seconds": 1.5}}, session_id="mine"
    )
    assert (schedule.priority, schedule.queue, schedule.max_retries) == (3, "gpu", 0)
    assert schedule.timeout == timedelta(seconds=90)


def test_without_a_name_it_gets_one_from_flow_and_rule(
    manager: SchedulerManager, flow: Flow
) -> None:
    at_midnight = CadenceText(type="cron", expr="@daily")
    for cadence, name in (
        (EVERY_5M, "echo-every-5m"),
        (DAILY, "echo-cron"),
        (at_midnight, "echo-daily"),
        (ONCE, "echo-once"),
        (CadenceText(type="rrule", expr="FREQ=WEEKLY;BYDAY=MO"), "echo-rrule"),
        (CadenceText(type="calendar", expr="every 2 days at 09:00"), "echo-calendar"),
    ):
        names = [make(manager, flow, cadence).name for _ in range(3)]
        assert names == [name, f"{name}-2", f"{name}-3"]


def test_names_made_up_at_the_same_time_differ(manager: SchedulerManager, flow: Flow) -> None:
    with ThreadPoolExecutor(4) as threads:
        made = list(threads.map(lambda _: make(manager, flow), range(8)))

    assert len({schedule.name for schedule in made}) == 8


def test_a_name_that_is_taken_is_refused(manager: SchedulerManager, flow: Flow) -> None:
    make(manager, flow, name="nightly")
    other = make(manager, flow)

    with pytest.raises(Conflict, match="'nightly'"):
        make(manager, flow, name="nightly")
    with pytest.raises(Conflict, match="'nightly'"):
        manager.update(other.id, ScheduleChange(name="nightly"))


def test_bad_names_and_rules_are_refused_and_nothing_is_stored(
    manager: SchedulerManager, flow: Flow
) -> None:
    for name in ("", "  ", "a\nb", "-x", "@last", "n" * 201):
        with pytest.raises(InvalidInput):
            make(manager, flow, name=name)
    for type_, expr in (
        ("interval", "0s"),
        ("cron", "0 0 30 2 *"),
        ("oneshot", "2020-01-01T00:00"),
        ("hourly", "1"),
    ):
        with pytest.raises(InvalidCadence):
            make(manager, flow, CadenceText(type=type_, expr=expr))
    assert manager.list() == []


def test_a_priority_out_of_range_and_a_queue_that_no_name_fits_are_refused(
    manager: SchedulerManager, flow: Flow
) -> None:
    schedule = make(manager, flow)
    cases: list[dict[str, Any]] = [{"priority": 1001}, {"priority": -1001}, {"queue": "a b"}]
    for wrong in cases:
        with pytest.raises(InvalidInput, match=next(iter(wrong))):
            make(manager, flow, **wrong)
        with pytest.raises(InvalidInput, match=next(iter(wrong))):
            manager.update(schedule.id, ScheduleChange(**wrong))
    assert manager.list() == [schedule]


def test_input_that_does_not_fit_the_flow_is_refused(manager: SchedulerManager, flow: Flow) -> None:
    unknown = FlowInput(tweaks={"Nobody": {"x": 1}})

    with pytest.raises(InvalidInput, match="Nobody"):
        make(manager, flow, run_input=unknown)
    with pytest.raises(InvalidInput, match="Nobody"):
        manager.update(make(manager, flow).id, ScheduleChange(tweaks=unknown.tweaks))


def test_a_flow_that_is_gone_gets_no_runs(
    manager: SchedulerManager, flow: Flow, database: Database
) -> None:
    schedule = make(manager, flow)
    manager.pause(schedule.id)
    mark_gone(database, flow)

    for attempt in (
        lambda: make(manager, manager._flows.get("Echo")),
        lambda: manager.resume(schedule.id),
        lambda: manager.trigger(schedule.id, actor="test"),
    ):
        with pytest.raises(Conflict, match="any more") as refusal:
            attempt()
        assert "flows sync" in str(refusal.value.hint)


def test_a_flow_that_was_deleted_meanwhile_is_said_so(
    manager: SchedulerManager, flow: Flow, database: Database
) -> None:
    manager._flows.delete(flow)

    with pytest.raises(NotFound):
        make(manager, flow)


def test_every_change_wakes_the_beats(
    manager: SchedulerManager, flow: Flow, beat: Listener
) -> None:
    schedule = make(manager, flow)
    assert beat.wait(SOON) == [""]
    for change in (
        lambda: manager.update(schedule.id, ScheduleChange(cadence=DAILY)),
        lambda: manager.pause(schedule.id),
        lambda: manager.resume(schedule.id),
        lambda: manager.trigger(schedule.id, actor="test"),
        lambda: manager.delete(schedule.id),
    ):
        change()
        assert beat.wait(SOON) == [""]


def test_a_change_waits_for_the_beat_that_holds_the_row(
    manager: SchedulerManager, flow: Flow, database: Database
) -> None:
    schedule = make(manager, flow)
    with ThreadPoolExecutor(1) as threads, database.transaction() as connection:
        hold = select(ScheduleRow.id).where(ScheduleRow.id == schedule.id).with_for_update()
        connection.execute(hold)
        pausing = threads.submit(manager.pause, schedule.id)
        _until_somebody_waits(database)
        assert not pausing.done()
        connection.rollback()
        paused = pausing.result(SOON.total_seconds())

    assert paused.status is ScheduleStatus.PAUSED


def test_paused_it_has_no_next_run_and_resumed_it_keeps_its_beat(
    manager: SchedulerManager, flow: Flow, database: Database
) -> None:
    schedule = make(manager, flow)
    long_ago = schedule.anchor_at - timedelta(days=3, minutes=1)
    put(database, schedule, anchor_at=long_ago, next_run_at=long_ago + timedelta(minutes=5))
    paused = manager.pause(schedule.id, note="maintenance")
    resumed = manager.resume(schedule.id)

    assert (paused.status, paused.status_reason) == (ScheduleStatus.PAUSED, "maintenance")
    assert paused.next_run_at is None
    assert (resumed.status, resumed.status_reason) == (ScheduleStatus.ACTIVE, None)
    assert resumed.next_run_at is not None
    assert (resumed.next_run_at - long_ago) % timedelta(minutes=5) == timedelta(0)
    assert resumed.next_run_at > datetime.now(UTC) - SOON


def test_pausing_and_resuming_twice_is_once(manager: SchedulerManager, flow: Flow) -> None:
    schedule = make(manager, flow)
    paused = manager.pause(schedule.id, note="first")

    assert manager.pause(schedule.id) == paused
    assert manager.pause(schedule.id, note="second").status_reason == "second"
    assert manager.resume(schedule.id) == manager.resume(schedule.id)


def test_what_a_beat_set_aside_can_be_resumed_but_not_paused(
    manager: SchedulerManager, flow: Flow, database: Database
) -> None:
    schedule = make(manager, flow)
    put(database, schedule, status="error", status_reason="odd", next_run_at=None)

    with pytest.raises(Conflict, match="odd"):
        manager.pause(schedule.id)
    assert manager.resume(schedule.id).status is ScheduleStatus.ACTIVE


def test_a_one_shot_whose_time_has_passed_is_not_resumed_but_can_get_a_new_time(
    manager: SchedulerManager, flow: Flow, database: Database
) -> None:
    schedule = make(manager, flow, ONCE)
    past = {"expr": "2020-01-01T00:00:00+00:00", "next_run_at": None}
    for status in ("completed", "paused"):
        put(database, schedule, status=status, **past)
        with pytest.raises(Conflict, match="passed") as refusal:
            manager.resume(schedule.id)
        assert "--at" in str(refusal.value.hint)

    put(database, schedule, status="completed", **past)
    again = manager.update(schedule.id, ScheduleChange(cadence=ONCE))

    assert again.status is ScheduleStatus.ACTIVE
    assert again.next_run_at == datetime(NEXT_YEAR, 1, 2, 9, tzinfo=UTC)


def test_a_new_rule_counts_from_now(
    manager: SchedulerManager, flow: Flow, database: Database
) -> None:
    schedule = make(manager, flow)
    put(database, schedule, anchor_at=schedule.anchor_at - timedelta(hours=1))
    updated = manager.update(
        schedule.id, ScheduleChange(cadence=CadenceText(type="interval", expr="10m"))
    )

    assert updated.expr == "10m"
    assert updated.anchor_at >= schedule.anchor_at
    assert updated.next_run_at == updated.anchor_at + timedelta(minutes=10)


def test_the_same_rule_again_moves_nothing(manager: SchedulerManager, flow: Flow) -> None:
    schedule = make(manager, flow)
    same = ScheduleChange(cadence=CadenceText(type="interval", expr="300s"), timezone="UTC")

    assert manager.update(schedule.id, same) == schedule


def test_what_is_not_given_stays(manager: SchedulerManager, flow: Flow) -> None:
    schedule = make(manager, flow, run_input=FlowInput(input_value="hi", session_id="mine"))
    updated = manager.update(schedule.id, ScheduleChange(input_value="ho", priority=2))

    assert updated.run_input == FlowInput(input_value="ho", session_id="mine")
    assert updated.priority == 2
    assert (updated.next_run_at, updated.anchor_at) == (schedule.next_run_at, schedule.anchor_at)
    assert updated.updated_at > schedule.updated_at


def test_what_is_unset_is_left_to_the_flow_again(manager: SchedulerManager, flow: Flow) -> None:
    minute = timedelta(minutes=1)
    schedule = make(manager, flow, priority=0, queue="gpu", max_retries=1, timeout=minute)
    less = manager.update(schedule.id, ScheduleChange(unset=[RunOption.PRIORITY, RunOption.QUEUE]))
    none = manager.update(schedule.id, ScheduleChange(unset=list(RunOption)))

    assert (less.priority, less.queue, less.max_retries, less.timeout) == (None, None, 1, minute)
    assert (none.priority, none.queue, none.max_retries, none.timeout) == (None,) * 4
    assert make(manager, flow).priority is None
    with pytest.raises(InvalidInput, match="priority is given and unset"):
        manager.update(schedule.id, ScheduleChange(priority=1, unset=[RunOption.PRIORITY]))


def test_its_rule_counts_from_now_when_it_is_new_or_changed_and_else_as_before(
    manager: SchedulerManager, flow: Flow, database: Database
) -> None:
    schedule = make(manager, flow)
    long_ago = schedule.counts_from - timedelta(days=1)

    def counts_anew(change: Callable[[], Schedule]) -> bool:
        put(database, schedule, counts_from=long_ago)
        changed = change().counts_from
        assert changed == long_ago or abs(changed - schedule.counts_from) < timedelta(hours=1)
        return changed != long_ago

    def updated(**change: Any) -> Callable[[], Schedule]:
        return lambda: manager.update(schedule.id, ScheduleChange(**change))

    assert timedelta() <= schedule.counts_from - schedule.anchor_at < timedelta(seconds=1)
    assert counts_anew(updated(cadence=DAILY))
    assert counts_anew(updated(timezone="Asia/Tokyo"))
    assert not counts_anew(updated(cadence=DAILY, timezone="Asia/Tokyo"))
    assert not counts_anew(updated(name="new", priority=1, input_value="ho"))
    assert not counts_anew(lambda: manager.resume(schedule.id)), "it is active"
    assert not counts_anew(lambda: manager.pause(schedule.id))
    assert not counts_anew(lambda: manager.resume(schedule.id)), "what was held back is told"
    put(database, schedule, status="error", status_reason="odd", next_run_at=None)
    assert counts_anew(lambda: manager.resume(schedule.id)), "it had no clock"


def test_a_change_that_holds_a_row_needs_no_second_connection(
    manager: SchedulerManager, flow: Flow, database: Database
) -> None:
    schedule = make(manager, flow)
    open_at_once = _connections_at_once(database)

    manager.update(schedule.id, ScheduleChange(input_value="ho", queue="gpu", cadence=DAILY))
    manager.pause(schedule.id)
    manager.resume(schedule.id)
    make(manager, flow, queue="night")

    assert max(open_at_once) == 1


def test_an_empty_session_means_none(manager: SchedulerManager, flow: Flow) -> None:
    schedule = make(manager, flow, run_input=FlowInput(session_id="mine"))
    updated = manager.update(schedule.id, ScheduleChange(session_id=""))

    assert updated.run_input.session_id is None


def test_a_new_zone_moves_a_cron_rule_and_leaves_a_one_shot(
    manager: SchedulerManager, flow: Flow
) -> None:
    cron, once = make(manager, flow, DAILY), make(manager, flow, ONCE)
    there = ScheduleChange(timezone="Asia/Tokyo")
    moved = manager.update(cron.id, there).next_run_at

    assert moved is not None
    assert moved.hour == 0
    assert manager.update(once.id, there).next_run_at == once.next_run_at


def test_a_change_does_not_start_what_is_paused(manager: SchedulerManager, flow: Flow) -> None:
    schedule = make(manager, flow)
    manager.pause(schedule.id)
    updated = manager.update(schedule.id, ScheduleChange(cadence=DAILY))

    assert (updated.status, updated.next_run_at) == (ScheduleStatus.PAUSED, None)
    assert updated.type is ScheduleType.CRON


def test_an_unknown_zone_is_refused(manager: SchedulerManager, flow: Flow) -> None:
    schedule = make(manager, flow)

    with pytest.raises(InvalidCadence, match="Europe/Berlin"):
        manager.update(schedule.id, ScheduleChange(timezone="Europe/Berln"))


def test_a_trigger_runs_now_and_the_next_run_stays(
    manager: SchedulerManager, flow: Flow, database: Database
) -> None:
    schedule = make(
        manager,
        flow,
        run_input=FlowInput(input_value="hi", session_id="mine"),
        priority=4,
        max_retries=1,
        timeout=timedelta(seconds=7),
    )
    task = manager.trigger(schedule.id, actor="cli")

    assert (task.schedule_id, task.scheduled_for) == (schedule.id, None)
    assert (task.state, task.state_actor) == (TaskState.PENDING, "cli")
    assert (task.priority, task.max_retries, task.timeout) == (4, 1, timedelta(seconds=7))
    assert manager._tasks.run_input(task.id) == schedule.run_input
    assert manager.get(schedule.id) == schedule


def test_a_trigger_takes_what_the_schedule_leaves_open_from_the_flow(
    manager: SchedulerManager, flow: Flow
) -> None:
    manager._flows.update(flow, FlowChange(priority=7, queue="gpu", at_most_once=True))
    open_schedule = make(manager, flow)
    own = make(manager, flow, priority=0, queue="night")

    tasks = [manager.trigger(schedule.id, actor="cli") for schedule in (open_schedule, own)]

    assert [(t.priority, t.queue, t.at_most_once) for t in tasks] == [
        (7, "gpu", True),
        (0, "night", True),
    ]


def test_deleting_a_schedule_leaves_its_tasks(manager: SchedulerManager, flow: Flow) -> None:
    schedule = make(manager, flow)
    task = manager.trigger(schedule.id, actor="cli")
    manager.delete(schedule.id)

    assert manager._tasks.get(task.id).schedule_id is None
    with pytest.raises(NotFound):
        manager.get(schedule.id)


def test_the_next_to_run_is_listed_first(
    manager: SchedulerManager, flow: Flow, database: Database
) -> None:
    other = add_flow(database, "Slow")
    paused = manager.pause(make(manager, flow).id)
    later = make(manager, other, ONCE)
    sooner = make(manager, flow)

    assert manager.list() == [sooner, later, paused]
    assert manager.list(Selection(flow_id=other.id)) == [later]
    assert manager.list(Selection(statuses=[ScheduleStatus.PAUSED])) == [paused]


def test_a_schedule_is_meant_by_name_or_by_the_beginning_of_its_id(
    manager: SchedulerManager, flow: Flow
) -> None:
    schedule = make(manager, flow, name="Nightly")

    for reference in ("Nightly", "nightly", str(schedule.id), str(schedule.id)[:13]):
        assert manager.resolve(reference) == schedule.id
    with pytest.raises(NotFound) as missing:
        manager.resolve("nightli")
    assert "'Nightly'" in str(missing.value.hint)


def test_what_is_not_there_is_not_found(manager: SchedulerManager) -> None:
    for verb in (manager.get, manager.pause, manager.resume, manager.delete):
        with pytest.raises(NotFound):
            verb(new_id())


def test_what_is_stored_and_no_rule_any_more_is_an_error_of_ours(
    manager: SchedulerManager, flow: Flow, database: Database
) -> None:
    schedule = make(manager, flow)
    put(database, schedule, expr="nonsense", status="error", next_run_at=None)

    with pytest.raises(AutomagikError, match="nonsense"):
        manager.resume(schedule.id)
    assert manager.update(schedule.id, ScheduleChange(cadence=DAILY)).expr == "0 9 * * *"


def _connections_at_once(database: Database) -> list[int]:
    """How many were out of the pool, each time that one was taken."""
    out: set[object] = set()
    counts: list[int] = []

    def taken(_: object, record: object, __: object) -> None:
        out.add(record)
        counts.append(len(out))

    event.listen(database.engine, "checkout", taken)
    event.listen(database.engine, "checkin", lambda _, record: out.discard(record))
    return counts


def _until_somebody_waits(database: Database) -> None:
    waiting = text("SELECT count(*) FROM pg_locks WHERE NOT granted")
    deadline = datetime.now(UTC) + SOON
    while datetime.now(UTC) < deadline:
        with database.transaction() as connection:
            if connection.scalar(waiting):
                return
    pytest.fail("nobody waits for the lock")
