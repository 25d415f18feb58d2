"""Options that say nothing without another one are refused, and go with it."""

from typing import Any

import pytest

from automagik.core.config import Settings
from automagik.core.database.session import Database
from automagik.core.exceptions import InvalidInput
from automagik.core.flows.flow_input import FlowInput
from automagik.core.flows.values import Flow
from automagik.core.scheduler.dst import Fold, Gap
from automagik.core.scheduler.holidays import OnHoliday
from automagik.core.scheduler.manager import SchedulerManager
from automagik.core.scheduler.policies import CatchUpOrder, Misfire
from automagik.core.scheduler.policy_columns import PolicyChange, PolicyOption
from automagik.core.scheduler.rule_text import RuleLimits, RuleOption
from automagik.core.scheduler.values import CadenceText, Schedule, ScheduleChange
from tests.core.records import rows
from tests.core.scheduler.stored import add_flow

DAILY = CadenceText(type="cron", expr="0 9 * * *")
ONCE = CadenceText(type="one-time", expr="2040-01-02T09:00")
MOVED = OnHoliday.NEXT_BUSINESS_DAY
NEWEST = PolicyChange(catch_up_order=CatchUpOrder.NEWEST_FIRST)


@pytest.fixture
def flow(database: Database) -> Flow:
    return add_flow(database)


@pytest.fixture
def manager(database: Database, settings: Settings) -> SchedulerManager:
    rows(database, "INSERT INTO calendars (name) VALUES ('de') RETURNING 1")
    return SchedulerManager(database, settings)


def make(
    manager: SchedulerManager, flow: Flow, when: CadenceText = DAILY, **options: Any
) -> Schedule:
    return manager.create(flow, when, run_input=FlowInput(), **options)


@pytest.mark.parametrize(
    ("when", "options", "said"),
    [
        (DAILY, {"limits": RuleLimits(on_holiday=MOVED)}, "--calendar"),
        (ONCE, {"limits": RuleLimits(dst_gap=Gap.SKIP)}, "offset"),
        (ONCE, {"limits": RuleLimits(dst_fold=Fold.BOTH)}, "offset"),
        (DAILY, {"policies": NEWEST}, "run-all"),
    ],
)
def test_what_says_nothing_is_refused_with_what_it_needs(
    manager: SchedulerManager,
    flow: Flow,
    when: CadenceText,
    options: dict[str, Any],
    *,
    said: str,
) -> None:
    with pytest.raises(InvalidInput) as refused:
        make(manager, flow, when, **options)

    assert said in (refused.value.hint or "")


def test_a_change_is_refused_by_what_the_schedule_comes_to(
    manager: SchedulerManager, flow: Flow
) -> None:
    plain, once = make(manager, flow), make(manager, flow, ONCE)
    open_days = make(manager, flow, limits=RuleLimits(calendar="de"))
    patient = make(manager, flow, policies=PolicyChange(misfire=Misfire.RUN_ALL))
    for schedule, change in (
        (plain, ScheduleChange(on_holiday=MOVED)),
        (plain, ScheduleChange(policies=NEWEST)),
        (once, ScheduleChange(dst_fold=Fold.BOTH)),
        (patient, ScheduleChange(policies=NEWEST, unset=(PolicyOption.MISFIRE,))),
    ):
        with pytest.raises(InvalidInput):
            manager.update(schedule.id, change)

    manager.update(open_days.id, ScheduleChange(on_holiday=MOVED))
    manager.update(patient.id, ScheduleChange(policies=NEWEST))
    changed = manager.update(once.id, ScheduleChange(cadence=DAILY, dst_fold=Fold.BOTH))
    assert changed.limits.dst_fold is Fold.BOTH


def test_what_says_nothing_any_more_has_its_default_again(
    manager: SchedulerManager, flow: Flow
) -> None:
    schedule = make(
        manager,
        flow,
        limits=RuleLimits(calendar="de", dst_gap=Gap.SKIP, on_holiday=MOVED),
        policies=PolicyChange(misfire=Misfire.RUN_ALL, catch_up_order=CatchUpOrder.NEWEST_FIRST),
    )

    changed = manager.update(
        schedule.id,
        ScheduleChange(
            cadence=ONCE,
            policies=PolicyChange(misfire=Misfire.SKIP),
            unset=(RuleOption.CALENDAR,),
        ),
    )

    assert changed.limits == RuleLimits()
    assert changed.policies.catch_up_order is CatchUpOrder.OLDEST_FIRST
