"""Applying files: all of it or nothing, never what others made, and never a secret."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
from pydantic import SecretStr
from sqlalchemy import text

from automagik.core.config import Settings
from automagik.core.database.models import ScheduleRow
from automagik.core.database.session import WAKE
from automagik.core.exceptions import Conflict, NotFound
from automagik.core.flows.exceptions import SourceUnauthorized, SourceUnreachable
from automagik.core.flows.flow_input import FlowInput
from automagik.core.flows.sources import SourceManager
from automagik.core.flows.values import Flow
from automagik.core.manifest.plan import Choice
from automagik.core.manifest.problems import ManifestInvalid
from automagik.core.manifest.values import Kind
from automagik.core.scheduler.after import AfterText
from automagik.core.scheduler.calendars import CalendarManager
from automagik.core.scheduler.manager import SchedulerManager
from automagik.core.scheduler.rule_text import CadenceText
from automagik.core.scheduler.values import Schedule, ScheduleStatus
from automagik.demo.server import DemoServer
from tests.core.manifest.files import Files, changes, steps
from tests.core.records import put, rows
from tests.core.scheduler.stored import add_flow

CANARY = "sk-canary-0123456789"
PRUNE = Choice(prune=True)
EVERY_5M = CadenceText(type="interval", expr="5m")


@pytest.fixture
def server() -> Iterator[DemoServer]:
    with DemoServer(api_key=CANARY) as running:
        yield running


def office(*lines: str, project: str = "shop", name: str = "office") -> str:
    body = "".join(f"    {line}\n" for line in lines or ("every: 5m",))
    return f"project: {project}\nschedules:\n  {name}:\n    flow: Echo\n{body}"


def stored(schedules: SchedulerManager, name: str = "office") -> Schedule:
    return schedules.get(schedules.resolve(name))


def by_hand(schedules: SchedulerManager, flow: Flow, name: str = "office") -> Schedule:
    return schedules.create(flow, EVERY_5M, run_input=FlowInput(), name=name)


def test_what_the_files_say_is_made_and_the_second_time_there_is_nothing_to_do(
    files: Files, flow: Flow, schedules: SchedulerManager
) -> None:
    said = office("cron: 0 9 * * 1-5", "calendar: de", "input: hi", "queue: gpu") + (
        "calendars:\n  de:\n    days: {2035-12-25: Christmas}\n"
    )
    with files.database.listen(WAKE) as beat:
        made = files.apply(said)
        assert beat.wait(files.settings.min_interval) != []

    assert steps(made) == [("create", "calendar", "de"), ("create", "schedule", "office")]
    assert stored(schedules).project == "shop"
    assert stored(schedules).limits.calendar == "de"
    assert stored(schedules).run_input.input_value == "hi"
    again = files.apply(said)
    assert (again.steps, again.unchanged) == ((), 2)


def test_a_plan_changes_nothing(files: Files, flow: Flow, schedules: SchedulerManager) -> None:
    assert steps(files.plan(office())) == [("create", "schedule", "office")]
    with pytest.raises(NotFound):
        schedules.resolve("office")


def test_a_file_is_the_whole_truth_of_a_schedule(
    files: Files, flow: Flow, schedules: SchedulerManager
) -> None:
    full = ["cron: 0 9 * * *", "at: 2035-01-01T00:00", "timezone: Europe/Berlin",
            "exclude: 2035-12-24", "quiet-hours: 22:00-06:00", "start: 2030-01-01",
            "end: 2040-01-01", "dst-gap: skip", "dst-fold: both", "overlap: skip",
            "misfire: run-all", "misfire-grace: 5m", "catch-up: 1d",
            "catch-up-order: newest-first", "jitter: 1m", "spread: 1h", "max-runs: 5",
            "pause-after-failures: 2", "at-most-once: true", "priority: 3", "queue: gpu",
            "max-retries: 1", "timeout: 90s", "input: hi", "session: s", "labels: {a: b}",
            "tweaks: {ChatInput-echo: {sender_name: me}}"]  # fmt: skip
    files.apply(office("every: 5m"))
    plain = stored(schedules)
    files.apply(office(*full))
    changed = stored(schedules)

    files.apply(office("every: 5m"))

    for name in ("limits", "policies", "run_input", "labels", "queue", "timeout", "priority"):
        assert getattr(changed, name) != getattr(plain, name)
        assert getattr(stored(schedules), name) == getattr(plain, name)
    assert stored(schedules).rule_text == plain.rule_text
    assert stored(schedules).id == plain.id


def test_only_what_is_new_is_changed_so_an_interval_keeps_its_beat(
    files: Files, flow: Flow, schedules: SchedulerManager
) -> None:
    files.apply(office("every: 5m"))
    before = stored(schedules)

    plan = files.apply(office("every: 300s", "priority: 5"))

    assert changes(plan) == {"priority": (None, 5)}
    after = stored(schedules)
    assert (after.anchor_at, after.next_run_at) == (before.anchor_at, before.next_run_at)


def test_the_same_times_in_another_zone_are_other_times(
    files: Files, flow: Flow, schedules: SchedulerManager
) -> None:
    times = ["at: 2035-01-01T09:00", "start: 2034-01-01", "end: 2036-01-01"]
    files.apply(office(*times))
    before = stored(schedules)

    assert [*changes(files.apply(office(*times, "timezone: Asia/Tokyo")))] == ["timezone"]

    after = stored(schedules)
    assert after.expr != before.expr
    assert after.limits.starts_at != before.limits.starts_at
    assert after.limits.ends_at != before.limits.ends_at
    assert steps(files.plan(office(*times, "timezone: Asia/Tokyo"))) == []


def test_a_schedule_can_run_another_flow(
    files: Files, flow: Flow, schedules: SchedulerManager
) -> None:
    add_flow(files.database, "Slow")
    files.apply(office("every: 5m"))

    plan = files.apply(office("every: 5m").replace("Echo", "source of Slow/Slow"))

    assert changes(plan) == {"flow": ("Echo", "Slow")}
    assert stored(schedules).flow_name == "Slow"


def test_a_pause_by_hand_stays_unless_the_file_says_otherwise(
    files: Files, flow: Flow, schedules: SchedulerManager
) -> None:
    files.apply(office())
    schedules.pause(stored(schedules).id, note="by hand")

    assert steps(files.apply(office("every: 5m"))) == []
    assert steps(files.apply(office("every: 5m", "paused: true"))) == []
    assert changes(files.apply(office("every: 5m", "paused: true", "note: moving"))) == {
        "note": ("by hand", "moving")
    }
    assert stored(schedules).status_reason == "moving"
    files.apply(office("every: 5m", "paused: false"))
    assert stored(schedules).status is ScheduleStatus.ACTIVE
    assert steps(files.apply(office("every: 5m", "paused: false"))) == []
    files.apply(office("every: 5m", "paused: true"))
    assert stored(schedules).status is ScheduleStatus.PAUSED


def test_what_has_run_to_its_end_is_not_paused(
    files: Files, flow: Flow, schedules: SchedulerManager
) -> None:
    files.apply(office())
    put(files.database, ScheduleRow, stored(schedules).id, status="completed", next_run_at=None)

    assert steps(files.apply(office("every: 5m", "paused: true"))) == []


def test_prune_deletes_what_left_the_files_of_this_project_and_nothing_else(
    files: Files, flow: Flow, schedules: SchedulerManager
) -> None:
    by_hand(schedules, flow, "mine")
    files.apply(office(project="other", name="theirs"))
    files.apply("project: shop\ncalendars: {de: {days: {2035-12-25: }}}\n")
    files.apply(office("every: 5m", "calendar: de"))

    unpruned = files.apply("project: shop\n")
    pruned = files.apply("project: shop\n", choice=PRUNE)

    assert steps(unpruned) == []
    assert steps(pruned) == [("delete", "calendar", "de"), ("delete", "schedule", "office")]
    assert {each.name for each in schedules.list()} == {"mine", "theirs"}
    assert CalendarManager(files.database).list() == []


def test_a_chain_goes_before_what_it_follows_and_nobody_elses_goes_with_it(
    files: Files, flow: Flow, schedules: SchedulerManager
) -> None:
    both = (
        "timezone: Europe/Berlin\n" + office() + "  a-chain:\n    flow: Echo\n    after: office\n"
    )
    files.apply(both)
    assert steps(files.plan("project: shop\n", choice=PRUNE)) == [
        ("delete", "schedule", "a-chain"),
        ("delete", "schedule", "office"),
    ]

    schedules.create(flow, AfterText(reference="office"), run_input=FlowInput(), name="mine")

    assert files.problems("project: shop\n", choice=PRUNE) == [
        "schedules.office: It is followed by: mine."
    ]


def test_a_chain_that_waits_for_another_end_hands_on_what_belongs_to_that(
    files: Files, flow: Flow, schedules: SchedulerManager
) -> None:
    both = office() + "  chain:\n    flow: Echo\n    after: office\n"
    files.apply(both)
    first = stored(schedules, "chain").run_input.input_value

    plan = files.apply(f"{both}    on: failed\n")

    assert changes(plan) == {"on": (None, "failed")}
    assert (first, stored(schedules, "chain").run_input.input_value) == (
        "{{ output }}",
        "{{ error }}",
    )
    assert steps(files.plan(f"{both}    on: failed\n")) == []
    [problem] = files.problems(office("after: chain"))
    assert "schedules.office.after: A schedule with a clock cannot become a chain" in problem


def test_a_source_with_flows_and_a_calendar_in_use_are_not_pruned(
    files: Files, flow: Flow, schedules: SchedulerManager
) -> None:
    rows(files.database, "UPDATE sources SET project = 'shop' RETURNING name")
    files.apply("project: shop\ncalendars: {de: {days: {2035-12-25: }}}\n")
    files.apply(office("every: 5m", "calendar: de", project="other"))

    assert files.problems("project: shop\n", choice=PRUNE) == [
        "calendars.de: Calendar 'de' is used by: office.",
        "sources.source of Echo: The source 'source of Echo' has 1 flows.",
    ]


def test_what_was_made_by_hand_is_taken_over_and_told(
    files: Files, flow: Flow, schedules: SchedulerManager
) -> None:
    by_hand(schedules, flow)

    assert changes(files.apply(office())) == {"project": (None, "shop")}
    assert stored(schedules).project == "shop"


def test_what_belongs_to_another_project_is_only_taken_over_when_that_is_wanted(
    files: Files, flow: Flow, schedules: SchedulerManager
) -> None:
    files.apply(office(project="other"))

    [problem] = files.problems(office())
    assert problem == "a.yaml:3: schedules.office: It belongs to the project 'other'."
    assert changes(files.apply(office(), choice=Choice(take_over=True))) == {
        "project": ("other", "shop")
    }


def test_one_wrong_thing_keeps_all_others_from_being_done(
    files: Files, flow: Flow, schedules: SchedulerManager
) -> None:
    said = office("every: 5m", name="good") + (
        "  fine:\n    flow: Echo\n    cron: 0 9 * * *\n"
        "  lost:\n    flow: Ecco\n    every: 5m\n    calendar: dee\n"
        "schedule: {}\n"
        "calendars:\n  de: {days: {2035-12-25: }}\n"
    )

    assert files.problems(said) == [
        "a.yaml:10: schedules.lost.flow: There is no flow 'Ecco'.",
        "a.yaml:12: schedules.lost.calendar: There is no calendar 'dee'.",
        "a.yaml:13: schedule: is no key here; did you mean schedules?",
    ]
    assert schedules.list() == []
    assert CalendarManager(files.database).list() == []


def test_what_only_the_manager_can_tell_is_told_with_its_line_as_well(
    files: Files, flow: Flow, schedules: SchedulerManager
) -> None:
    said = office("every: 5m", name="good") + (
        "  never:\n    flow: Echo\n    cron: 0 9 * * *\n    exclude: '* 9 * * *'\n"
        "  past:\n    flow: Echo\n    at: 2020-01-01T09:00\n"
        "  odd:\n    flow: Echo\n    every: 5m\n    tweaks: {Nobody: {a: 1}}\n"
        "  celery:\n    flow: Echo\n    every: 5m\n    queue: celeryev\n"
    )

    found = files.problems(said)

    assert [line.partition(": ")[0] for line in found] == [f"a.yaml:{n}" for n in (8, 12, 16, 17)]
    assert [line.split(": ")[1] for line in found] == [
        "schedules.never.cron",
        "schedules.past.at",
        "schedules.odd.tweaks",
        "schedules.celery",
    ]
    with pytest.raises(ManifestInvalid):
        files.apply(said)
    assert schedules.list() == []


def test_tweaks_may_name_components_by_what_people_see(
    files: Files, flow: Flow, schedules: SchedulerManager
) -> None:
    said = office("every: 5m", "tweaks: {Chat Input: {sender_name: me}}")
    files.apply(said)

    assert stored(schedules).run_input.tweaks == {"ChatInput-echo": {"sender_name": "me"}}
    assert steps(files.plan(said)) == []


def test_runs_that_come_too_close_are_told_beside_all_else_that_is_wrong(
    files: Files, flow: Flow, schedules: SchedulerManager
) -> None:
    strict = replace(
        files, settings=files.settings.model_copy(update={"min_interval_seconds": 120.0})
    )
    dense = "    cron: '* * * * *'\n"
    said = office("every: 5m", name="good") + (
        f"  dense:\n    flow: Echo\n{dense}"
        f"  quiet:\n    flow: Echo\n{dense}    exclude: '1-59 * * * *'\n"
        "  odd:\n    flow: Echo\n    every: 5m\n    tweaks: {Nobody: {a: 1}}\n"
    )

    found = strict.problems(said)

    assert [line.split(": ")[:2] for line in found] == [
        ["a.yaml:8", "schedules.dense.cron"],
        ["a.yaml:16", "schedules.odd.tweaks"],
    ]
    files.apply(said.partition("  odd")[0])
    assert strict.problems(office("cron: '*/2 * * * *'", "cron: '*/3 * * * *'")) != []
    [problem] = strict.problems(office("cron: '* * * * *'", name="good"))
    assert "schedules.good.cron: Two runs would be only 1 minute apart" in problem
    assert strict.problems(office("cron: '* * * * *'", "priority: 1", name="dense")) == []


def test_only_some_kinds_can_be_applied(
    files: Files, flow: Flow, schedules: SchedulerManager
) -> None:
    said = office("every: 5m", "calendar: de") + "calendars: {de: {days: {2035-12-25: }}}\n"

    plan = files.apply(said, choice=Choice(only=Kind.CALENDAR))

    assert steps(plan) == [("create", "calendar", "de")]


def test_what_follows_a_schedule_of_the_files_follows_it_even_if_a_flow_has_its_name(
    files: Files, flow: Flow, schedules: SchedulerManager
) -> None:
    add_flow(files.database, "Slow")
    said = office(name="echo") + "  alarm: {flow: Slow, after: echo, on: failed}\n"

    files.apply(said)

    after = stored(schedules, "alarm").after
    assert after is not None
    assert after.schedule_id == schedules.resolve("echo")
    assert steps(files.plan(said)) == []
    files.apply(said.replace("after: echo", "after: flow:Echo"))
    assert changes(files.apply(said))["after"] == ("flow:Echo", "schedule:echo")


def test_a_calendar_that_is_left_out_is_said_to_be_in_the_files(
    files: Files, flow: Flow, schedules: SchedulerManager
) -> None:
    said = office("every: 5m", "calendar: de") + "calendars: {de: {days: {2035-12-25: }}}\n"

    with pytest.raises(ManifestInvalid) as refused:
        files.plan(said, choice=Choice(only=Kind.SCHEDULE))

    assert "a.yaml:6: schedules.office.calendar: There is no calendar 'de'." in str(refused.value)
    assert "automagik apply --only calendars" in str(refused.value)
    assert "calendars import" not in str(refused.value)


def test_a_chain_cannot_come_to_start_itself_by_another_flow(
    files: Files, flow: Flow, schedules: SchedulerManager
) -> None:
    slow = add_flow(files.database, "Slow")
    chain = "project: shop\nschedules:\n  a: {flow: FLOW, after: 'flow:AFTER'}\n"
    other = chain.replace("  a:", "  b:")
    files.apply(chain.replace("FLOW", "Echo").replace("AFTER", "Slow"))

    [problem] = files.problems(chain.replace("FLOW", "Slow").replace("AFTER", "Slow"))
    assert problem.startswith("a.yaml:3: schedules.a: Schedule 'a' would start itself")
    found = files.problems(
        chain.replace("FLOW", "Echo").replace("AFTER", "Slow"),
        other.replace("FLOW", "Slow").replace("AFTER", "Echo"),
    )
    assert ["would start itself: b → flow Slow → a" in each for each in found] == [True]
    files.apply(chain.replace("FLOW", "Slow").replace("AFTER", "Echo"))
    assert stored(schedules, "a").flow_id == slow.id


def test_a_calendar_that_changes_moves_the_schedules_that_heed_it(
    files: Files, flow: Flow, schedules: SchedulerManager
) -> None:
    files.apply("project: shop\ncalendars: {de: {days: {2035-12-25: }}}\n")
    files.apply(office("cron: 0 0 * * *", "calendar: de"))
    first = stored(schedules).next_run_at
    assert first is not None

    said = f"project: shop\ncalendars: {{de: {{days: {{{first.date()}: , 2035-12-25: }}}}}}\n"
    files.apply(said)

    assert stored(schedules).next_run_at != first
    assert steps(files.plan(said)) == []


def test_two_that_apply_the_same_do_it_once(
    files: Files, flow: Flow, schedules: SchedulerManager
) -> None:
    manifest, choice = files.manifest(office()), Choice()
    shown = files.manager.plan(manifest, choice)
    with ThreadPoolExecutor(4) as pool:
        plans = list(
            pool.map(lambda _: files.manager.apply(manifest, choice, shown=shown), range(4))
        )

    assert sorted(len(plan.steps) for plan in plans) == [0, 0, 0, 1]
    assert len(schedules.list()) == 1


def test_nothing_is_done_that_was_not_shown(
    files: Files, flow: Flow, schedules: SchedulerManager
) -> None:
    files.apply(office("every: 5m"))
    manifest = files.manifest(office("every: 6m"))
    shown = files.manager.plan(manifest, Choice())
    files.apply(office("every: 7m"))

    with pytest.raises(Conflict):
        files.manager.apply(manifest, Choice(), shown=shown)
    assert stored(schedules).expr == "7m"


def prod(server: DemoServer, *lines: str) -> str:
    body = "".join(f"    {line}\n" for line in lines)
    key = "    api-key: env:PROD_KEY\n"
    return f"project: shop\nsources:\n  prod:\n    url: {server.url}/api/v1\n{key}{body}"


def test_a_source_is_made_once_its_server_has_accepted_the_key(
    files: Files, server: DemoServer, settings: Settings
) -> None:
    files.environment["PROD_KEY"] = CANARY
    plan = files.apply(prod(server, "max-parallel: 3", "max-per-minute: 60"))

    [source] = SourceManager(files.database, settings).list()
    assert (source.name, source.url, source.has_api_key) == ("prod", server.url, True)
    assert (source.max_parallel_runs, source.max_runs_per_minute) == (3, 60)
    assert changes(plan)["api-key"] == (None, "(changed)")
    assert steps(files.plan(prod(server, "max-parallel: 3", "max-per-minute: 60"))) == []
    assert changes(files.apply(prod(server))) == {
        "max-parallel": (3, None),
        "max-per-minute": (60, None),
    }
    without_key = prod(server).replace("    api-key: env:PROD_KEY\n", "")
    assert steps(files.plan(without_key)) == []


def test_a_key_that_the_server_refuses_is_not_stored_nor_is_anything_else(
    files: Files, server: DemoServer, flow: Flow, schedules: SchedulerManager
) -> None:
    files.environment["PROD_KEY"] = "sk-canary-wrong"
    said = prod(server) + office().partition("\n")[2]

    with pytest.raises(SourceUnauthorized):
        files.apply(said)
    with pytest.raises(SourceUnreachable):
        files.apply(said.replace(server.url, "http://127.0.0.1:9"))

    assert schedules.list() == []


def test_a_new_key_is_told_as_changed_and_nowhere_in_plain(
    files: Files, server: DemoServer, settings: Settings
) -> None:
    sources = SourceManager(files.database, settings)
    sources.add("prod", server.url, api_key=SecretStr(CANARY))
    rows(files.database, "UPDATE sources SET api_key_encrypted = 'unreadable', project = 'shop'"
         " RETURNING name")  # fmt: skip
    files.environment["PROD_KEY"] = CANARY

    plan = files.apply(prod(server))

    assert changes(plan) == {"api-key": (None, "(changed)")}
    with files.database.transaction() as connection:
        table = str(connection.execute(text("SELECT * FROM sources")).all())
    assert CANARY not in table + repr(plan) + repr(files.manifest(prod(server)))
    assert sources.has_key(sources.get("prod"), SecretStr(CANARY))


def test_a_flow_of_a_source_that_comes_with_the_files_needs_a_sync_first(
    files: Files, server: DemoServer
) -> None:
    files.environment["PROD_KEY"] = CANARY
    said = prod(server) + "schedules:\n  office: {flow: prod/Echo, every: 5m}\n"

    with pytest.raises(ManifestInvalid) as refused:
        files.plan(said)
    assert "automagik apply --only sources" in refused.value.message
    assert steps(files.apply(said, choice=replace(PRUNE, only=Kind.SOURCE))) == [
        ("create", "source", "prod")
    ]
