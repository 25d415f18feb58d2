"""A source that somebody has disabled gets no runs, and nothing of that is forgotten."""

from datetime import timedelta

import pytest

from automagik.core.config import Settings
from automagik.core.database.models import ScheduleRow
from automagik.core.database.session import WAKE, Database
from automagik.core.flows.sources import SourceManager
from automagik.core.flows.values import Flow, Source
from automagik.core.health.check import Verdict
from automagik.core.health.facts import read_stored
from automagik.core.health.sources import check_sources
from automagik.core.health.status import notices_of, problems_of
from automagik.core.scheduler.coverage import find_gaps
from automagik.core.scheduler.dispatch import dispatch
from automagik.core.scheduler.fire import fire
from automagik.core.scheduler.manager import SchedulerManager
from automagik.core.tasks.claim import claim
from automagik.core.tasks.states import TaskState
from automagik.core.tasks.why import why
from tests.core.records import (
    LEASE,
    MINUTE,
    add_schedules,
    add_task,
    add_worker,
    claimed,
    now,
    row,
    rows,
    task,
)
from tests.core.tasks.rows import add_flow
from tests.workers.queues import delivered
from workers.ready_queue import CeleryReadyQueues

HOUR = timedelta(hours=1)


@pytest.fixture
def sources(database: Database, settings: Settings) -> SourceManager:
    return SourceManager(database, settings)


@pytest.fixture
def source(sources: SourceManager, flow: Flow) -> Source:
    return sources.disable(sources.get(str(flow.source_id)), note="upgrade")


def send(database: Database, queue: CeleryReadyQueues) -> int:
    with database.transaction() as connection:
        return dispatch(connection, queue, least=300, silence=MINUTE, actor="beat@here")


def test_its_tasks_wait_and_those_of_others_go_out(
    database: Database, flow: Flow, source: Source, queue: CeleryReadyQueues, redis_url: str
) -> None:
    waits = add_task(database, flow)
    goes = add_task(database, add_flow(database, "other"))

    assert send(database, queue) == 1
    assert delivered(redis_url) == [goes]
    with database.transaction() as connection:
        known = why(connection, waits, zone="UTC")
    assert known.obstacle == f"the source {source.name} is disabled (upgrade)"


def test_what_was_sent_before_is_held_back_and_uses_no_attempt(
    database: Database, flow: Flow, source: Source
) -> None:
    task_id, worker = add_task(database, flow, state=TaskState.QUEUED), add_worker(database)

    with database.transaction() as connection:
        assert claim(connection, task_id, worker=worker, lease=LEASE) is None

    held = task(database, task_id)
    assert (held["state"], held["attempt"]) == ("waiting", 0)
    assert held["state_reason"] == "the source is disabled"


def test_what_runs_goes_on(database: Database, flow: Flow, sources: SourceManager) -> None:
    task_id = add_task(database, flow)
    claimed(database, task_id)
    sources.disable(sources.get(str(flow.source_id)))

    assert task(database, task_id)["state"] == "running"


def test_enabled_it_gets_what_waited_and_beats_wake_up(
    database: Database,
    flow: Flow,
    source: Source,
    sources: SourceManager,
    queue: CeleryReadyQueues,
) -> None:
    add_task(database, flow)
    with database.listen(WAKE) as listener:
        enabled = sources.enable(source)
        assert listener.wait(MINUTE)

    assert (enabled.disabled_at, enabled.disabled_reason) == (None, None)
    assert send(database, queue) == 1


def test_disabling_twice_is_once_and_a_new_note_replaces_the_old(
    sources: SourceManager, source: Source
) -> None:
    again = sources.disable(source)

    assert (again.disabled_at, again.disabled_reason) == (source.disabled_at, "upgrade")
    assert sources.disable(source, note="more").disabled_reason == "more"


@pytest.mark.parametrize("misfire", ["run-once", "run-all"])
def test_occurrences_that_come_meanwhile_are_skipped_with_the_reason(
    database: Database, settings: Settings, flow: Flow, source: Source, misfire: str
) -> None:
    since = now(database) - HOUR - MINUTE
    [schedule_id] = add_schedules(database, flow, late=HOUR, misfire=misfire, counts_from=since)
    due = row(database, ScheduleRow, schedule_id)["next_run_at"]

    with database.transaction() as connection:
        assert fire(connection, settings=settings, actor="beat@here") == 1

    skipped = "SELECT first_at, last_at, reason FROM skipped_occurrences"
    assert rows(database, skipped) == [(due, due + HOUR, "source-disabled")]
    assert rows(database, "SELECT id FROM tasks") == []
    after = row(database, ScheduleRow, schedule_id)
    assert (after["status"], after["next_run_at"]) == ("active", due + HOUR + MINUTE)
    with database.transaction() as connection:
        assert find_gaps(connection).gaps == []
    found = SchedulerManager(database, settings).explain(schedule_id, at=due)
    assert "the flow's source was disabled" in found.text


def test_a_schedule_can_be_triggered_and_the_run_waits(
    database: Database, settings: Settings, flow: Flow, source: Source, queue: CeleryReadyQueues
) -> None:
    [schedule_id] = add_schedules(database, flow, late=-HOUR)
    triggered = SchedulerManager(database, settings).trigger(schedule_id, actor="me")

    assert send(database, queue) == 0
    assert task(database, triggered.id)["state"] == "pending"


def test_its_one_shot_whose_time_comes_is_completed_and_says_why(
    database: Database, settings: Settings, flow: Flow, source: Source
) -> None:
    at = now(database) - MINUTE
    [schedule_id] = add_schedules(
        database, flow, type="oneshot", expr=at.isoformat(), next_run_at=at
    )

    with database.transaction() as connection:
        fire(connection, settings=settings, actor="beat@here")

    after = row(database, ScheduleRow, schedule_id)
    assert after["status"] == "completed"
    assert after["status_reason"] == "its last occurrence was skipped: source-disabled"


def test_it_is_a_notice_and_no_problem_and_doctor_does_not_ask_it(
    database: Database, settings: Settings, flow: Flow, source: Source
) -> None:
    add_task(database, flow, run_at=now(database) - HOUR)
    with database.transaction() as connection:
        stored = read_stored(connection, settings)
    [check] = check_sources(settings)

    [notice] = notices_of(stored)
    assert notice.what == f"The source {source.name} is disabled (upgrade): 1 task waits."
    assert not [problem for problem in problems_of(stored) if "dispatched" in problem.what[:30]]
    assert (check.verdict, check.found) == (
        Verdict.WARNING,
        "disabled (upgrade), so its tasks wait",
    )
