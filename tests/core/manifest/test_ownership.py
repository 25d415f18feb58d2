"""Whose things are: a file changes and deletes its own, and others' only when that is wanted."""

from datetime import date

import pytest

from automagik.core.flows.flow_input import FlowInput
from automagik.core.flows.values import Flow
from automagik.core.manifest.export import export
from automagik.core.manifest.plan import Choice
from automagik.core.manifest.values import Action, FieldChange, Kind, Plan, Step
from automagik.core.scheduler.calendars import CalendarManager
from automagik.core.scheduler.manager import SchedulerManager
from automagik.core.scheduler.rule_text import CadenceText
from automagik.core.scheduler.values import Schedule
from tests.core.manifest.files import Files, changes, steps
from tests.core.records import rows

PRUNE = Choice(prune=True)
TAKE_OVER = Choice(take_over=True)
OFFICE = "schedules:\n  office: {flow: Echo, every: 5m}\n"
OF_SHOP = f"project: shop\n{OFFICE}"


@pytest.fixture
def by_hand(schedules: SchedulerManager, flow: Flow) -> Schedule:
    cadence = CadenceText(type="interval", expr="5m")
    return schedules.create(flow, cadence, run_input=FlowInput(), name="office")


def test_a_file_without_a_project_owns_nothing(
    files: Files, flow: Flow, schedules: SchedulerManager
) -> None:
    files.apply(OFFICE)

    assert [each.project for each in schedules.list()] == [None]
    assert changes(files.apply(OFFICE.replace("5m", "6m"))) == {"every": (("5m",), ("6m",))}
    assert [each.project for each in schedules.list()] == [None]
    assert steps(files.apply("project: shop\n", choice=PRUNE)) == []


def test_only_the_file_of_a_project_can_be_pruned_by(files: Files, by_hand: Schedule) -> None:
    assert files.problems(OFFICE, choice=PRUNE) == [
        "a.yaml:1: project: is missing: --prune deletes what left the files of a project."
    ]
    assert files.problems("timezone: UTC\n", f"{OF_SHOP}---\ntimezone: UTC\n", choice=PRUNE) == [
        "a.yaml:1: project: is missing: --prune deletes what left the files of a project.",
        "b.yaml:5: project: is missing: --prune deletes what left the files of a project.",
    ]
    assert steps(files.plan(OF_SHOP, choice=PRUNE)) == [("change", "schedule", "office")]


def test_what_was_made_by_hand_survives_export_apply_and_prune(
    files: Files, by_hand: Schedule, schedules: SchedulerManager
) -> None:
    CalendarManager(files.database).replace("de", {date(2035, 12, 25): ""})
    text = export(files.database, files.settings).text

    assert steps(files.apply(text)) == []
    files.apply("project: shop\n", choice=PRUNE)

    assert schedules.list() == [by_hand]
    assert [each.name for each in CalendarManager(files.database).list()] == ["de"]


def test_what_was_made_by_hand_is_taken_over_as_it_stands_and_told(
    files: Files, by_hand: Schedule
) -> None:
    assert changes(files.apply(OF_SHOP)) == {"project": (None, "shop")}


@pytest.mark.parametrize(
    "said, where",
    [
        (OF_SHOP.replace("5m", "6m"), "a.yaml:3: schedules.office"),
        ("project: shop\ncalendars: {de: {days: {2036-01-01: }}}\n", "a.yaml:2: calendars.de"),
        (
            "project: shop\nsources: {source of Echo: {url: http://127.0.0.1:9, disabled: on}}\n",
            "a.yaml:2: sources.source of Echo",
        ),
    ],
)
def test_what_was_made_by_hand_is_only_changed_when_that_is_wanted(
    said: str, where: str, files: Files, by_hand: Schedule
) -> None:
    CalendarManager(files.database).replace("de", {date(2035, 12, 25): ""})

    [problem] = files.problems(said)
    assert problem.startswith(f"{where}: It was made by hand, and is different: ")
    taken = changes(files.apply(said, choice=TAKE_OVER))

    assert len(taken) == 2
    assert taken["project"] == (None, "shop")


def test_a_file_without_a_project_leaves_a_projects_things_alone(
    files: Files, flow: Flow, schedules: SchedulerManager
) -> None:
    files.apply(OF_SHOP)

    [problem] = files.problems(OFFICE)
    assert problem == "a.yaml:2: schedules.office: It belongs to the project 'shop'."
    assert changes(files.apply(OFFICE, choice=TAKE_OVER)) == {"project": ("shop", None)}


def test_a_plan_is_within_another_that_does_the_same_and_more() -> None:
    def step(name: str, new: str = "5m") -> Step:
        change = FieldChange(field="every", old=None, new={"any": new})
        return Step(action=Action.CREATE, kind=Kind.SCHEDULE, name=name, changes=(change,))

    plan = Plan(steps=(step("a"),), unchanged=0)
    assert plan.is_within(Plan(steps=(step("b"), step("a")), unchanged=3))
    assert not plan.is_within(Plan(steps=(step("b"),), unchanged=0))
    assert not plan.is_within(Plan(steps=(step("a", "6m"),), unchanged=0))


def test_without_pruning_nobody_looks_for_what_left_the_files(
    files: Files, flow: Flow, schedules: SchedulerManager
) -> None:
    files.apply(OF_SHOP)
    rows(files.database, "UPDATE schedules SET type = 'cron', expr = 'no rule' RETURNING name")

    assert steps(files.plan(OF_SHOP.replace("office", "other"))) == [
        ("create", "schedule", "other")
    ]
