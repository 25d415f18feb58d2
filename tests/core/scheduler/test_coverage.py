"""Occurrences that nobody can account for are found, and those with a reason are left alone."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import delete, insert

from automagik.core.config import Settings
from automagik.core.database.models import ScheduleRow, SkippedOccurrencesRow, TaskRow
from automagik.core.database.session import Database
from automagik.core.flows.values import Flow
from automagik.core.scheduler import coverage
from automagik.core.scheduler.cadence import load_cadence
from automagik.core.scheduler.coverage import Coverage, Gap, find_gaps
from automagik.core.scheduler.fire import fire
from automagik.core.scheduler.manager import SchedulerManager
from automagik.core.tasks import by_hand
from automagik.core.tasks.states import TaskState
from tests.core.records import add_schedules, add_task, now, put, row, rows

SECOND = timedelta(seconds=1)
MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)

BERLIN = {"type": "cron", "timezone": "Europe/Berlin"}
RULES: list[tuple[dict[str, Any], datetime, timedelta]] = [
    ({"type": "interval", "expr": "5m"}, datetime(2025, 3, 1, tzinfo=UTC), HOUR),
    ({"expr": "30 2 * * *"} | BERLIN, datetime(2025, 3, 28, tzinfo=UTC), 5 * DAY),
    ({"expr": "*/15 * * * *"} | BERLIN, datetime(2025, 10, 25, tzinfo=UTC), 2 * DAY),
    ({"type": "oneshot", "expr": "2025-05-05T05:05+00:00"}, datetime(2025, 5, 1, tzinfo=UTC), HOUR),
]
"""Also over both changes of the clock."""


def look(database: Database, **options: Any) -> Coverage:
    with database.transaction() as connection:
        return find_gaps(connection, **options)


def fire_all(database: Database, settings: Settings, *, grace: timedelta = DAY) -> None:
    changed = settings.model_copy(update={"misfire_grace_seconds": grace.total_seconds()})
    fired = True
    while fired:
        with database.transaction() as connection:
            fired = bool(fire(connection, settings=changed, actor="beat@here"))


def add_fired(
    database: Database, settings: Settings, flow: Flow, *, late: timedelta = 10 * MINUTE
) -> UUID:
    """An interval of a minute that has been in force for a while, with a task each time."""
    since = now(database) - late - MINUTE
    [schedule_id] = add_schedules(database, flow, late=late, counts_from=since)
    fire_all(database, settings)
    return schedule_id


def instants(database: Database) -> list[datetime]:
    return list(rows(database, "SELECT scheduled_for FROM tasks ORDER BY scheduled_for"))


def lose(database: Database, *lost: datetime) -> None:
    """Their tasks vanish without a word."""
    with database.transaction() as connection:
        connection.execute(delete(TaskRow).where(TaskRow.scheduled_for.in_(lost)))


def skip(
    database: Database,
    schedule_id: UUID,
    ranges: Sequence[tuple[datetime, datetime]],
    reason: str = "misfire",
) -> None:
    values = [
        {"schedule_id": schedule_id, "first_at": first, "last_at": last, "reason": reason}
        for first, last in ranges
    ]
    with database.transaction() as connection:
        connection.execute(insert(SkippedOccurrencesRow), values)


def test_what_was_fired_is_covered_to_the_last(
    database: Database, settings: Settings, flow: Flow
) -> None:
    add_fired(database, settings, flow)

    found = look(database)

    assert (found.gaps, found.occurrences) == ([], 11)


@pytest.mark.parametrize("case", RULES)
def test_any_single_lost_occurrence_is_found_whatever_the_rule(
    database: Database,
    settings: Settings,
    flow: Flow,
    case: tuple[dict[str, Any], datetime, timedelta],
) -> None:
    columns, since, length = case
    times = {"anchor_at": since, "counts_from": since, "next_run_at": since + SECOND}
    [schedule_id] = add_schedules(database, flow, **(times | columns))
    put(database, ScheduleRow, schedule_id, next_run_at=first_of(database, schedule_id))
    fire_until(database, settings, schedule_id, since + length)
    assert look(database).gaps == []

    for instant in instants(database):
        lose(database, instant)
        [gap] = look(database).gaps
        assert (gap.schedule_id, gap.occurrences) == (schedule_id, 1)
        assert gap.first_at == gap.last_at == instant
        add_task(database, flow, schedule_id=schedule_id, scheduled_for=instant)


def first_of(database: Database, schedule_id: UUID) -> datetime:
    stored = row(database, ScheduleRow, schedule_id)
    rule = load_cadence(
        stored["type"], stored["expr"], timezone=stored["timezone"], anchor=stored["anchor_at"]
    )
    first = rule.next_after(stored["counts_from"])
    assert first is not None
    return first


def fire_until(database: Database, settings: Settings, schedule_id: UUID, end: datetime) -> None:
    """One occurrence after the other, as if each were due now; then the clock stands."""
    patient = settings.model_copy(update={"misfire_grace_seconds": (9_999 * DAY).total_seconds()})
    while (due := row(database, ScheduleRow, schedule_id)["next_run_at"]) and due < end:
        with database.transaction() as connection:
            fire(connection, settings=patient, actor="beat@here")


def test_a_gap_says_how_many_are_missing_and_between_when(
    database: Database, settings: Settings, flow: Flow
) -> None:
    schedule_id = add_fired(database, settings, flow)
    fired = instants(database)
    lose(database, *fired[3:6])

    [gap] = look(database).gaps

    name = row(database, ScheduleRow, schedule_id)["name"]
    assert gap == Gap(
        schedule_id=schedule_id,
        schedule=name,
        occurrences=3,
        first_at=fired[3],
        last_at=fired[5],
    )


def test_the_first_and_the_last_occurrence_count_too(
    database: Database, settings: Settings, flow: Flow
) -> None:
    add_fired(database, settings, flow)
    first, *_, last = instants(database)
    lose(database, first, last)

    [gap] = look(database).gaps

    assert (gap.occurrences, gap.first_at, gap.last_at) == (2, first, last)


def test_what_is_due_and_not_yet_fired_is_not_missing(
    database: Database, settings: Settings, flow: Flow
) -> None:
    since = now(database) - HOUR
    add_schedules(database, flow, late=HOUR - MINUTE, counts_from=since)

    assert look(database).gaps == []


def test_a_misfire_is_a_reason_for_each_occurrence_that_it_makes_up_for(
    database: Database, settings: Settings, flow: Flow
) -> None:
    since = now(database) - 2 * HOUR
    [schedule_id] = add_schedules(database, flow, late=2 * HOUR - MINUTE, counts_from=since)
    fire_all(database, settings, grace=MINUTE)
    assert len(instants(database)) == 1
    assert look(database).gaps == []

    with database.transaction() as connection:
        connection.execute(delete(SkippedOccurrencesRow))

    [gap] = look(database).gaps
    assert (gap.schedule_id, gap.occurrences) == (schedule_id, 119)


def test_skipped_ranges_may_overlap_and_excuse_only_what_they_hold(
    database: Database, settings: Settings, flow: Flow
) -> None:
    schedule_id = add_fired(database, settings, flow)
    fired = instants(database)
    lose(database, *fired)
    skip(database, schedule_id, [(fired[2], fired[6]), (fired[0], fired[3]), (fired[8], fired[8])])

    [gap] = look(database).gaps

    assert (gap.occurrences, gap.first_at, gap.last_at) == (3, fired[7], fired[10])


def test_deletion_by_hand_is_no_gap_but_what_is_lost_later_is(
    database: Database, settings: Settings, flow: Flow
) -> None:
    schedule_id = add_fired(database, settings, flow)
    fired = instants(database)
    with database.transaction() as connection:
        [task_id] = rows(database, "SELECT id FROM tasks WHERE scheduled_for = :at", at=fired[4])
        by_hand.remove(connection, task_id)
    assert look(database).gaps == []
    assert row(database, ScheduleRow, schedule_id)["counts_from"] == fired[4]

    lose(database, fired[5])

    assert [gap.first_at for gap in look(database).gaps] == [fired[5]]


def test_deletion_of_an_old_task_leaves_what_a_schedule_answers_for(
    database: Database, settings: Settings, flow: Flow
) -> None:
    """Its rule was changed after that occurrence."""
    schedule_id = add_fired(database, settings, flow)
    since = row(database, ScheduleRow, schedule_id)["counts_from"]
    old = add_task(
        database,
        flow,
        state=TaskState.COMPLETED,
        schedule_id=schedule_id,
        scheduled_for=since - DAY,
    )
    with database.transaction() as connection:
        by_hand.remove(connection, old)

    assert row(database, ScheduleRow, schedule_id)["counts_from"] == since


def test_schedules_that_are_set_aside_are_not_looked_at(
    database: Database, settings: Settings, flow: Flow
) -> None:
    schedule_id = add_fired(database, settings, flow)
    lose(database, instants(database)[3])
    put(database, ScheduleRow, schedule_id, status="error", next_run_at=None)

    assert look(database).occurrences == 0


def test_a_paused_schedule_answers_for_all_before_what_it_holds_back(
    database: Database, settings: Settings, flow: Flow
) -> None:
    schedule_id = add_fired(database, settings, flow)
    fired = instants(database)
    SchedulerManager(database, settings).pause(schedule_id)
    assert look(database).occurrences == len(fired)

    lose(database, fired[3])

    assert [gap.first_at for gap in look(database).gaps] == [fired[3]]


def test_what_the_rule_leaves_out_excuses_no_occurrence(
    database: Database, settings: Settings, flow: Flow
) -> None:
    schedule_id = add_fired(database, settings, flow)
    lost = instants(database)[3]
    lose(database, lost)
    skip(database, schedule_id, [(lost, lost)], reason="quiet-hours")

    assert [gap.first_at for gap in look(database).gaps] == [lost]


@pytest.mark.parametrize("wrong", [{"expr": "sometimes"}, {"exclusions": [17]}])
def test_a_rule_that_cannot_be_computed_is_counted_and_stops_nobody(
    database: Database, settings: Settings, flow: Flow, wrong: dict[str, Any]
) -> None:
    add_schedules(database, flow, late=-HOUR, **wrong)
    add_fired(database, settings, flow)
    lose(database, instants(database)[3])

    found = look(database)

    assert (found.unreadable, len(found.gaps)) == (1, 1)


def test_only_the_newest_are_looked_at_where_there_are_too_many(
    database: Database, settings: Settings, flow: Flow
) -> None:
    add_fired(database, settings, flow)
    fired = instants(database)
    lose(database, fired[0], fired[-1])

    found = look(database, most=10)

    assert (found.occurrences, found.cut) == (10, 1)
    assert [gap.first_at for gap in found.gaps] == [fired[-1]]
    assert look(database, most=11).cut == 0


def test_schedules_are_compared_in_batches(
    database: Database, settings: Settings, flow: Flow, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(coverage, "BATCH", 20)
    since = now(database) - 11 * MINUTE
    add_schedules(database, flow, 7, late=10 * MINUTE, counts_from=since)
    fire_all(database, settings)
    lost = instants(database)[35]
    lose(database, lost)

    found = look(database)

    assert found.occurrences == 77
    assert {gap.schedule_id for gap in found.gaps} == {
        schedule_id
        for schedule_id in rows(database, "SELECT id FROM schedules")
        if not rows(
            database,
            "SELECT id FROM tasks WHERE schedule_id = :s AND scheduled_for = :at",
            s=schedule_id,
            at=lost,
        )
    }
