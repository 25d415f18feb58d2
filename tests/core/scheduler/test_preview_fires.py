"""What a preview says is what beats do: the same rule, one firing after the other."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as tried
from hypothesis import strategies as st

from automagik.core.config import Settings
from automagik.core.database.models import ScheduleRow
from automagik.core.database.session import Database
from automagik.core.flows.values import Flow
from automagik.core.scheduler.cadence import occurrences, upcoming
from automagik.core.scheduler.calendars import CalendarManager
from automagik.core.scheduler.coverage import find_gaps
from automagik.core.scheduler.fire import fire
from automagik.core.scheduler.manager import SchedulerManager
from automagik.core.scheduler.plan import Standing, plan
from automagik.core.scheduler.policies import Policies
from automagik.core.scheduler.rule import Rule
from tests.core.records import add_schedules, put, rows
from tests.core.scheduler.rule_cases import DAY, HOLIDAYS, Case, cases

MINUTE = timedelta(minutes=1)
YEAR = 365 * DAY


def fired(rule: Rule, start: datetime, end: datetime, *, late: timedelta) -> list[datetime]:
    """A beat that looks always a little late."""
    found, due = [], rule.next_after(start)
    while due is not None and due <= end:
        standing = Standing(due=due, now=due + late)
        firing = plan(rule, standing, policies=Policies(), grace=MINUTE)
        found += [run.at for run in firing.runs]
        due = firing.next_run_at
    return found


def previewed(rule: Rule, start: datetime, end: datetime) -> list[datetime]:
    found = []
    for at in occurrences(rule, start):
        if at > end:
            break
        found.append(at)
    return found


@pytest.mark.timeout(900)
def test_over_a_year_each_that_is_previewed_fires_once_and_nothing_else(*, full_size: bool) -> None:
    total = 0

    @tried(max_examples=200 if full_size else 12, deadline=None, derandomize=True)
    @given(cases(), st.timedeltas(timedelta(), MINUTE))
    def check(case: Case, late: timedelta) -> None:
        nonlocal total
        expected = previewed(case.rule, case.start, case.start + YEAR)
        total += len(expected)
        assert fired(case.rule, case.start, case.start + YEAR, late=late) == expected
        assert all(earlier < later for earlier, later in pairwise(expected))

    check()
    assert total > 1_000


def fire_all(database: Database, settings: Settings) -> None:
    fired = True
    while fired:
        with database.transaction() as connection:
            fired = bool(fire(connection, settings=settings, actor="beat"))


@pytest.mark.parametrize(
    "columns",
    [
        {"type": "cron", "expr": "*/20 * * * *", "exclusions": ["* 2-3 * * *"]},
        {"type": "interval", "expr": "45m", "quiet_hours": "22:00-06:00"},
        {
            "type": "cron",
            "expr": "30 9 * * *",
            "calendar": "de",
            "on_holiday": "next-business-day",
        },
        {
            "type": "cron",
            "expr": "30 2 * * *",
            "more_cadences": [{"type": "interval", "expr": "5h"}],
        },
    ],
)
def test_beats_make_the_tasks_that_the_rule_says_and_tell_the_rest(
    database: Database, settings: Settings, flow: Flow, columns: dict[str, Any]
) -> None:
    start = datetime(2026, 3, 28, 3, 7, tzinfo=UTC)
    CalendarManager(database).replace("de", dict.fromkeys(HOLIDAYS, "closed"))
    forgiving = settings.model_copy(update={"misfire_grace_seconds": YEAR.total_seconds() * 9})
    values: dict[str, Any] = {
        "anchor_at": start,
        "counts_from": start,
        "timezone": "Europe/Berlin",
    } | columns
    [schedule_id] = add_schedules(database, flow, **values, next_run_at=start + MINUTE)
    rule = SchedulerManager(database, settings).get(schedule_id).rule
    expected = upcoming(rule, after=start, count=120)
    put(database, ScheduleRow, schedule_id, next_run_at=expected[0], ends_at=expected[-1])

    fire_all(database, forgiving)

    assert rows(database, "SELECT scheduled_for FROM tasks ORDER BY 1") == expected[:-1]
    told = rows(
        database, "SELECT first_at, last_at, reason FROM skipped_occurrences ORDER BY first_at"
    )
    assert told == [
        (each.first_at, each.last_at, str(each.reason))
        for each in rule.left_out(start, expected[-2])
    ]
    with database.transaction() as connection:
        assert find_gaps(connection).gaps == []
