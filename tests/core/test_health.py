"""What counts as alive, as overdue and as a problem."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from pydantic import SecretStr
from redis import Redis

from automagik import __version__
from automagik.core.config import Settings
from automagik.core.database.base import new_id
from automagik.core.database.session import Database
from automagik.core.exceptions import ConfigurationError
from automagik.core.flows.flow_input import FlowInput
from automagik.core.health.check import Verdict
from automagik.core.health.diagnosis import diagnose
from automagik.core.health.facts import StoredFacts
from automagik.core.health.processes import clock_check, queue_checks, version_check
from automagik.core.health.redis_facts import RedisFacts
from automagik.core.health.servers import redis_checks, skew_check
from automagik.core.health.status import examine, notices_of, problems_of
from automagik.core.queues import Queue, QueueManager, ensure_queue
from automagik.core.settings.layers import Origin
from automagik.core.settings.origins import MASK, masked_url, origins
from automagik.core.tasks.manager import TaskManager
from automagik.core.tasks.states import TaskState
from automagik.core.tasks.workers import Beat, Worker, list_beats, list_workers
from tests.core.records import add_task, now
from tests.core.tasks.rows import add_beat, add_flow, add_worker, end, start

NOW = datetime(2026, 3, 1, tzinfo=UTC)
LEASE = timedelta(seconds=30)

BEAT = Beat(
    id=new_id(),
    hostname="here",
    pid=1,
    version=__version__,
    is_live=True,
    started_at=NOW,
    last_tick_at=NOW,
    tick_age=timedelta(seconds=1),
    clock_offset_seconds=-0.01,
    stopped_at=None,
)
WORKER = Worker(
    id=new_id(),
    name="worker@here",
    hostname="here",
    pid=1,
    pool="threads",
    slots=10,
    busy=0,
    queues=["automagik"],
    version=__version__,
    status="online",
    is_live=True,
    started_at=NOW,
    heartbeat_at=NOW,
    heartbeat_age=timedelta(seconds=1),
    clock_offset_seconds=0.01,
    stopped_at=None,
)
QUEUE = Queue(
    name="automagik",
    paused_at=None,
    pause_reason=None,
    due=1,
    queued=2,
    running=3,
    workers=1,
    slots=10,
)
DESERTED = replace(QUEUE, name="gpu", workers=0)
PAUSED = replace(DESERTED, paused_at=NOW, pause_reason="new driver")
WELL = StoredFacts(
    now=NOW,
    postgres_version="18.6",
    beats=[BEAT],
    workers=[WORKER],
    open_tasks={},
    ended_lately={},
    oldest_due_age=None,
    schedules={"active": 1},
    next_runs=[],
    sources=[],
    queues=[QUEUE],
)
REDIS = RedisFacts(
    server="redis",
    version="7.4.0",
    redis_version="7.4.0",
    latency=timedelta(milliseconds=1),
    maxmemory_policy="noeviction",
    ready=0,
)


@pytest.fixture
def database(settings: Settings) -> Iterator[Database]:
    opened = Database(settings.require_database_url())
    yield opened
    opened.dispose()


class TestProblems:
    def test_live_beats_and_workers_without_backlog_are_well(self) -> None:
        assert list(problems_of(WELL)) == []

    def test_failed_tasks_are_counted_but_no_problem_of_ours(self) -> None:
        assert list(problems_of(replace(WELL, ended_lately={TaskState.FAILED: 9}))) == []

    @pytest.mark.parametrize(
        ("facts", "words"),
        [
            (replace(WELL, beats=[]), "No beat"),
            (replace(WELL, beats=[replace(BEAT, is_live=False)]), "No beat"),
            (replace(WELL, workers=[replace(WORKER, is_live=False)]), "No worker"),
            (replace(WELL, oldest_due_age=timedelta(seconds=61)), "61 s"),
            (replace(WELL, oldest_follow_up_age=timedelta(seconds=61)), "has not started for 61 s"),
            (replace(WELL, schedules={"error": 2}), "2 of the schedules"),
            (replace(WELL, queues=[QUEUE, DESERTED]), "queue gpu: 3 tasks wait"),
        ],
    )
    def test_each_problem_says_what_and_what_to_do(self, facts: StoredFacts, words: str) -> None:
        [problem] = problems_of(facts)

        assert words in problem.what
        assert problem.fix

    def test_a_queue_that_somebody_has_paused_is_noticed_but_no_problem(self) -> None:
        facts = replace(WELL, queues=[QUEUE, PAUSED])

        assert list(problems_of(facts)) == []
        [notice] = notices_of(facts)
        assert "gpu is paused (new driver): 3 tasks wait" in notice.what
        assert "queues resume gpu" in (notice.fix or "")

    def test_without_any_worker_queues_are_not_complained_of_one_by_one(self) -> None:
        facts = replace(WELL, workers=[], queues=[replace(QUEUE, workers=0), DESERTED])

        assert len(list(problems_of(facts))) == 1


class TestLiving:
    def test_a_worker_is_live_for_two_leases_and_listed_for_an_hour(
        self, database: Database
    ) -> None:
        add_worker(database, "fresh", silent_for=LEASE * 1.9)
        add_worker(database, "silent", silent_for=LEASE * 2.1)
        add_worker(database, "forgotten", silent_for=timedelta(hours=2))

        with database.transaction() as connection:
            found = list_workers(connection, lease=LEASE)

        assert [(w.name, w.is_live) for w in found] == [("fresh", True), ("silent", False)]

    def test_busy_counts_the_tasks_that_a_worker_runs(
        self, database: Database, settings: Settings
    ) -> None:
        worker_id, flow = add_worker(database), add_flow(database)
        tasks = TaskManager(database, settings)
        for state in (TaskState.RUNNING, TaskState.RUNNING, TaskState.COMPLETED):
            task = tasks.create(flow, FlowInput(), actor="t")
            start(database, task.id, worker_id=worker_id)
            if state.is_final:
                end(database, task.id)

        with database.transaction() as connection:
            [worker] = list_workers(connection, lease=LEASE)

        assert (worker.busy, worker.slots) == (2, 10)

    def test_a_beat_is_live_by_its_last_tick(self, database: Database) -> None:
        add_beat(database)

        with database.transaction() as connection:
            [beat] = list_beats(connection, lease=LEASE)

        assert beat.is_live
        assert beat.tick_age < LEASE


class TestExamine:
    def test_the_facts_are_those_of_both_servers(
        self, database: Database, settings: Settings
    ) -> None:
        add_beat(database)
        add_worker(database)
        with database.transaction() as connection:
            ensure_queue(connection, "gpu")
        tasks, flow = TaskManager(database, settings), add_flow(database)
        failed, _ = (tasks.create(flow, FlowInput(), actor="t") for _ in range(2))
        start(database, failed.id)
        end(database, failed.id, TaskState.FAILED)
        client = Redis.from_url(settings.require_redis_url())
        client.rpush(settings.queue, "one", "two")
        client.rpush("gpu", "three")
        client.close()

        health = examine(settings)

        assert health.is_well
        assert health.stored
        assert health.redis
        assert health.stored.open_tasks == {TaskState.PENDING: 1}
        assert health.stored.ended_lately == {TaskState.FAILED: 1}
        assert health.stored.oldest_due_age
        assert [source.name for source in health.stored.sources] == ["source of greeter"]
        assert health.redis.ready == 3

    def test_what_waits_in_a_paused_queue_is_not_overdue(
        self, database: Database, settings: Settings
    ) -> None:
        add_beat(database)
        add_worker(database)
        add_task(database, add_flow(database), run_at=now(database) - timedelta(hours=1))
        assert not examine(settings).is_well

        QueueManager(database, settings).pause("automagik")

        health = examine(settings)
        assert health.is_well
        assert len(health.notices) == 1

    def test_an_unreachable_server_is_a_problem_beside_the_facts_of_the_other(
        self, settings: Settings
    ) -> None:
        nowhere = SecretStr("postgresql://nobody@127.0.0.1:1/none")

        health = examine(settings.model_copy(update={"database_url": nowhere}))

        assert health.stored is None
        assert health.redis
        assert [problem.what for problem in health.problems if "PostgreSQL" in problem.what]


class TestDiagnose:
    def test_what_one_check_stumbles_over_stops_no_other(self, settings: Settings) -> None:
        broken = settings.model_copy(
            update={
                "database_url": SecretStr("postgresql://nobody@127.0.0.1:1/none"),
                "redis_url": SecretStr("redis://127.0.0.1:1/0"),
            }
        )

        verdicts = {check.name: check.verdict for check in diagnose(lambda: broken).checks}

        assert {"Python", "Settings", "Time zones", "Disk", "Sources"} <= verdicts.keys()
        assert (verdicts["Database"], verdicts["Redis"]) == (Verdict.ERROR, Verdict.ERROR)
        assert verdicts["Disk"] is not Verdict.ERROR

    def test_settings_that_cannot_be_read_are_the_one_finding(self) -> None:
        def read() -> Settings:
            raise ConfigurationError("TIMEZONE: wrong")

        diagnosis = diagnose(read)

        assert [check.found for check in diagnosis.checks] == ["TIMEZONE: wrong"]
        assert not diagnosis.is_well

    def test_running_processes_and_an_unreachable_source_are_seen(
        self, database: Database, settings: Settings
    ) -> None:
        add_beat(database)
        add_worker(database)
        add_flow(database)

        checks = {check.name: check for check in diagnose(lambda: settings).checks}

        assert checks["Beats"].verdict is Verdict.OK
        assert checks["Workers"].found.startswith("1 live with 10 slots")
        assert checks["Schema"].verdict is Verdict.OK
        assert checks["Source source of greeter"].verdict is Verdict.ERROR

    def test_a_stored_secret_that_this_host_cannot_read_is_an_error(
        self, database: Database, settings: Settings
    ) -> None:
        add_flow(database)
        with database.transaction() as connection:
            connection.exec_driver_sql("UPDATE sources SET api_key_encrypted = 'not ours'")

        checks = {check.name: check for check in diagnose(lambda: settings).checks}

        assert checks["Encryption"].verdict is Verdict.ERROR
        assert "AUTOMAGIK_SECRET_KEY" in (checks["Encryption"].fix or "")


class TestRules:
    @pytest.mark.parametrize(
        ("seconds", "verdict"),
        [
            (1.9, Verdict.OK),
            (-2.1, Verdict.WARNING),
            (600, Verdict.WARNING),
            (None, Verdict.WARNING),
        ],
    )
    def test_clocks_may_differ_by_two_seconds(
        self, seconds: float | None, verdict: Verdict
    ) -> None:
        assert skew_check(seconds).verdict is verdict

    def test_the_clocks_of_other_hosts_are_those_that_their_processes_told(self) -> None:
        beat = replace(BEAT, hostname="ahead", clock_offset_seconds=300.04)
        worker = replace(WORKER, hostname="of-the-last-version", clock_offset_seconds=None)

        assert clock_check([BEAT, WORKER, worker]).verdict is Verdict.OK
        check = clock_check([beat, WORKER, worker])
        assert check.verdict is Verdict.WARNING
        assert check.found == "against PostgreSQL ahead is +300.0 s"

    def test_a_deserted_queue_is_an_error_and_a_paused_one_a_warning(self) -> None:
        found = [(check.name, check.verdict) for check in queue_checks([QUEUE, DESERTED])]
        assert found == [("Queue gpu", Verdict.ERROR)]
        [check] = queue_checks([QUEUE, PAUSED])
        assert check.verdict is Verdict.WARNING
        assert "new driver" in check.found

    @pytest.mark.parametrize(
        ("facts", "verdicts"),
        [
            (REDIS, [Verdict.OK, Verdict.OK, Verdict.OK]),
            (replace(REDIS, redis_version="6.0.16"), [Verdict.ERROR, Verdict.OK, Verdict.OK]),
            (
                replace(REDIS, maxmemory_policy="allkeys-lru"),
                [Verdict.OK, Verdict.WARNING, Verdict.OK],
            ),
            (replace(REDIS, maxmemory_policy=None), [Verdict.OK, Verdict.OK, Verdict.OK]),
            (
                replace(REDIS, used_memory=91, maxmemory=100),
                [Verdict.OK, Verdict.WARNING, Verdict.OK],
            ),
            (replace(REDIS, last_save_failed=True), [Verdict.OK, Verdict.OK, Verdict.WARNING]),
        ],
    )
    def test_redis_is_new_enough_has_room_and_throws_nothing_away(
        self, facts: RedisFacts, verdicts: list[Verdict]
    ) -> None:
        assert [check.verdict for check in redis_checks(facts)] == verdicts

    def test_processes_of_another_version_are_named(self) -> None:
        check = version_check([BEAT, replace(WORKER, version="0.0.1")])

        assert check.verdict is Verdict.WARNING
        assert "0.0.1" in check.found


class TestOrigins:
    def test_each_setting_says_where_it_comes_from(
        self, settings: Settings, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.delenv("REDIS_URL")

        found = {setting.name: setting for setting in origins(settings)}

        assert found["DATABASE_URL"].origin is Origin.ENVIRONMENT
        assert found["REDIS_URL"].origin is Origin.EMBEDDED
        assert found["AUTOMAGIK_QUEUE"].origin is Origin.DEFAULT
        assert found["AUTOMAGIK_SECRET_KEY"].value == MASK

    @pytest.mark.parametrize(
        ("url", "shown"),
        [
            ("postgresql://me:s3cret@db:5432/x", "postgresql://me:••••@db:5432/x"),
            ("postgresql://db/x?user=me&password=s3cret", "postgresql://db/x?••••"),
            ("redis://:s3cret@cache/0", "redis://:••••@cache/0"),
            ("redis://cache:6379/0", "redis://cache:6379/0"),
            ("redis://cache:s3cret", MASK),
        ],
    )
    def test_a_url_is_shown_without_its_secrets(self, url: str, shown: str) -> None:
        assert masked_url(url) == shown
