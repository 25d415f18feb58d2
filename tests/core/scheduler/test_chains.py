"""Chains as people make, change and delete them."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from sqlalchemy import event

from automagik.core.config import Settings
from automagik.core.database.session import Database
from automagik.core.exceptions import Ambiguous, Conflict, InvalidInput, NotFound
from automagik.core.flows.flow_input import FlowInput
from automagik.core.flows.manager import FlowManager
from automagik.core.flows.sources import SourceManager
from automagik.core.flows.values import Flow
from automagik.core.scheduler.after import AfterText, End, Reaction
from automagik.core.scheduler.chains import lock_chains
from automagik.core.scheduler.coverage import find_gaps
from automagik.core.scheduler.dst import Gap
from automagik.core.scheduler.explain import Fate
from automagik.core.scheduler.fire import fire
from automagik.core.scheduler.manager import SchedulerManager
from automagik.core.scheduler.policies import Misfire, Overlap
from automagik.core.scheduler.policy_columns import PolicyChange
from automagik.core.scheduler.rule_text import RuleLimits
from automagik.core.scheduler.schedule_type import ScheduleType
from automagik.core.scheduler.values import CadenceText, Schedule, ScheduleChange, ScheduleStatus
from automagik.core.tasks.states import TaskState
from tests.core.records import WAITS_FOR_A_ROW, add_task, rows
from tests.core.scheduler.stored import add_flow
from tests.core.tasks.rows import ended_as

DAILY = CadenceText(type="cron", expr="0 3 * * *")
NAMES = "SELECT name FROM schedules ORDER BY name"

Make = Callable[..., Schedule]


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
def make(manager: SchedulerManager, flow: Flow) -> Make:
    """A schedule by its name; with `after` a chain."""

    def made(
        name: str | None = None,
        after: str | None = None,
        *,
        of: Flow = flow,
        on: End = End.COMPLETED,
        text: str = "",
        **options: Any,
    ) -> Schedule:
        when = DAILY if after is None else AfterText(reference=after, end=on)
        given = FlowInput(input_value=text)
        return manager.create(of, when, run_input=given, name=name, **options)

    return made


def test_a_chain_follows_a_schedule_or_a_flow_and_has_no_clock(make: Make, other: Flow) -> None:
    make("nightly")

    chain, of_flow = make(None, "nightly"), make("all", "Echo", of=other, on=End.FAILED)

    assert (chain.type, chain.next_run_at) == (ScheduleType.AFTER, None)
    assert (chain.name, chain.status) == ("echo-after-nightly", ScheduleStatus.ACTIVE)
    assert chain.describe() == "after nightly has completed"
    assert of_flow.describe() == "after a run of the flow Echo has failed"
    with pytest.raises(InvalidInput, match="has no clock"):
        _ = chain.rule


def test_a_name_that_both_have_must_say_which_is_meant(make: Make, other: Flow) -> None:
    make("Echo")

    with pytest.raises(Ambiguous) as refused:
        make("chain", "Echo", of=other)
    assert refused.value.hint == "Write schedule:Echo or flow:Echo"
    assert make("a", "schedule:Echo", of=other).after.flow_id is None  # type: ignore[union-attr]
    assert make("b", "flow:Echo", of=other).after.schedule_id is None  # type: ignore[union-attr]


def test_what_is_not_there_cannot_be_followed(make: Make) -> None:
    make("nightly")
    with pytest.raises(NotFound) as refused:
        make("chain", "nightlee")
    assert refused.value.hint == "Did you mean 'nightly'?"
    with pytest.raises(NotFound):
        make("chain", "flow:nightly")


def test_the_template_is_checked_before_it_is_stored(manager: SchedulerManager, make: Make) -> None:
    make("nightly")
    chain = make("chain", "nightly", text="{{ output }}")

    with pytest.raises(InvalidInput, match="did you mean"):
        make("other", "nightly", text="{{ ouput }}")
    with pytest.raises(InvalidInput, match="did you mean"):
        manager.update(chain.id, ScheduleChange(input_value="{{ eror }}"))
    # The input of a clock is no template.
    assert make("plain", text="{{ ouput }}").run_input.input_value == "{{ ouput }}"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"limits": RuleLimits(quiet_hours="22:00-06:00")}, "--quiet-hours"),
        ({"limits": RuleLimits(dst_gap=Gap.SKIP)}, "--dst-gap"),
        ({"policies": PolicyChange(misfire=Misfire.SKIP)}, "--misfire"),
    ],
)
def test_what_belongs_to_a_clock_is_refused(make: Make, options: dict[str, Any], said: str) -> None:
    make("nightly")
    with pytest.raises(InvalidInput, match=said):
        make("chain", "nightly", **options)


def test_a_change_keeps_a_chain_a_chain_and_a_clock_a_clock(
    manager: SchedulerManager, make: Make
) -> None:
    nightly, chain = make("nightly"), make("chain", "nightly")

    with pytest.raises(InvalidInput, match="a time rule and --timezone"):
        manager.update(chain.id, ScheduleChange(cadence=DAILY, timezone="UTC"))
    with pytest.raises(InvalidInput, match="has a clock"):
        manager.update(nightly.id, ScheduleChange(after="chain"))
    renamed = manager.update(chain.id, ScheduleChange(name="new", priority=3))
    assert (renamed.name, renamed.priority, renamed.after) == ("new", 3, chain.after)


def test_a_chain_can_follow_another_end_and_another_thing(
    manager: SchedulerManager, make: Make, other: Flow
) -> None:
    make("nightly")
    chain = make("chain", "nightly", of=other, text="{{ output }}")

    failed = manager.update(chain.id, ScheduleChange(on=End.FAILED))
    assert failed.describe() == "after nightly has failed"
    assert failed.run_input.input_value == "{{ error }}", "the usual input goes along"
    of_flow = manager.update(chain.id, ScheduleChange(after="flow:Echo", input_value="mine"))
    assert of_flow.describe() == "after a run of the flow Echo has failed"
    assert manager.update(chain.id, ScheduleChange(on=End.ANY)).run_input.input_value == "mine"


def test_no_chain_starts_itself(manager: SchedulerManager, make: Make, other: Flow) -> None:
    make("a")
    make("b", "a", of=other)
    make("c", "b", of=other)
    b = manager.get(manager.resolve("b"))

    with pytest.raises(Conflict, match=r"'b' would start itself: b → c → b\."):
        manager.update(b.id, ScheduleChange(after="c"))
    with pytest.raises(Conflict, match="d → flow Slow → d"):
        make("d", "flow:Slow", of=other)
    make("e", "flow:Slow")
    with pytest.raises(Conflict, match="b → flow Slow → e → b"):
        manager.update(b.id, ScheduleChange(after="e"))
    with pytest.raises(Conflict, match="e-on-failure → flow Slow → e → e-on-failure"):
        manager.update(manager.resolve("e"), ScheduleChange(reactions={Reaction.ON_FAILURE: other}))
    assert manager.get(b.id).after == b.after
    assert manager.followers(manager.get(manager.resolve("c")))


def test_two_who_change_at_once_do_not_close_a_circle_together(
    database: Database, settings: Settings, make: Make, other: Flow
) -> None:
    make("root")
    pair = [make(name, "root", of=other) for name in ("x", "y")]

    def change(number: int) -> bool:
        target = ("y", "x")[number]
        try:
            SchedulerManager(database, settings).update(
                pair[number].id, ScheduleChange(after=target)
            )
        except Conflict:
            return False
        return True

    with ThreadPoolExecutor(2) as people:
        assert sorted(people.map(change, range(2))) == [False, True]


def test_to_find_a_circle_only_what_the_chain_starts_is_read(
    database: Database, make: Make, other: Flow
) -> None:
    make("a")
    for number in range(30):
        make(f"beside {number}", "a", of=other)
    read: list[int] = []
    event.listen(
        database.engine,
        "after_cursor_execute",
        lambda _c, cursor, sql, *_: read.append(cursor.rowcount) if "started" in sql else None,
    )

    make("b", "a", of=other)

    assert read == [1]


@pytest.mark.parametrize("deed", ["create", "delete flow", "delete source"])
def test_locks_are_taken_in_the_order_of_everybody(
    database: Database, settings: Settings, flow: Flow, other: Flow, make: Make, *, deed: str
) -> None:
    """Calendars, then what follows what, then the rest: nobody has the later and waits for more."""
    rows(database, "INSERT INTO calendars (name) VALUES ('de') RETURNING 1")
    make("a")
    sources = SourceManager(database, settings)

    def do() -> None:
        match deed:
            case "create":
                limits = RuleLimits(calendar="de")
                make("b", limits=limits, reactions={Reaction.ON_FAILURE: other})
            case "delete flow":
                FlowManager(database, settings).delete(flow)
            case "delete source":
                sources.delete(sources.get(flow.source_name), with_flows=True)

    with ThreadPoolExecutor(1) as person:
        with database.transaction() as connection:
            connection.exec_driver_sql("SET LOCAL lock_timeout = '2s'")
            connection.exec_driver_sql("SELECT FROM calendars FOR UPDATE")
            if deed != "create":
                lock_chains(connection)
            doing = person.submit(do)
            while not rows(database, WAITS_FOR_A_ROW)[0]:
                assert not doing.done()
            lock_chains(connection)
            for table in ("schedules", "sources", "flows"):
                connection.exec_driver_sql(f"SELECT FROM {table} FOR UPDATE")
        doing.result(timeout=10)


def test_reactions_are_chains_that_are_made_and_go_with_their_schedule(
    database: Database, manager: SchedulerManager, make: Make, flow: Flow, other: Flow
) -> None:
    reactions = {Reaction.ON_FAILURE: other, Reaction.ON_RECOVERY: flow}
    nightly = make("nightly", reactions=reactions)

    found = {each.name: each for each in manager.followers(nightly)}
    assert set(found) == {"nightly-on-failure", "nightly-on-recovery"}
    on_failure = found["nightly-on-failure"]
    assert on_failure.describe() == "after nightly has failed"
    assert (on_failure.flow_id, on_failure.run_input.input_value) == (other.id, "{{ error }}")
    assert found["nightly-on-recovery"].run_input.input_value == "{{ output }}"

    change = ScheduleChange(reactions={Reaction.ON_FAILURE: flow}, unset=(Reaction.ON_RECOVERY,))
    manager.update(nightly.id, change)
    [replaced] = manager.followers(nightly)
    assert (replaced.name, replaced.flow_id) == ("nightly-on-failure", flow.id)
    manager.update(nightly.id, change := ScheduleChange(reactions={Reaction.ON_FAILURE: flow}))
    assert [each.id for each in manager.followers(nightly)] == [replaced.id], "nothing new"

    renamed = manager.update(nightly.id, ScheduleChange(name="daily"))
    assert rows(database, NAMES) == ["daily", "daily-on-failure"]
    assert manager.goes_along([renamed]) == ["daily-on-failure"]
    with pytest.raises(NotFound, match="has no on-success"):
        manager.update(nightly.id, ScheduleChange(unset=(Reaction.ON_SUCCESS,)))
    manager.delete(nightly.id)
    assert rows(database, NAMES) == []


def test_nothing_is_made_when_a_name_of_a_reaction_is_taken(
    database: Database, make: Make, other: Flow
) -> None:
    make("nightly-on-failure")
    with pytest.raises(Conflict, match="already"):
        make("nightly", reactions={Reaction.ON_FAILURE: other})
    assert rows(database, NAMES) == ["nightly-on-failure"]


def test_with_a_flow_go_the_schedules_that_follow_it_or_its_schedules(
    database: Database, settings: Settings, make: Make, flow: Flow, other: Flow
) -> None:
    make("nightly")
    make("of-schedule", "nightly", of=other)
    make("of-chain", "of-schedule", of=other)
    make("of-flow", "flow:Echo", of=other)
    make("stays", of=other)
    flows = FlowManager(database, settings)

    baggage = flows.weigh(flow)
    flows.delete(flow)

    assert baggage.followers == ["of-chain", "of-flow", "of-schedule"]
    assert rows(database, NAMES) == ["stays"]


def test_a_chain_by_hand_gets_what_the_latest_run_would_have_given_it(
    database: Database, settings: Settings, manager: SchedulerManager, make: Make, flow: Flow
) -> None:
    nightly = make("nightly")
    chain = make("chain", "nightly", text="it said: {{ output }}")
    with pytest.raises(Conflict) as refused:
        manager.trigger(chain.id, actor="test")
    assert "--input" in str(refused.value.hint)
    for state in (TaskState.COMPLETED, TaskState.FAILED):
        ended_as(database, add_task(database, flow, schedule_id=nightly.id), state)

    made = manager.trigger(chain.id, actor="test")
    said = manager.trigger(chain.id, actor="test", input_value="{{ as it is }}")

    query = "SELECT input_value FROM tasks WHERE id = :id"
    assert rows(database, query, id=made.id) == ["it said: hello"]
    assert rows(database, query, id=said.id) == ["{{ as it is }}"]


def test_beats_and_checks_pass_by_what_has_no_clock(
    database: Database, settings: Settings, manager: SchedulerManager, make: Make
) -> None:
    make("nightly")
    chain = make("chain", "nightly", policies=PolicyChange(max_runs=3))

    with database.transaction() as connection:
        assert fire(connection, settings=settings, actor="beat@here") == 0
        coverage = find_gaps(connection)
    assert (coverage.gaps, coverage.unreadable) == ([], 0)
    told = manager.explain(chain.id)
    assert told.fate is Fate.NO_OCCURRENCE
    assert told.text == "chain runs after nightly has completed; no such end is recorded."


def test_what_waits_for_its_turn_in_a_chain_goes_with_the_flow_that_it_follows(
    database: Database, settings: Settings, make: Make, flow: Flow, other: Flow
) -> None:
    policies = PolicyChange(overlap=Overlap.BUFFER_ALL)
    chain = make("chain", "flow:Echo", of=other, policies=policies)
    for _ in range(3):
        add_task(database, other, schedule_id=chain.id, in_turn=True)

    FlowManager(database, settings).delete(flow)

    states = "SELECT state FROM tasks ORDER BY id"
    assert rows(database, states) == ["pending", "cancelled", "cancelled"]
