"""What is exported and applied again changes nothing."""

from datetime import UTC, date, datetime
from typing import Any

from hypothesis import HealthCheck, event, given
from hypothesis import settings as property_settings
from hypothesis import strategies as st

from automagik.core.database.models import FlowRow, ScheduleRow
from automagik.core.exceptions import AutomagikError
from automagik.core.flows.flow_input import FlowInput
from automagik.core.flows.values import Flow
from automagik.core.manifest.export import export
from automagik.core.scheduler.after import AfterText, End
from automagik.core.scheduler.calendars import CalendarManager
from automagik.core.scheduler.manager import SchedulerManager
from automagik.core.scheduler.rule_text import CadenceText
from automagik.core.scheduler.values import Schedule
from tests.core.manifest.drawn import SCHEDULES
from tests.core.manifest.files import Files, changes, steps
from tests.core.records import put
from tests.core.scheduler.stored import add_flow

EVERY_5M = CadenceText(type="interval", expr="5m")


@property_settings(
    max_examples=7, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(drawn=st.lists(SCHEDULES, min_size=5, max_size=12))
def test_exporting_and_applying_changes_nothing(
    drawn: list[dict[str, Any]],
    flow_and_rooms: tuple[Flow, SchedulerManager, Files],
) -> None:
    flow, schedules, files = flow_and_rooms
    CalendarManager(files.database).replace("de", {date(2035, 12, 25): " Größter\tTag "})
    for each in schedules.list():
        schedules.delete(each.id)
    made = [found for each in drawn if (found := make(schedules, flow, each)) is not None]
    event(f"{len(made)} of {len(drawn)} made")
    text = export(files.database, files.settings).text

    assert steps(files.apply(text)) == []
    assert [schedules.get(before.id) for before in made] == made
    for before in made:
        schedules.delete(before.id)
    files.apply(text)
    assert export(files.database, files.settings).text == text


def make(schedules: SchedulerManager, flow: Flow, drawn: dict[str, Any]) -> Schedule | None:
    """None for a rule that never fires."""
    drawn = dict(drawn)
    first, *more = drawn.pop("cadences")
    run_input = FlowInput(
        **{name: drawn.pop(name) for name in ("input_value", "tweaks", "session_id")}
    )
    note, until = drawn.pop("note"), drawn.pop("until")
    try:
        made = schedules.create(flow, first, more_cadences=more, run_input=run_input, **drawn)
    except AutomagikError:
        return None
    return made if note is None else schedules.pause(made.id, note=note, until=until)


def test_a_chain_is_exported_after_what_it_follows_and_made_again(
    schedules: SchedulerManager, flow: Flow, files: Files
) -> None:
    schedules.create(flow, EVERY_5M, run_input=FlowInput(), name="z-first")
    for name, followed in (("b-second", "z-first"), ("a-third", "b-second")):
        after = AfterText(reference=followed, end=End.ANY)
        schedules.create(flow, after, run_input=FlowInput(input_value="{{ output }}"), name=name)
    text = export(files.database, files.settings).text
    for each in sorted(schedules.list(), key=lambda each: each.name):
        schedules.delete(each.id)

    made = files.apply(text)

    assert [name for action, kind, name in steps(made) if kind == "schedule"] == [
        "z-first",
        "b-second",
        "a-third",
    ]
    assert export(files.database, files.settings).text.count("on") == text.count("on")
    assert steps(files.plan(text)) == []


def test_what_has_no_run_to_come_is_left_out_with_its_chains_and_told(
    schedules: SchedulerManager, flow: Flow, files: Files
) -> None:
    soon = CadenceText(type="oneshot", expr="2035-12-01T09:00")
    once = schedules.create(flow, soon, run_input=FlowInput(), name="once")
    schedules.create(flow, EVERY_5M, run_input=FlowInput(), name="often")
    for name, followed in (("b-chain", "once"), ("a-chain", "b-chain"), ("kept", "often")):
        schedules.create(flow, AfterText(reference=followed), run_input=FlowInput(), name=name)
    put(
        files.database, ScheduleRow, once.id,
        status="completed", next_run_at=None, expr="2020-12-01T09:00:00+00:00",
    )  # fmt: skip
    told = export(files.database, files.settings)
    for name in ("often", "once"):
        schedules.delete(schedules.resolve(name))

    made = files.apply(told.text)

    assert told.left_out == ["a-chain", "b-chain", "once"]
    assert [step.name for step in made.steps] == ["often", "kept"]


def test_instants_that_have_passed_say_nothing_beside_others_that_are_to_come(
    schedules: SchedulerManager, flow: Flow, files: Files
) -> None:
    said = "schedules:\n  twice: {flow: Echo, at: [2020-01-01T09:00, 2035-01-01T09:00]}\n"

    files.apply(said)
    made = schedules.get(schedules.resolve("twice"))
    more = [{"type": "oneshot", "expr": "2020-01-01T09:00:00+00:00"}]
    put(files.database, ScheduleRow, made.id, more_cadences=more)

    assert made.more_cadences == ()
    assert (
        steps(files.plan(said)) == steps(files.plan(said.replace("2020-01-01T09:00, ", ""))) == []
    )


def test_a_timed_pause_is_made_anew_until_its_end_and_not_after(
    schedules: SchedulerManager, flow: Flow, files: Files
) -> None:
    end = datetime(2035, 3, 1, 9, 30, tzinfo=UTC)
    made = schedules.create(flow, EVERY_5M, run_input=FlowInput(), name="office")
    schedules.pause(made.id, note="moving", until=end)
    text = export(files.database, files.settings).text
    schedules.delete(made.id)

    files.apply(text)
    [paused] = schedules.list()
    schedules.delete(paused.id)
    files.apply(text.replace("2035", "2025"))
    [active] = schedules.list()

    assert "    paused: true\n    paused-until: 2035-03-01T09:30\n    note: moving\n" in text
    assert (paused.status, paused.paused_until) == ("paused", end)
    assert (paused.status_reason, active.status) == ("moving", "active")


def test_the_end_of_a_pause_is_changed_by_the_file_alone_that_says_it(
    schedules: SchedulerManager, flow: Flow, files: Files
) -> None:
    said = "schedules:\n  office:\n    flow: Echo\n    every: 5m\n    paused: true\n"
    until = f"{said}    paused-until: 2035-03-01\n"
    files.apply(until)
    [paused] = schedules.list()

    assert steps(files.plan(until)) == steps(files.plan(said)) == []
    files.apply(f"{said}    note: moving\n")
    [noted] = schedules.list()
    assert (noted.paused_until, noted.status_reason) == (paused.paused_until, "moving")
    later = until.replace("03-01", "04-01")
    assert changes(files.apply(later)) == {"paused-until": ("2035-03-01", "2035-04-01")}
    assert steps(files.plan(later)) == []
    alone = later.replace("    paused: true\n", "")
    for each in (alone, alone.replace("5m", "5m\n    paused: no")):
        [problem] = files.problems(each)
        assert "paused-until: says until when it is paused: paused: true is missing." in problem


def test_an_export_of_some_has_what_they_need_and_no_more(
    schedules: SchedulerManager, flow: Flow, files: Files
) -> None:
    add_flow(files.database, "Slow")
    CalendarManager(files.database).replace("unused", {date(2035, 12, 25): ""})
    wanted = schedules.create(flow, EVERY_5M, run_input=FlowInput(), name="wanted")
    schedules.create(flow, EVERY_5M, run_input=FlowInput(), name="other")

    some = export(files.database, files.settings, schedules=[wanted.id]).text
    of_flow = export(files.database, files.settings, flow_id=flow.id).text
    everything = export(files.database, files.settings).text

    assert some == (
        "timezone: UTC\nsources:\n  source of Echo:\n    url: http://127.0.0.1:9\n"
        "schedules:\n  wanted:\n    flow: Echo\n    every: 5m\n"
    )
    assert "other:" in of_flow
    assert "Slow" not in of_flow
    assert "source of Slow" in everything
    assert "unused" in everything


def test_flows_of_the_same_name_are_told_by_their_source(
    schedules: SchedulerManager, flow: Flow, files: Files
) -> None:
    namesake = add_flow(files.database, "Slow")
    put(files.database, FlowRow, namesake.id, name=flow.name)
    schedules.create(namesake, EVERY_5M, run_input=FlowInput(), name="slow")
    text = export(files.database, files.settings).text

    files.apply(text)

    assert "flow: source of Slow/Echo" in text
    assert steps(files.plan(text)) == []
