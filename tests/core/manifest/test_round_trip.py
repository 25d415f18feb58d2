"""What is exported and applied again changes nothing."""

from datetime import date
from typing import Any

from hypothesis import HealthCheck, event, given
from hypothesis import settings as property_settings
from hypothesis import strategies as st

from automagik.core.database.models import FlowRow
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
from tests.core.manifest.files import Files, steps
from tests.core.records import put
from tests.core.scheduler.stored import add_flow

EVERY_5M = CadenceText(type="interval", expr="5m")


@property_settings(
    max_examples=7, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(drawn=st.lists(SCHEDULES, min_size=5, max_size=12))
def test_exporting_and_applying_changes_nothing_but_whose_they_are(
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

    taken_over = {(action, kind) for action, kind, _ in steps(files.apply(text))}
    assert taken_over <= {("change", "source"), ("change", "calendar"), ("change", "schedule")}
    again = export(files.database, files.settings).text
    assert steps(files.plan(text)) == steps(files.plan(again)) == []
    for before in made:
        assert told(schedules.get(before.id)) == told(before)


def make(schedules: SchedulerManager, flow: Flow, drawn: dict[str, Any]) -> Schedule | None:
    """None for a rule that never fires."""
    drawn = dict(drawn)
    first, *more = drawn.pop("cadences")
    run_input = FlowInput(
        **{name: drawn.pop(name) for name in ("input_value", "tweaks", "session_id")}
    )
    note = drawn.pop("note")
    try:
        made = schedules.create(flow, first, more_cadences=more, run_input=run_input, **drawn)
    except AutomagikError:
        return None
    return made if note is None else schedules.pause(made.id, note=note)


def told(schedule: Schedule) -> Any:
    """All but whose it is and since when."""
    return {
        name: getattr(schedule, name)
        for name in Schedule.__dataclass_fields__
        if name not in ("project", "updated_at")
    }


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
