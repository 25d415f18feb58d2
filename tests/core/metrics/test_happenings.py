"""Counters say what was committed: each thing once, none twice, whatever is deleted later."""

from collections.abc import Callable
from contextlib import ExitStack, closing
from datetime import timedelta
from random import Random
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import delete, func, text

from automagik.core.database.base import new_id
from automagik.core.database.models import TaskRow
from automagik.core.database.session import Database
from automagik.core.flows.values import Flow
from automagik.core.metrics import cursor, families
from automagik.core.metrics.families import Family
from automagik.core.metrics.flow_names import OTHER
from automagik.core.metrics.happenings import Happenings
from automagik.core.scheduler.reaper import reap
from automagik.core.tasks.by_hand import retry
from automagik.core.tasks.claim import Claim
from automagik.core.tasks.finish import Finish, decide, finish
from automagik.core.tasks.outcome import Completed, Failed
from automagik.core.tasks.states import TaskState
from benchmarks.plans import Reading, watched
from tests.core.metrics.conftest import SNAPSHOT
from tests.core.records import add_schedules, add_task, claimed, put, rows
from tests.core.tasks.rows import add_flow

Look = Callable[[Happenings], None]

DONE = Completed(answer={}, text="", http_status=200)
FAILED = Failed(code="AM-SRC", message="no", retryable=False)
SECOND = timedelta(seconds=1)
_ADD = text("""
INSERT INTO tasks (id, flow_id, flow_version_id, source_id, max_retries, max_attempts,
    timeout_seconds)
SELECT gen_random_uuid(), id, version_id, source_id, 0, 1, 1 FROM flows, generate_series(1, :count)
""")


def counted(happenings: Happenings, family: Family, **wanted: str) -> float:
    """The sum of the series with these labels."""
    return sum(
        count
        for labels, count in happenings.sums.counters(family).items()
        if wanted.items() <= dict(zip(family.labels, labels, strict=True)).items()
    )


def buckets(happenings: Happenings, family: Family) -> dict[float, int]:
    """Of the only series: how many there were below each bound that has any."""
    [found] = happenings.sums.histograms(family).values()
    bounds = (*family.buckets, float("inf"))
    return {bound: count for bound, count in zip(bounds, found.counts, strict=True) if count}


def sent(database: Database, task_id: UUID, **columns: Any) -> None:
    put(database, TaskRow, task_id, state="queued", queued_at=func.now(), **columns)


def ended(database: Database, claim: Claim, outcome: Completed | Failed) -> None:
    end = Finish(claim, decide(outcome, claim, random=Random(1)))
    with database.transaction() as connection:
        assert finish(connection, end, actor="worker@here")


class TestOnce:
    def test_what_was_before_does_not_count(
        self, database: Database, flow: Flow, look: Look
    ) -> None:
        add_task(database, flow)
        happenings = Happenings(flows=10)

        look(happenings)
        look(happenings)

        assert counted(happenings, families.TASKS_CREATED) == 0
        assert counted(happenings, families.TRANSITIONS) == 0

    @pytest.mark.parametrize("seed", range(3))
    def test_transactions_that_end_in_any_order_count_once_if_they_are_committed(
        self, database: Database, happenings: Happenings, look: Look, seed: int
    ) -> None:
        """Ids are given in one order and committed in another; some are rolled back."""
        chance = Random(seed)
        with ExitStack() as stack:
            hands = [stack.enter_context(closing(database.engine.connect())) for _ in range(5)]
            for _ in range(120):
                hand = chance.choice(hands)
                match chance.choice(("add", "add", "nested", "commit", "roll back", "look")):
                    case "add":
                        hand.execute(_ADD, {"count": chance.randint(1, 4)})
                    case "nested":
                        with hand.begin_nested():
                            hand.execute(_ADD, {"count": 1})
                    case "commit":
                        hand.commit()
                    case "roll back":
                        hand.rollback()
                    case "look":
                        look(happenings)
                        [committed] = rows(database, "SELECT count(*) FROM task_events")
                        assert counted(happenings, families.TASKS_CREATED) == committed
                        assert counted(happenings, families.TRANSITIONS) == committed

    def test_a_transaction_that_takes_long_is_waited_for_and_one_that_failed_is_forgotten(
        self, database: Database, happenings: Happenings, look: Look
    ) -> None:
        with closing(database.engine.connect()) as slow, closing(database.engine.connect()) as bad:
            slow.execute(_ADD, {"count": 3})
            bad.execute(_ADD, {"count": 2})
            bad.rollback()
            for _ in range(3):
                with database.transaction() as connection:
                    connection.execute(_ADD, {"count": 1})
                look(happenings)
            assert counted(happenings, families.TASKS_CREATED) == 3
            slow.commit()
        look(happenings)

        assert counted(happenings, families.TASKS_CREATED) == 6
        assert not happenings._cursor._gaps

    def test_many_events_are_read_in_batches(
        self,
        database: Database,
        happenings: Happenings,
        look: Look,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setattr(cursor, "MOST_EVENTS", 7)
        with database.transaction() as connection:
            connection.execute(_ADD, {"count": 30})

        look(happenings)

        assert counted(happenings, families.TASKS_CREATED) == 30
        assert happenings.behind == 0

    def test_what_is_too_much_for_one_scrape_is_left_to_the_next(
        self,
        database: Database,
        happenings: Happenings,
        look: Look,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setattr(cursor, "MOST_EVENTS", 7)
        monkeypatch.setattr("automagik.core.metrics.happenings.LONGEST", -SECOND)
        with database.transaction() as connection:
            connection.execute(_ADD, {"count": 10})

        look(happenings)
        assert (counted(happenings, families.TASKS_CREATED), happenings.behind) == (7, 3)
        look(happenings)
        assert (counted(happenings, families.TASKS_CREATED), happenings.behind) == (10, 0)

    def test_deleted_history_takes_nothing_away(
        self, database: Database, flow: Flow, happenings: Happenings, look: Look
    ) -> None:
        ended(database, claimed(database, add_task(database, flow)), DONE)
        look(happenings)
        with database.transaction() as connection:
            connection.execute(delete(TaskRow))
        add_task(database, flow)
        look(happenings)

        assert counted(happenings, families.TASKS_CREATED) == 2
        assert counted(happenings, families.TASKS_FINISHED, outcome="completed") == 1

    def test_another_history_goes_on_where_it_is(
        self, database: Database, flow: Flow, happenings: Happenings, look: Look
    ) -> None:
        """A backup was restored: ids begin where they were then."""
        for _ in range(3):
            add_task(database, flow)
        look(happenings)
        with database.transaction() as connection:
            connection.execute(text("TRUNCATE task_events RESTART IDENTITY"))
        look(happenings)
        add_task(database, flow)
        look(happenings)

        assert counted(happenings, families.TASKS_CREATED) == 4

    def test_a_scrape_reads_what_is_new_however_long_the_history_is(
        self, database: Database, flow: Flow, happenings: Happenings
    ) -> None:
        with database.transaction() as connection:
            connection.execute(_ADD, {"count": 3000})
            connection.execute(text("ANALYZE"))
        with database.transaction() as connection:
            connection.execute(SNAPSHOT)
            happenings.catch_up(connection)
        for _ in range(3):
            ended(database, claimed(database, add_task(database, flow)), DONE)
        reading = Reading()
        with database.transaction() as connection:
            connection.execute(SNAPSHOT)
            with watched(connection, reading):
                happenings.catch_up(connection)

        assert counted(happenings, families.TASKS_FINISHED) == 3
        # A sequence is a table of one row.
        assert reading.read_as_a_whole() == {"task_events_id_seq"}
        assert 0 < reading.rows() < 150


class TestWhatIsCounted:
    def test_ends_by_flow_trigger_and_outcome(
        self, database: Database, flow: Flow, happenings: Happenings, look: Look
    ) -> None:
        [schedule_id] = add_schedules(database, flow)
        occurrence: dict[str, Any] = {"schedule_id": schedule_id, "scheduled_for": func.now()}
        by_hand = add_task(database, flow)
        ended(database, claimed(database, by_hand), FAILED)
        by_clock = add_task(database, flow, **occurrence)
        ended(database, claimed(database, by_clock), DONE)
        follower = add_task(
            database, flow, schedule_id=schedule_id, parent_task_id=by_clock, parent_attempt=1
        )
        ended(database, claimed(database, follower), DONE)

        look(happenings)

        finished = happenings.sums.counters(families.TASKS_FINISHED)
        assert {labels: count for labels, count in finished.items() if count} == {
            ("source of greeter", "greeter", "manual", "failed"): 1,
            ("source of greeter", "greeter", "schedule", "completed"): 1,
            ("source of greeter", "greeter", "chain", "completed"): 1,
        }
        attempts = happenings.sums.counters(families.ATTEMPTS)
        assert attempts == {
            ("source of greeter", "greeter", "failed", "AM-SRC"): 1,
            ("source of greeter", "greeter", "completed", ""): 2,
        }
        durations = happenings.sums.histograms(families.DURATION)
        assert {labels[2]: sum(found.counts) for labels, found in durations.items()} == {
            "failed": 1,
            "completed": 2,
        }

    def test_a_flow_that_never_ran_has_series_that_say_nothing(
        self, happenings: Happenings
    ) -> None:
        finished = happenings.sums.counters(families.TASKS_FINISHED)

        assert ("source of greeter", "greeter", "manual", "failed") in finished
        assert set(finished.values()) == {0}

    def test_a_task_that_is_retried_by_hand_ends_again(
        self, database: Database, flow: Flow, happenings: Happenings, look: Look
    ) -> None:
        task_id = add_task(database, flow)
        ended(database, claimed(database, task_id), FAILED)
        with database.transaction() as connection:
            retry(connection, task_id, actor="me", reason=None)
        ended(database, claimed(database, task_id), DONE)

        look(happenings)

        assert counted(happenings, families.TASKS_FINISHED, outcome="failed") == 1
        assert counted(happenings, families.TASKS_FINISHED, outcome="completed") == 1
        steps = {"from_state": "failed", "to_state": "pending"}
        assert counted(happenings, families.TRANSITIONS, **steps) == 1

    def test_an_expired_lease_is_an_attempt_and_a_count_of_its_own(
        self, database: Database, flow: Flow, happenings: Happenings, look: Look
    ) -> None:
        claimed(database, add_task(database, flow), lease=-SECOND)
        with database.transaction() as connection:
            assert reap(connection, lease=timedelta(), actor="beat@here") == 1

        look(happenings)

        assert counted(happenings, families.LEASES_EXPIRED) == 1
        assert counted(happenings, families.ATTEMPTS, outcome="worker_lost") == 1

    def test_lag_is_from_the_due_instant_to_the_first_dispatch_of_an_occurrence(
        self, database: Database, flow: Flow, happenings: Happenings, look: Look
    ) -> None:
        [schedule_id] = add_schedules(database, flow)
        for late in (3, 20):
            due = func.now() - late * SECOND
            occurrence: dict[str, Any] = {
                "schedule_id": schedule_id,
                "scheduled_for": due,
                "run_at": due,
            }
            sent(database, add_task(database, flow, **occurrence))
        sent(database, add_task(database, flow, run_at=func.now() - 400 * SECOND))

        look(happenings)

        assert buckets(happenings, families.LAG) == {5: 1, 30: 1}

    def test_lag_of_a_task_that_waits_for_its_next_attempt_is_that_of_its_occurrence(
        self, database: Database, flow: Flow, happenings: Happenings, look: Look
    ) -> None:
        [schedule_id] = add_schedules(database, flow)
        due = func.now() - 3 * SECOND
        occurrence: dict[str, Any] = {
            "schedule_id": schedule_id,
            "scheduled_for": due,
            "run_at": due,
        }
        task_id = add_task(database, flow, **occurrence)
        sent(database, task_id)
        put(database, TaskRow, task_id, state="waiting", run_at=func.now() + 60 * SECOND)

        look(happenings)

        assert buckets(happenings, families.LAG) == {5: 1}

    def test_queue_wait_is_from_dispatch_to_start(
        self, database: Database, flow: Flow, happenings: Happenings, look: Look
    ) -> None:
        task_id = add_task(database, flow)
        sent(database, task_id)
        with database.transaction() as connection:
            back = "UPDATE task_events SET at = at - interval '4 s' WHERE to_state = 'queued'"
            connection.execute(text(back))
        put(database, TaskRow, task_id, queued_at=func.now() - 5 * SECOND)
        claimed(database, task_id)
        # Not by way of Redis: a beat died before it could say that it had sent the delivery.
        claimed(database, add_task(database, flow))

        look(happenings)

        assert buckets(happenings, families.QUEUE_WAIT) == {5: 1}
        assert counted(happenings, families.REPUBLISHED) == 0

    def test_a_delivery_that_was_sent_again_is_counted_when_its_task_starts(
        self, database: Database, flow: Flow, happenings: Happenings, look: Look
    ) -> None:
        lost, tried_again = add_task(database, flow), add_task(database, flow)
        for task_id in (lost, tried_again):
            sent(database, task_id)
        put(database, TaskRow, lost, queued_at=func.clock_timestamp())
        for task_id in (lost, tried_again):
            claimed(database, task_id)
        put(database, TaskRow, tried_again, state="waiting", lease_expires_at=None)
        sent(database, tried_again)

        look(happenings)

        assert counted(happenings, families.REPUBLISHED) == 1

    def test_flows_beyond_the_limit_share_their_series(
        self, database: Database, flow: Flow, look: Look
    ) -> None:
        others = [add_flow(database, f"flow {number}") for number in range(3)]
        happenings = Happenings(flows=2)
        look(happenings)
        for each in (flow, *others):
            add_task(database, each)

        look(happenings)

        created = happenings.sums.counters(families.TASKS_CREATED)
        assert {labels[:2]: count for labels, count in created.items() if count} == {
            ("source of greeter", "greeter"): 1,
            ("source of flow 0", "flow 0"): 1,
            ("source of flow 1", OTHER): 1,
            ("source of flow 2", OTHER): 1,
        }

    def test_the_tasks_of_a_deleted_flow_are_no_error(
        self, database: Database, flow: Flow, happenings: Happenings, look: Look
    ) -> None:
        add_task(database, flow, id=new_id(), state=TaskState.PAUSED)
        with database.transaction() as connection:
            connection.execute(text("DELETE FROM tasks"))
            connection.execute(text("DELETE FROM flows"))

        look(happenings)

        assert counted(happenings, families.TASKS_CREATED) == 0
