"""Each instant explains itself: by its task, by the reason that it has none, or by the rule."""

from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from automagik.core.config import Settings
from automagik.core.database.models import ScheduleRow
from automagik.core.database.session import Database
from automagik.core.flows.values import Flow
from automagik.core.scheduler.explain import Explanation, Fate
from automagik.core.scheduler.fire import fire
from automagik.core.scheduler.manager import SchedulerManager
from automagik.core.tasks.why import told
from tests.core.records import MINUTE, add_schedules, now, put, row, rows

SECOND = timedelta(seconds=1)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)


@pytest.fixture
def manager(database: Database, settings: Settings) -> SchedulerManager:
    return SchedulerManager(database, settings)


def fire_all(database: Database, settings: Settings) -> None:
    fired = True
    while fired:
        with database.transaction() as connection:
            fired = bool(fire(connection, settings=settings, actor="beat@here"))


def add(database: Database, flow: Flow, *, late: timedelta, **columns: Any) -> UUID:
    """Every ten minutes, in force for a day."""
    since = now(database) - DAY
    every = 10 * MINUTE
    return add_schedules(
        database, flow, every=every, late=late, name="mine", **({"counts_from": since} | columns)
    )[0]


def explained(
    manager: SchedulerManager, database: Database, schedule_id: UUID, ago: timedelta
) -> Explanation:
    """What became of the instant so long before the next run."""
    at = row(database, ScheduleRow, schedule_id)["next_run_at"] - ago
    return manager.explain(schedule_id, at=at)


def test_an_occurrence_with_a_task_is_what_became_of_the_task(
    database: Database, settings: Settings, flow: Flow, manager: SchedulerManager
) -> None:
    schedule_id = add(database, flow, late=SECOND)
    fire_all(database, settings)

    found = explained(manager, database, schedule_id, 10 * MINUTE)

    assert found.fate is Fate.TASK
    assert [found.task_id] == rows(database, "SELECT id FROM tasks")
    assert "for the occurrence" in found.text
    assert "made by beat@here" in found.text
    assert found == manager.explain(schedule_id), "the latest is what people ask for"


def test_a_misfire_names_the_run_that_made_up_for_it(
    database: Database, settings: Settings, flow: Flow, manager: SchedulerManager
) -> None:
    schedule_id = add(database, flow, late=HOUR)
    fire_all(database, settings)
    [task_id] = rows(database, "SELECT id FROM tasks")

    found = explained(manager, database, schedule_id, HOUR)

    assert (found.fate, found.reason, found.task_id) == (Fate.SKIPPED, "misfire", None)
    assert "no beat fired it in time" in found.text
    assert f"made up for it: task {task_id}" in found.text
    assert found.previous is not None
    assert found.following is not None
    assert found.following - found.previous == 20 * MINUTE


def test_a_misfire_that_nothing_made_up_for_names_no_run(
    database: Database, settings: Settings, flow: Flow, manager: SchedulerManager
) -> None:
    schedule_id = add(database, flow, late=HOUR - SECOND, misfire="skip")
    fire_all(database, settings)

    found = explained(manager, database, schedule_id, 30 * MINUTE)

    assert (found.fate, found.reason) == (Fate.SKIPPED, "misfire")
    assert "made up" not in found.text


def test_an_overlap_says_so(
    database: Database, settings: Settings, flow: Flow, manager: SchedulerManager
) -> None:
    schedule_id = add(database, flow, late=10 * MINUTE, overlap="skip", misfire_grace_seconds=9e3)
    fire_all(database, settings)

    found = explained(manager, database, schedule_id, 10 * MINUTE)

    assert (found.fate, found.reason) == (Fate.SKIPPED, "overlap")
    assert "an earlier run of the schedule was unfinished" in found.text


def test_an_instant_between_two_occurrences_names_both(
    database: Database, settings: Settings, flow: Flow, manager: SchedulerManager
) -> None:
    schedule_id = add(database, flow, late=SECOND)
    fire_all(database, settings)

    found = explained(manager, database, schedule_id, 7 * MINUTE)

    assert found.fate is Fate.NO_OCCURRENCE
    assert found.previous is not None
    assert found.following is not None
    assert "is no occurrence of mine" in found.text
    for near in (found.previous, found.following):
        assert told(near, "UTC") in found.text


def test_what_lies_ahead_says_when_it_starts(
    database: Database, flow: Flow, manager: SchedulerManager
) -> None:
    schedule_id = add(database, flow, late=-HOUR, spread_seconds=3_600.0)

    found = explained(manager, database, schedule_id, timedelta())

    assert found.fate is Fate.AHEAD
    assert "It starts at" in found.text


def test_what_is_due_waits_for_a_beat(
    database: Database, flow: Flow, manager: SchedulerManager
) -> None:
    schedule_id = add(database, flow, late=SECOND)

    assert explained(manager, database, schedule_id, timedelta()).fate is Fate.DUE


def test_a_pause_with_an_end_says_when_it_ends_and_what_comes_after_it(
    database: Database, flow: Flow, manager: SchedulerManager
) -> None:
    schedule_id = add(database, flow, late=-10 * MINUTE)
    at = row(database, ScheduleRow, schedule_id)["next_run_at"]
    end = told(at + 15 * MINUTE, "UTC")
    manager.pause(schedule_id, note="maintenance", until=at + 15 * MINUTE)

    within, after = (manager.explain(schedule_id, at=at + n * 10 * MINUTE) for n in (1, 2))

    assert within.fate is Fate.STOPPED
    assert f"the schedule is paused: maintenance. The pause ends at {end}." in within.text
    assert after.fate is Fate.AHEAD
    assert end in after.text


def test_what_a_pause_skipped_says_so(
    database: Database, flow: Flow, manager: SchedulerManager
) -> None:
    schedule_id = add(database, flow, late=HOUR)
    at = row(database, ScheduleRow, schedule_id)["next_run_at"]
    manager.pause(schedule_id)
    assert "is held back" in manager.explain(schedule_id, at=at).text
    manager.resume(schedule_id)

    found = manager.explain(schedule_id, at=at + 10 * MINUTE)

    assert (found.fate, found.reason) == (Fate.SKIPPED, "paused")
    assert "became no run: the schedule was paused." in found.text
    assert f"from {told(at, 'UTC')} to {told(at + HOUR, 'UTC')}" in found.text


def test_a_lost_occurrence_before_a_pause_is_called_missing(
    database: Database, flow: Flow, manager: SchedulerManager
) -> None:
    schedule_id = add(database, flow, late=SECOND)
    at = row(database, ScheduleRow, schedule_id)["next_run_at"]
    put(database, ScheduleRow, schedule_id, next_run_at=at + 10 * MINUTE)
    manager.pause(schedule_id)

    assert manager.explain(schedule_id, at=at).fate is Fate.MISSING


@pytest.mark.parametrize("ahead", [HOUR, -HOUR])
def test_a_schedule_that_is_paused_says_why(
    database: Database, flow: Flow, manager: SchedulerManager, ahead: timedelta
) -> None:
    schedule_id = add(database, flow, late=-ahead)
    at = row(database, ScheduleRow, schedule_id)["next_run_at"]
    manager.pause(schedule_id, note="maintenance")

    found = manager.explain(schedule_id, at=at)

    assert found.fate is Fate.STOPPED
    assert "the schedule is paused: maintenance" in found.text


def test_what_lies_before_the_rule_is_not_answered_for(
    database: Database, settings: Settings, flow: Flow, manager: SchedulerManager
) -> None:
    since = now(database) - 5 * MINUTE
    anchor = now(database) - DAY
    schedule_id = add(database, flow, late=-10 * MINUTE, counts_from=since, anchor_at=anchor)
    put(database, ScheduleRow, schedule_id, next_run_at=anchor + DAY + 10 * MINUTE)

    assert explained(manager, database, schedule_id, HOUR).fate is Fate.UNTOLD


def test_a_lost_occurrence_is_called_missing(
    database: Database, settings: Settings, flow: Flow, manager: SchedulerManager
) -> None:
    schedule_id = add(database, flow, late=SECOND)
    fire_all(database, settings)
    rows(database, "DELETE FROM tasks RETURNING 1")

    assert explained(manager, database, schedule_id, 10 * MINUTE).fate is Fate.MISSING


def test_what_the_rule_leaves_out_says_why(
    database: Database, flow: Flow, manager: SchedulerManager
) -> None:
    at = (now(database) + DAY).replace(hour=12, minute=0, second=0, microsecond=0)
    schedule_id = add(
        database, flow, late=-DAY, type="cron", expr="0 12 * * *", exclusions=[f"{at:%Y-%m-%d}"]
    )

    found = manager.explain(schedule_id, at=at)

    assert (found.fate, found.reason) == (Fate.SKIPPED, "excluded")
    assert "the schedule excludes it" in found.text
