"""Attempts from claim to finish, against the demo server."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import func, update

from automagik.core.config import Settings
from automagik.core.database.models import TaskRow
from automagik.core.database.session import Database
from automagik.core.flows.run_handle import AbortReason
from automagik.core.scheduler.dispatch import dispatch
from automagik.core.scheduler.reaper import reap
from automagik.core.tasks import task_runner
from automagik.core.tasks.finish import Ending, decide
from automagik.core.tasks.manager import TaskManager
from automagik.core.tasks.outcome import Completed, Disowned, Failed, Released
from automagik.core.tasks.presence import worker_draining
from automagik.demo.faults import Fault, answer, huge, reset
from automagik.demo.journal import RunRecord
from tests.core.records import MINUTE, attempts, put, rows, task
from tests.core.tasks.workplace import Site, site_of
from tests.workers.queues import queue_in

LOG = "SELECT message FROM task_logs ORDER BY id"


@pytest.fixture
def site(settings: Settings, database: Database) -> Iterator[Site]:
    with site_of(database, settings) as site:
        yield site


def all_ended(runs: list[RunRecord]) -> bool:
    return all(run.outcome != "running" for run in runs)


class TestRuns:
    def test_a_run_completes_with_answer_text_and_log(self, site: Site) -> None:
        created = site.create("Echo", "hello")

        report = site.run(created.id)

        assert isinstance(report.outcome, Completed)
        done = task(site.database, created.id)
        assert (done["state"], done["output_text"]) == ("completed", "hello")
        assert done["result"]["session_id"] == str(created.id)
        [attempt] = attempts(site.database, created.id)
        assert (attempt["outcome"], attempt["http_status"]) == ("completed", 200)
        assert attempt["worker_name"] == "worker@here"
        [run] = site.server.runs
        assert (run.input_value, run.session_id, run.streamed) == ("hello", str(created.id), True)
        log = rows(site.database, LOG)
        assert log[0] == "attempt 1 of 4 on worker@here"
        assert "'Echo' on demo" in log[1]
        assert any(line.startswith("HTTP 200 after ") for line in log)
        assert log[-1] == "completed"

    def test_a_delivery_that_comes_twice_runs_once(self, site: Site) -> None:
        created = site.create("Echo")
        site.run(created.id)

        assert site.runner.run(created.id) is None

        assert len(site.server.runs) == 1
        assert len(attempts(site.database, created.id)) == 1

    def test_a_failing_flow_fails_with_the_text_of_the_source(self, site: Site) -> None:
        created = site.create("Failing", max_retries=0)

        report = site.run(created.id)

        assert isinstance(report.outcome, Failed)
        failed = task(site.database, created.id)
        assert (failed["state"], failed["error_code"]) == ("failed", "AM-SRC-RUN")
        assert "deliberate failure" in failed["error_message"]
        assert failed["result"] is None
        errors = rows(site.database, "SELECT message FROM task_logs WHERE level = 'error'")
        assert any("deliberate failure" in line for line in errors)

    def test_a_flaky_flow_is_sent_again_until_it_completes(
        self, site: Site, redis_url: str
    ) -> None:
        created = site.create("Flaky", "hi")
        with queue_in(redis_url) as queue:
            for _ in range(2):
                site.run(created.id)
                assert task(site.database, created.id)["state"] == "waiting"
                assert site.runner.run(created.id) is None, "not before beat sends it again"
                put(site.database, TaskRow, created.id, run_at=func.now())
                with site.database.transaction() as connection:
                    sent = dispatch(connection, queue, least=10, silence=MINUTE, actor="beat")
                assert sent == 1
            report = site.run(created.id)

        assert isinstance(report.outcome, Completed)
        assert report.outcome.text == "succeeded on attempt 3: hi"
        outcomes = [a["outcome"] for a in attempts(site.database, created.id)]
        assert outcomes == ["failed", "failed", "completed"]
        ways = rows(site.database, "SELECT to_state FROM task_events ORDER BY id")
        again = ["running", "waiting", "queued"]
        assert ways == ["pending", *again, *again, "running", "completed"]
        numbers = rows(site.database, "SELECT DISTINCT attempt FROM task_logs ORDER BY 1")
        assert numbers == [1, 2, 3]

    def test_what_a_flow_says_is_in_the_log_under_its_component(self, site: Site) -> None:
        created = site.create("Echo", "hello")

        site.run(created.id)

        said = rows(site.database, "SELECT component FROM task_logs WHERE message = 'hello'")
        assert "ChatInput-echo" in said

    def test_a_run_has_its_deadline(self, site: Site) -> None:
        tweaks: dict[str, dict[str, object]] = {"SleepComponent-slow": {"seconds": 60.0}}
        created = site.create("Slow", tweaks=tweaks, timeout=timedelta(seconds=0.3), max_retries=0)

        site.run(created.id)

        failed = task(site.database, created.id)
        assert (failed["state"], failed["error_code"]) == ("failed", "AM-SRC-DEADLINE")
        assert site.server.wait_for_runs(all_ended)[0].outcome == "aborted"

    @pytest.mark.parametrize(
        ("fault", "state", "code"),
        [
            (answer(429, headers={"retry-after": "3600"}), "waiting", "AM-SRC-RATE"),
            (answer(503), "waiting", "AM-SRC-SERVER"),
            (reset(), "waiting", "AM-SRC-UNREACHABLE"),
            (answer(422, '{"detail": "no"}'), "failed", "AM-SRC-REQUEST"),
            (answer(403, '{"detail": "Invalid API key"}'), "failed", "AM-SRC-KEY"),
            (huge(40_000_000), "failed", "AM-SRC-SIZE"),
        ],
    )
    def test_only_what_may_pass_is_tried_again(
        self, site: Site, fault: Fault, state: str, code: str
    ) -> None:
        created = site.create("Echo")
        site.faults["echo"] = fault

        site.run(created.id)

        ended = task(site.database, created.id)
        assert (ended["state"], ended["error_code"]) == (state, code)
        if code == "AM-SRC-RATE":
            in_an_hour = "SELECT run_at > now() + interval '59 minutes' FROM tasks"
            assert rows(site.database, in_an_hour) == [True]


class TestBrokenOff:
    TWEAKS: dict[str, dict[str, object]] = {"SleepComponent-slow": {"seconds": 60.0}}  # noqa: RUF012

    def test_a_cancelled_run_ends_here_and_at_the_source(self, site: Site) -> None:
        created = site.create("Slow", tweaks=self.TWEAKS)
        with site.running(created.id) as reports:
            TaskManager(site.database, site.settings).cancel(created.id, actor="me")

        [report] = reports
        assert report.outcome == Disowned(reason=AbortReason.CANCELLED)
        assert report.ending is None
        assert site.server.wait_for_runs(all_ended)[0].outcome == "aborted"
        ended = task(site.database, created.id)
        assert (ended["state"], ended["state_actor"]) == ("cancelled", "me")
        assert [a["outcome"] for a in attempts(site.database, created.id)] == ["cancelled"]
        assert rows(site.database, LOG)[-1] == "broken off: cancelled"

    def test_a_task_may_be_deleted_while_its_run_is_broken_off(self, site: Site) -> None:
        created = site.create("Slow", tweaks=self.TWEAKS)
        with site.running(created.id) as reports:
            rows(site.database, "DELETE FROM tasks RETURNING id")

        assert reports[0].outcome == Disowned(reason=AbortReason.CANCELLED)
        assert rows(site.database, LOG) == []

    def test_a_run_whose_lease_was_lost_is_broken_off(self, site: Site) -> None:
        created = site.create("Slow", tweaks=self.TWEAKS)
        with site.running(created.id) as reports, site.database.transaction() as connection:
            # As if this process had been frozen: nobody extends the lease before it is reaped.
            expire = func.now() - timedelta(seconds=1)
            connection.execute(update(TaskRow).values(lease_expires_at=expire))
            reap(connection, lease=timedelta(), actor="beat")

        assert reports[0].outcome == Disowned(reason=AbortReason.LEASE_LOST)
        assert task(site.database, created.id)["state"] == "waiting"
        assert [a["outcome"] for a in attempts(site.database, created.id)] == ["worker_lost"]

    def test_a_worker_that_stops_gives_its_run_back_for_nothing(self, site: Site) -> None:
        created = site.create("Slow", tweaks=self.TWEAKS)
        with site.running(created.id) as reports, site.database.transaction() as connection:
            worker_id = task(site.database, created.id)["worker_id"]
            worker_draining(connection, worker_id, grace=timedelta())

        assert reports[0].outcome == Released()
        given_back = task(site.database, created.id)
        assert (given_back["state"], given_back["max_attempts"]) == ("waiting", 5)
        assert site.server.wait_for_runs(all_ended)[0].outcome == "aborted"

    def test_a_late_result_is_dropped(self, site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
        """The lease was lost while the last words of the answer came in."""
        created = site.create("Echo", "late")

        def lose_it_first(*arguments: Any, **more: Any) -> Ending:
            put(site.database, TaskRow, created.id, state="waiting", lease_expires_at=None)
            return decide(*arguments, **more)

        monkeypatch.setattr(task_runner, "decide", lose_it_first)

        report = site.run(created.id)

        assert report.outcome == Disowned(reason=AbortReason.LEASE_LOST)
        dropped = task(site.database, created.id)
        assert (dropped["state"], dropped["result"]) == ("waiting", None)
        assert rows(site.database, LOG)[-1].startswith("lease lost")
