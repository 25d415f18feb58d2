"""How many runs ended, how, and how long they took: against the plain computation."""

import random
from datetime import timedelta
from statistics import median
from typing import Any

import pytest
from sqlalchemy import insert

from automagik.core.database.base import new_id
from automagik.core.database.models import TaskRow
from automagik.core.database.session import Database
from automagik.core.tasks import stats as module
from automagik.core.tasks.manager import TaskManager
from automagik.core.tasks.stats import SPANS
from tests.core.records import now
from tests.core.tasks.rows import add_flow

DAY = timedelta(days=1)
SECOND = timedelta(seconds=1)


@pytest.fixture
def ended(database: Database) -> list[dict[str, Any]]:
    """Two hundred tasks of two flows that ended within the last day, and a few before."""
    flows, chance, present = (
        [add_flow(database, "a"), add_flow(database, "b")],
        random.Random(3),
        now(database),
    )
    rows = []
    for number in range(210):
        age = DAY * chance.random() if number < 200 else DAY * 3
        finished_at = present - age
        started_at = finished_at - chance.randint(1, 90) * SECOND
        flow = flows[number % 3 == 0]
        rows.append(
            {
                "id": new_id(),
                "flow_id": flow.id,
                "flow_version_id": flow.version_id,
                "source_id": flow.source_id,
                "max_retries": 0,
                "max_attempts": 1,
                "timeout_seconds": 1,
                "tweaks": {},
                "state": chance.choice(["completed", "completed", "failed", "cancelled"]),
                "run_at": started_at - chance.randint(0, 9) * SECOND,
                "started_at": started_at,
                "finished_at": finished_at,
            }
        )
    with database.transaction() as connection:
        connection.execute(insert(TaskRow), rows)
    return [
        row | {"flow": "b" if number % 3 == 0 else "a"} for number, row in enumerate(rows[:200])
    ]


def test_counts_and_halves_are_those_of_the_rows(
    ended: list[dict[str, Any]], tasks: TaskManager
) -> None:
    found = tasks.stats(age=DAY)

    assert found.all_flows is not None
    assert [each.flow for each in found.flows] == ["a", "b"]
    for runs in (*found.flows, found.all_flows):
        own = [row for row in ended if runs.flow in (None, row["flow"])]
        counted = [row for row in own if row["state"] != "cancelled"]
        completed = [row for row in own if row["state"] == "completed"]
        assert (runs.tasks, runs.completed) == (len(own), len(completed))
        assert runs.success_rate == pytest.approx(len(completed) / len(counted))
        assert runs.per_minute == pytest.approx(len(own) / 1440)
        took = [(row["finished_at"] - row["started_at"]).total_seconds() for row in counted]
        waited = [(row["started_at"] - row["run_at"]).total_seconds() for row in counted]
        assert runs.took.p50 == median(took) * SECOND
        assert runs.waited.p50 == median(waited) * SECOND
        assert runs.took.p50 <= (runs.took.p95 or SECOND) <= (runs.took.p99 or SECOND)


def test_each_end_is_in_one_part_of_the_time(
    ended: list[dict[str, Any]], tasks: TaskManager
) -> None:
    found = tasks.stats(age=DAY)

    assert (len(found.ends), sum(found.ends)) == (SPANS, 200)
    assert sum(found.failures) == sum(row["state"] == "failed" for row in ended)
    newest = [
        row
        for row in ended
        if row["finished_at"] > max(r["finished_at"] for r in ended) - DAY / SPANS / 2
    ]
    assert found.ends[-1] >= len(newest)


def test_of_too_many_only_the_newest_are_counted(
    ended: list[dict[str, Any]], tasks: TaskManager, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MOST", 50)
    found = tasks.stats(age=DAY)

    assert found.is_cut
    assert sum(found.ends) == 50
    assert found.since == sorted(row["finished_at"] for row in ended)[-50]


def test_nothing_ended(tasks: TaskManager) -> None:
    found = tasks.stats(age=DAY)

    assert (found.all_flows, found.flows, sum(found.ends)) == (None, [], 0)
