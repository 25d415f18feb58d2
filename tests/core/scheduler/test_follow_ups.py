"""What beats make of runs that have ended: each end starts a chain's run once, or tells why not."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import delete, event, func, insert, text, update

from automagik.core.config import Settings
from automagik.core.database.exceptions import DatabaseBusy
from automagik.core.database.models import FollowUpRow, ScheduleRow, SourceRow, TaskRow
from automagik.core.database.session import Database
from automagik.core.flows import flow_rows
from automagik.core.flows.flow_input import FlowInput
from automagik.core.flows.values import Flow
from automagik.core.scheduler.after import AfterText, End
from automagik.core.scheduler.follow_ups import AT_A_TIME, choose, follow_up
from automagik.core.scheduler.manager import SchedulerManager
from automagik.core.scheduler.outlook import look
from automagik.core.scheduler.policies import Overlap, Policies
from automagik.core.scheduler.policy_columns import PolicyChange
from automagik.core.scheduler.values import CadenceText, Schedule, ScheduleStatus
from automagik.core.tasks import by_hand
from automagik.core.tasks.states import TaskState
from tests.core.records import WAITS_FOR_A_ROW, add_task, dying, put, row, rows, task
from tests.core.scheduler.stored import add_flow, mark_gone
from tests.core.tasks.rows import end, ended_as, start
from tests.system.history import violations

COMPLETED, FAILED, CANCELLED = TaskState.COMPLETED, TaskState.FAILED, TaskState.CANCELLED
NOTES = "SELECT count(*) FROM follow_ups"
SKIPPED = "SELECT reason FROM skipped_occurrences ORDER BY id"
INPUTS = "SELECT input_value FROM tasks WHERE parent_task_id IS NOT NULL ORDER BY id"

Chain = Callable[..., Schedule]


@pytest.fixture
def flow(database: Database) -> Flow:
    return add_flow(database, "Echo")


@pytest.fixture
def other(database: Database) -> Flow:
    return add_flow(database, "Slow")


@pytest.fixture
def manager(database: Database, settings: Settings) -> SchedulerManager:
    return SchedulerManager(database, settings)


@pytest.fixture
def nightly(manager: SchedulerManager, flow: Flow) -> Schedule:
    """With a clock."""
    daily = CadenceText(type="cron", expr="0 3 * * *")
    return manager.create(flow, daily, run_input=FlowInput(), name="nightly")


@pytest.fixture
def chain(manager: SchedulerManager, nightly: Schedule, other: Flow) -> Chain:
    """Makes one after `nightly`."""

    def made(
        template: str = "{{ output }}",
        *,
        on: End = End.COMPLETED,
        after: str = "nightly",
        flow: Flow = other,
        **options: Any,
    ) -> Schedule:
        said = AfterText(reference=after, end=on)
        return manager.create(flow, said, run_input=FlowInput(input_value=template), **options)

    return made


def ran(database: Database, of: Schedule, state: TaskState = COMPLETED) -> UUID:
    """A run of the schedule came to this end."""
    task_id = add_task(database, flow_of(database, of), schedule_id=of.id)
    ended_as(database, task_id, state)
    return task_id


def flow_of(database: Database, schedule: Schedule) -> Flow:
    with database.transaction() as connection:
        return flow_rows.load(connection, schedule.flow_id)


def followed(database: Database, settings: Settings) -> int:
    """By a beat; how many ends it served in one transaction."""
    with database.transaction() as connection:
        return follow_up(connection, settings=settings, actor="beat@here")


def children(database: Database, parent: UUID) -> Sequence[Any]:
    """The inputs of the runs that it started."""
    query = "SELECT input_value FROM tasks WHERE parent_task_id = :id ORDER BY id"
    return rows(database, query, id=parent)


def test_a_run_that_completed_starts_the_run_of_a_chain_with_what_it_brought(
    database: Database, settings: Settings, nightly: Schedule, chain: Chain
) -> None:
    after = chain("it said: {{ output }}")
    parent = ran(database, nightly)

    assert followed(database, settings) == 1

    [made] = rows(database, "SELECT id FROM tasks WHERE schedule_id = :id", id=after.id)
    found = task(database, made)
    assert found["input_value"] == "it said: hello"
    assert (found["parent_task_id"], found["parent_attempt"]) == (parent, 1)
    assert found["state_reason"] == f"follows task {parent}"
    assert found["flow_id"] == after.flow_id
    assert rows(database, NOTES) == [0]
    assert row(database, ScheduleRow, after.id)["runs"] == 1
    assert violations(database) == []


@pytest.mark.parametrize(
    ("on", "starts"),
    [
        (End.COMPLETED, {COMPLETED}),
        (End.FAILED, {FAILED}),
        (End.ANY, {COMPLETED, FAILED}),
        (End.RECOVERED, set()),
    ],
)
def test_only_the_end_that_a_chain_waits_for_starts_it_and_a_cancelled_run_starts_nothing(
    database: Database,
    settings: Settings,
    nightly: Schedule,
    chain: Chain,
    *,
    on: End,
    starts: set[TaskState],
) -> None:
    chain(on=on)
    ends = {state: ran(database, nightly, state) for state in (COMPLETED, FAILED, CANCELLED)}

    followed(database, settings)

    assert {state for state, parent in ends.items() if children(database, parent)} == starts
    assert rows(database, NOTES) == [0]
    assert rows(database, SKIPPED) == []


def test_a_chain_after_a_flow_follows_runs_by_hand_and_of_any_schedule(
    database: Database, settings: Settings, nightly: Schedule, flow: Flow, chain: Chain
) -> None:
    chain("{{ flow }}/{{ schedule }}", after="Echo")
    by_schedule, by_person = ran(database, nightly), add_task(database, flow)
    ended_as(database, by_person, COMPLETED)

    followed(database, settings)

    assert children(database, by_schedule) == ["Echo/nightly"]
    assert children(database, by_person) == ["Echo/"]


def test_a_chain_of_chains_goes_from_one_to_the_next(
    database: Database, settings: Settings, nightly: Schedule, chain: Chain, flow: Flow
) -> None:
    first = chain("first", name="first")
    chain("after {{ input }}", after="first", flow=flow)
    ran(database, nightly)
    followed(database, settings)
    [between] = rows(database, "SELECT id FROM tasks WHERE schedule_id = :id", id=first.id)

    ended_as(database, between, COMPLETED)
    followed(database, settings)

    assert children(database, between) == ["after first"]


def test_the_error_reaches_who_waits_for_a_failure_even_when_the_run_is_tried_again_at_once(
    database: Database, settings: Settings, nightly: Schedule, chain: Chain
) -> None:
    chain("{{ state }}: {{ error_code }} {{ error }}", on=End.FAILED)
    parent = ran(database, nightly, FAILED)
    with database.transaction() as connection:
        by_hand.retry(connection, parent, actor="test", reason=None)

    followed(database, settings)

    assert children(database, parent) == ["failed: AM-SRC-RUN no"]


def test_each_end_of_a_run_that_is_tried_again_by_hand_is_followed(
    database: Database, settings: Settings, nightly: Schedule, chain: Chain
) -> None:
    chain("{{ state }}", on=End.ANY)
    parent = ran(database, nightly, FAILED)
    with database.transaction() as connection:
        by_hand.retry(connection, parent, actor="test", reason=None)
    ended_as(database, parent, COMPLETED)

    followed(database, settings)

    assert children(database, parent) == ["failed", "completed"]
    assert violations(database) == []


def recoveries(database: Database, settings: Settings) -> Sequence[Any]:
    while followed(database, settings):
        pass
    return rows(database, "SELECT parent_task_id FROM tasks WHERE parent_task_id IS NOT NULL")


def test_a_recovery_is_the_first_completed_run_after_a_failed_one(
    database: Database, settings: Settings, nightly: Schedule, chain: Chain
) -> None:
    chain(on=End.RECOVERED)
    ends = [COMPLETED, FAILED, CANCELLED, FAILED, COMPLETED, COMPLETED, FAILED]
    runs = [ran(database, nightly, state) for state in ends]

    assert recoveries(database, settings) == [runs[4]]


def test_a_failed_run_that_a_person_tries_again_with_success_is_a_recovery(
    database: Database, settings: Settings, nightly: Schedule, chain: Chain
) -> None:
    chain(on=End.RECOVERED)
    failed = ran(database, nightly, FAILED)
    with database.transaction() as connection:
        by_hand.retry(connection, failed, actor="test", reason=None)
    ended_as(database, failed, COMPLETED)
    ran(database, nightly, COMPLETED)

    assert recoveries(database, settings) == [failed]


def test_runs_that_overtake_each_other_recover_once(
    database: Database, settings: Settings, nightly: Schedule, flow: Flow, chain: Chain
) -> None:
    chain(on=End.RECOVERED)
    ran(database, nightly, FAILED)
    slow = add_task(database, flow, schedule_id=nightly.id)
    start(database, slow)
    quick = ran(database, nightly, COMPLETED)
    end(database, slow)

    assert recoveries(database, settings) == [quick]


def test_recoveries_of_a_flow_are_counted_over_all_its_runs(
    database: Database, settings: Settings, nightly: Schedule, flow: Flow, chain: Chain
) -> None:
    chain(on=End.RECOVERED, after="flow:Echo")
    by_person = add_task(database, flow)
    ended_as(database, by_person, FAILED)
    completed = ran(database, nightly, COMPLETED)

    assert recoveries(database, settings) == [completed]


def test_runs_of_backfills_start_nothing_and_neither_fail_nor_recover(
    database: Database, settings: Settings, nightly: Schedule, flow: Flow, chain: Chain
) -> None:
    """An old failure is no failure of now."""
    chain(on=End.ANY)
    chain(on=End.RECOVERED)
    chain(on=End.RECOVERED, after="flow:Echo")
    [backfill] = rows(
        database,
        "INSERT INTO backfills (id, schedule_id, begin_at, end_at, max_concurrent, occurrences,"
        " told_until, actor) VALUES (gen_random_uuid(), :id, now() - interval '1 day', now(), 1, 2,"
        " now(), 'me') RETURNING id",
        id=nightly.id,
    )

    def ran_late(state: TaskState) -> None:
        late = add_task(database, flow, schedule_id=nightly.id, backfill_id=backfill)
        ended_as(database, late, state)

    ran_late(FAILED)
    assert rows(database, NOTES) == [0]
    ran(database, nightly, COMPLETED)
    followed(database, settings)
    assert len(rows(database, INPUTS)) == 1

    failed = ran(database, nightly, FAILED)
    ran_late(COMPLETED)
    recovery = ran(database, nightly, COMPLETED)
    followed(database, settings)

    assert len(children(database, failed)) == 1
    assert len(children(database, recovery)) == 3


@pytest.mark.parametrize("after", ["nightly", "flow:Echo"])
def test_a_recovery_is_found_by_an_index_however_long_the_history_is(
    database: Database, settings: Settings, nightly: Schedule, chain: Chain, after: str
) -> None:
    chain(on=End.RECOVERED, after=after)
    parent = ran(database, nightly)
    rows(
        database,
        "INSERT INTO tasks (id, flow_id, flow_version_id, source_id, schedule_id, max_retries,"
        " max_attempts, timeout_seconds, state, finished_at) SELECT gen_random_uuid(), flow_id,"
        " flow_version_id, source_id, schedule_id, 3, 4, 60, 'completed', now()"
        " FROM tasks, generate_series(1, 5000) WHERE id = :id RETURNING 1",
        id=parent,
    )
    statements: list[tuple[str, object]] = []
    event.listen(
        database.engine,
        "before_cursor_execute",
        lambda _c, _cur, sql, parameters, *_: statements.append((sql, parameters)),
    )
    followed(database, settings)

    [(sql, parameters)] = [each for each in statements if "AS recovered" in each[0]]
    with database.engine.connect() as connection:
        connection.exec_driver_sql("ANALYZE tasks")
        plan = connection.exec_driver_sql(f"EXPLAIN {sql}", parameters).scalars().all()  # type: ignore[arg-type]

    text_of_plan = "\n".join(plan)
    assert "Seq Scan on tasks r" not in text_of_plan
    for name in ("ix_tasks_schedule_id", "ix_tasks_flow_id"):
        assert text_of_plan.count(f"using {name} on tasks r") == 2


def test_a_trouble_of_the_database_leaves_the_note_for_the_next_time(
    database: Database, settings: Settings, nightly: Schedule, chain: Chain
) -> None:
    chain()
    parent = ran(database, nightly)
    with database.transaction() as connection:
        connection.execute(text("CREATE SEQUENCE deadlocks"))
        connection.execute(
            text(
                "CREATE FUNCTION stumble() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
                " IF nextval('deadlocks') = 1 THEN RAISE deadlock_detected; END IF;"
                " RETURN NEW; END $$"
            )
        )
        connection.execute(
            text(
                "CREATE TRIGGER stumble BEFORE INSERT ON tasks FOR EACH ROW"
                " EXECUTE FUNCTION stumble()"
            )
        )

    with pytest.raises(DatabaseBusy):
        followed(database, settings)
    assert rows(database, NOTES) == [1]
    followed(database, settings)

    assert children(database, parent) == ["hello"]
    assert rows(database, SKIPPED) == []


def test_a_beat_that_dies_has_followed_nothing_and_another_does_it_once(
    database: Database, settings: Settings, nightly: Schedule, chain: Chain
) -> None:
    chain()
    parent = ran(database, nightly)

    with dying(database) as connection:
        assert follow_up(connection, settings=settings, actor="beat@dead") == 1
    assert children(database, parent) == []
    with ThreadPoolExecutor(4) as beats:
        served = list(beats.map(lambda _: followed(database, settings), range(4)))

    assert sum(served) >= 1
    assert children(database, parent) == ["hello"]


def test_an_end_that_was_noted_twice_starts_one_run(
    database: Database, settings: Settings, nightly: Schedule, chain: Chain
) -> None:
    after = chain()
    parent = ran(database, nightly)
    note = {"schedule_id": after.id, "parent_task_id": parent, "parent_attempt": 1}
    followed(database, settings)
    with database.transaction() as connection:
        connection.execute(insert(FollowUpRow).values(**note, ended_at=func.now()))

    followed(database, settings)

    assert children(database, parent) == ["hello"]
    assert rows(database, NOTES) == [0]


def test_what_has_lost_its_chain_or_its_run_is_forgotten(
    database: Database,
    settings: Settings,
    manager: SchedulerManager,
    nightly: Schedule,
    chain: Chain,
) -> None:
    gone, stays = chain(name="gone"), chain(name="stays")
    ran(database, nightly)
    manager.delete(gone.id)
    deleted = ran(database, nightly)
    with database.transaction() as connection:
        connection.execute(delete(TaskRow).where(TaskRow.id == deleted))

    assert followed(database, settings) == 3

    assert rows(database, "SELECT schedule_id FROM tasks WHERE parent_attempt = 1") == [stays.id]
    assert rows(database, NOTES) == [0]
    with database.transaction() as connection:
        assert not look(connection).has_follow_up


def test_the_deletion_of_a_run_leaves_what_it_started(
    database: Database, settings: Settings, nightly: Schedule, chain: Chain
) -> None:
    chain()
    parent = ran(database, nightly)
    followed(database, settings)

    with database.transaction() as connection:
        by_hand.remove(connection, parent)

    query = "SELECT parent_task_id, parent_attempt FROM tasks WHERE parent_attempt IS NOT NULL"
    assert rows(database, query) == [(None, 1)]
    assert violations(database) == []


def paused(database: Database, manager: SchedulerManager, chain: Schedule) -> None:
    manager.pause(chain.id)


def out_of_date(database: Database, manager: SchedulerManager, chain: Schedule) -> None:
    mark_gone(database, flow_of(database, chain))


def without_source(database: Database, manager: SchedulerManager, chain: Schedule) -> None:
    [source_id] = rows(database, "SELECT source_id FROM flows WHERE id = :id", id=chain.flow_id)
    put(database, SourceRow, source_id, disabled_at=func.now())


@pytest.mark.parametrize(
    ("hinder", "reason"),
    [(paused, "paused"), (out_of_date, "flow-gone"), (without_source, "source-disabled")],
)
def test_a_chain_that_cannot_run_tells_why_and_does_not_make_up_for_it(
    database: Database,
    settings: Settings,
    manager: SchedulerManager,
    nightly: Schedule,
    chain: Chain,
    *,
    hinder: Callable[..., None],
    reason: str,
) -> None:
    after = chain()
    hinder(database, manager, after)
    parent = ran(database, nightly)

    followed(database, settings)

    assert children(database, parent) == []
    query = "SELECT schedule_id, first_at = last_at, reason FROM skipped_occurrences"
    assert rows(database, query) == [(after.id, True, reason)]
    assert rows(database, NOTES) == [0]
    assert manager.explain(after.id).reason == reason


def test_a_chain_that_was_resumed_follows_again(
    database: Database,
    settings: Settings,
    manager: SchedulerManager,
    nightly: Schedule,
    chain: Chain,
) -> None:
    after = chain()
    manager.pause(after.id)
    resumed = manager.resume(after.id)
    assert (resumed.status, resumed.next_run_at) == (ScheduleStatus.ACTIVE, None)
    parent = ran(database, nightly)

    followed(database, settings)

    assert children(database, parent) == ["hello"]


def test_skip_leaves_out_ends_while_a_run_is_unfinished(
    database: Database, settings: Settings, nightly: Schedule, chain: Chain
) -> None:
    chain(policies=PolicyChange(overlap=Overlap.SKIP))
    parents = [ran(database, nightly) for _ in range(3)]

    followed(database, settings)

    assert [len(children(database, parent)) for parent in parents] == [1, 0, 0]
    assert set(rows(database, SKIPPED)) == {"overlap"}


def test_buffered_runs_wait_for_their_turn(
    database: Database, settings: Settings, nightly: Schedule, chain: Chain
) -> None:
    chain(policies=PolicyChange(overlap=Overlap.BUFFER_ALL))
    for _ in range(3):
        ran(database, nightly)

    followed(database, settings)

    assert rows(database, "SELECT in_turn FROM tasks WHERE parent_attempt = 1") == [True] * 3


def test_cancel_other_replaces_what_is_unfinished(
    database: Database, settings: Settings, nightly: Schedule, chain: Chain
) -> None:
    chain(policies=PolicyChange(overlap=Overlap.CANCEL_OTHER))
    states = "SELECT state FROM tasks WHERE parent_attempt = 1 ORDER BY id"
    for expected in (["pending"], ["cancelled", "pending"]):
        ran(database, nightly)
        followed(database, settings)
        assert rows(database, states) == expected

    ran(database, nightly)
    ran(database, nightly)
    followed(database, settings)

    assert rows(database, states) == ["cancelled", "cancelled", "pending"]
    assert rows(database, SKIPPED) == ["overlap"]


def test_a_chain_is_completed_after_its_runs(
    database: Database,
    settings: Settings,
    manager: SchedulerManager,
    nightly: Schedule,
    chain: Chain,
) -> None:
    after = chain(policies=PolicyChange(max_runs=2))
    for _ in range(3):
        ran(database, nightly)

    followed(database, settings)

    found = manager.get(after.id)
    assert (found.status, found.runs) == (ScheduleStatus.COMPLETED, 2)
    assert found.status_reason == "it has made all of its runs: 2"
    assert rows(database, SKIPPED) == ["max-runs"]
    ran(database, nightly)
    assert rows(database, NOTES) == [0], "nothing is noted for it any more"


def test_a_chain_whose_runs_fail_is_paused(
    database: Database,
    settings: Settings,
    manager: SchedulerManager,
    nightly: Schedule,
    chain: Chain,
) -> None:
    after = chain(policies=PolicyChange(pause_after_failures=2))
    for _ in range(2):
        ran(database, after, FAILED)
    ran(database, nightly)

    followed(database, settings)

    found = manager.get(after.id)
    assert (found.status, found.status_reason) == (
        ScheduleStatus.PAUSED,
        "its last 2 runs failed",
    )
    assert rows(database, SKIPPED) == ["paused"]


def test_runs_start_later_by_the_spread_of_the_chain(
    database: Database, settings: Settings, nightly: Schedule, chain: Chain
) -> None:
    after = chain(policies=PolicyChange(spread=timedelta(hours=1)))
    parent = ran(database, nightly)
    ended_at = task(database, parent)["finished_at"]

    followed(database, settings)

    query = "SELECT run_at FROM tasks WHERE parent_task_id = :id"
    delay = Policies(spread=timedelta(hours=1)).delay(after.id, ended_at)
    assert rows(database, query, id=parent) == [ended_at + delay]


def test_an_input_that_cannot_be_made_is_told_and_stops_nobody(
    database: Database,
    settings: Settings,
    manager: SchedulerManager,
    nightly: Schedule,
    chain: Chain,
    *,
    caplog: pytest.LogCaptureFixture,
) -> None:
    unable = chain("{{ result.nowhere }}", name="unable")
    broken = chain("fine", name="broken")
    chain("{{ result.outputs.0 }}", name="able")
    # As somebody with psql might write it.
    put(database, ScheduleRow, broken.id, input_value="{{ secret")
    parent = ran(database, nightly)

    followed(database, settings)

    assert children(database, parent) == ["hello"]
    assert rows(database, SKIPPED) == ["input", "input"]
    assert rows(database, NOTES) == [0]
    assert "nowhere" in caplog.text
    assert "secret" not in caplog.text
    assert "its input" in manager.explain(unable.id).text


def test_whatever_is_wrong_with_one_chain_does_not_stop_the_others(
    database: Database, settings: Settings, nightly: Schedule, chain: Chain
) -> None:
    bad, good = chain("bad"), chain("good")
    function = (
        "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'no'; END $$"
    )
    trigger = (
        "CREATE TRIGGER refuse BEFORE INSERT ON tasks FOR EACH ROW"
        f" WHEN (NEW.schedule_id = '{bad.id}') EXECUTE FUNCTION refuse()"
    )
    with database.transaction() as connection:
        connection.execute(text(function))
        connection.execute(text(trigger))
    parent = ran(database, nightly)

    followed(database, settings)

    assert children(database, parent) == ["good"]
    query = "SELECT schedule_id, reason FROM skipped_occurrences"
    assert rows(database, query) == [(bad.id, "error")]
    assert rows(database, NOTES) == [0]
    assert row(database, ScheduleRow, good.id)["runs"] == 1


def test_a_chain_that_was_changed_meanwhile_follows_what_it_follows_now(
    database: Database, settings: Settings, nightly: Schedule, chain: Chain
) -> None:
    after = chain()
    ran(database, nightly)
    put(database, ScheduleRow, after.id, expr="failed")

    assert followed(database, settings) == 1

    assert rows(database, INPUTS) == []
    assert rows(database, SKIPPED) == []


def test_a_backlog_is_served_batch_by_batch_in_order(
    database: Database, settings: Settings, nightly: Schedule, chain: Chain
) -> None:
    chain("{{ task }}")
    parents = [ran(database, nightly) for _ in range(AT_A_TIME + 1)]

    assert [followed(database, settings) for _ in range(3)] == [AT_A_TIME, 1, 0]

    assert rows(database, INPUTS) == [str(parent) for parent in parents]


def test_a_chain_that_somebody_holds_waits_and_keeps_no_other_from_its_run(
    database: Database, settings: Settings, nightly: Schedule, chain: Chain
) -> None:
    held = chain("held")
    chain("free")
    ran(database, nightly)
    with database.transaction() as connection:
        connection.execute(
            update(ScheduleRow).where(ScheduleRow.id == held.id).values(updated_at=func.now())
        )
        followed(database, settings)
        assert rows(database, INPUTS) == ["free"]

    followed(database, settings)

    assert sorted(rows(database, INPUTS)) == ["free", "held"]


def test_who_ends_a_run_waits_for_nobody_who_deletes_its_chain(
    database: Database,
    settings: Settings,
    manager: SchedulerManager,
    nightly: Schedule,
    *,
    flow: Flow,
    chain: Chain,
) -> None:
    after = chain()
    mine = add_task(database, flow, schedule_id=nightly.id)
    start(database, mine)
    with ThreadPoolExecutor(1) as person:
        with database.transaction() as worker:
            worker.execute(
                text(
                    "UPDATE tasks SET state = 'completed', result = '{}', finished_at = now(),"
                    " lease_expires_at = NULL WHERE id = :id"
                ),
                {"id": mine},
            )
            # Neither waits for the other, although the note of the end names the chain.
            person.submit(manager.delete, after.id).result(timeout=10)
        deletion = None
        with database.transaction() as worker:
            worker.execute(text("SELECT 1 FROM tasks WHERE id = :id FOR UPDATE"), {"id": mine})
            # This one waits for the run of the schedule, and not for ever.
            deletion = person.submit(manager.delete, nightly.id)
            while not rows(database, WAITS_FOR_A_ROW)[0]:
                pass
            worker.execute(text("UPDATE tasks SET output_text = 'x' WHERE id = :id"), {"id": mine})
        deletion.result(timeout=10)

    assert followed(database, settings) == 1
    assert rows(database, NOTES) == [0]
    assert task(database, mine)["state"] == COMPLETED


@given(
    overlap=st.sampled_from(Overlap),
    max_runs=st.none() | st.integers(1, 6),
    unfinished=st.integers(0, 4),
    count=st.integers(0, 8),
    data=st.data(),
)
def test_ends_that_come_together_fare_as_if_they_came_one_by_one(
    overlap: Overlap, max_runs: int | None, unfinished: int, count: int, data: st.DataObject
) -> None:
    """But where runs replace each other: then the older ones need not begin."""
    runs = data.draw(st.integers(0, max_runs or 6))
    policies = Policies(overlap=overlap, max_runs=max_runs)

    fates = choose(count, policies=policies, unfinished=unfinished, runs=runs)

    if not overlap.replaces:
        expected = []
        for _ in range(count):
            [fate] = choose(1, policies=policies, unfinished=unfinished, runs=runs)
            expected.append(fate)
            unfinished, runs = unfinished + (fate is None), runs + (fate is None)
        assert fates == expected
    elif count:
        may_run = max_runs is None or runs < max_runs
        assert [fate is None for fate in fates] == [False] * (count - 1) + [may_run]
