"""What is promised when hosts lose each other: eight of them, each in a network namespace.

Packets of a host that is cut off vanish; nothing is refused, reset or closed.
"""

import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from uuid import UUID

import pytest
from pydantic import SecretStr

from automagik.core.config import with_driver
from automagik.core.database.migrate import upgrade
from automagik.core.embedded.processes import ChildProcess
from automagik.core.flows.sources import SourceManager
from automagik.core.flows.sync import FlowSync
from automagik.core.verification import verify
from tests.conftest import CARELESS, HOME_PREFIX, settings_in
from tests.system.conftest import Desk
from tests.system.fleet import Fleet, fleet_of
from tests.system.hosts import Host, PostgresOn, RedisOn, hosts

pytestmark = [pytest.mark.system, pytest.mark.timeout(400)]

SERVERS = ("postgres", "redis", "langflow")
BEATS = ("beat-1", "beat-2")
WORKERS = ("worker-1", "worker-2", "worker-3")
CELERY = ("-m", "celery", "-A", "tests.system.impatient")
KEY = "key-of-the-demo"
PORT = 7860
SCHEDULES = 3
SLOW = {"SleepComponent-slow": {"seconds": 3.0}}
SLOW_RUNS = 9
ENOUGH = 6
"""Occurrences: two seconds of all schedules."""
NOTICED, RECOVERED = 90, 90
"""Seconds."""

ENVIRONMENT = {
    "AUTOMAGIK_LEASE_SECONDS": "3",
    "AUTOMAGIK_RUN_TIMEOUT_SECONDS": "10",
    "AUTOMAGIK_MAX_RETRIES": "10",
    "AUTOMAGIK_BREAKER_FAILURES": "3",
    "AUTOMAGIK_BREAKER_PAUSE_SECONDS": "0.5",
}
# A host that vanishes in the middle of a transaction holds its locks for so long. A beat may wait
# for a silent Redis in one for 20 s, which must not be cut short.
SERVER_LIMITS = {"idle_in_transaction_session_timeout": "30s"}

NOW = "SELECT clock_timestamp()"
AT_WORK = """
SELECT count(*) > 0 FROM tasks t JOIN workers w ON w.id = t.worker_id
    JOIN flows f ON f.id = t.flow_id
WHERE w.hostname = :host AND t.state = 'running' AND f.name = 'Slow'
"""
HELD = """
SELECT t.id FROM tasks t JOIN workers w ON w.id = t.worker_id
WHERE w.hostname = :host AND t.state = 'running'
"""
ALL_COMPLETED = "SELECT bool_and(state = 'completed') FROM tasks WHERE id = ANY(:ids)"
WORKED_SINCE = """
SELECT count(*) > 0 FROM task_attempts a JOIN workers w ON w.id = a.worker_id
WHERE w.hostname = :host AND a.started_at > :since AND a.outcome = 'completed'
"""
FIRED_SINCE = """
SELECT count(*) >= :enough FROM tasks t JOIN task_events e ON e.task_id = t.id
WHERE e.from_state IS NULL AND t.scheduled_for > :since AND e.actor = :actor
"""
WAYS_TO_BE_AWAY = {"AM-SRC-UNREACHABLE", "AM-SRC-TIMEOUT", "AM-SRC-DEADLINE"}
NO_REDIS = "Redis does not answer"
BREAKER_IS_OPEN = "SELECT breaker_opened_at IS NOT NULL FROM sources"


@dataclass(frozen=True, kw_only=True, slots=True)
class Site:
    fleet: Fleet
    desk: Desk
    hosts: Mapping[str, Host]
    processes: Mapping[str, ChildProcess]

    def now(self) -> datetime:
        """By PostgreSQL's clock."""
        moment: datetime = self.fleet.value(NOW)
        return moment


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    """Everybody is ready, and schedules fire each second."""
    names = (*SERVERS, *BEATS, *WORKERS)
    with hosts(*names) as found, tempfile.TemporaryDirectory(prefix=HOME_PREFIX) as folder:
        # The servers' account must be able to enter it.
        Path(folder).chmod(0o711)
        yield from _site(found, Path(folder))


def _site(found: Mapping[str, Host], home: Path) -> Iterator[Site]:
    postgres = PostgresOn(home, found["postgres"], options=CARELESS | SERVER_LIMITS)
    redis = RedisOn(home, found["redis"])
    try:
        urls = {"DATABASE_URL": postgres.start(), "REDIS_URL": redis.start()}
        upgrade(with_driver(urls["DATABASE_URL"]))
        with (
            pytest.MonkeyPatch.context() as patch,
            settings_in(
                patch, AUTOMAGIK_HOME=str(home / "home"), **ENVIRONMENT, **urls
            ) as settings,
            fleet_of(settings, home / "logs") as fleet,
        ):
            desk = Desk(database=fleet.database, settings=settings)
            _add_source(desk, fleet, found["langflow"], home)
            processes = _start(fleet, found)
            for number in range(SCHEDULES):
                desk.schedule("Echo", "interval", "1s", name=f"tick-{number}")
            yield Site(fleet=fleet, desk=desk, hosts=found, processes=processes)
    finally:
        redis.stop()
        postgres.stop()


def _add_source(desk: Desk, fleet: Fleet, host: Host, home: Path) -> None:
    key = home / "key"
    key.write_text(KEY)
    where = ("--host", host.address, "--port", str(PORT), "--api-key-file", str(key))
    server = fleet.program(host.name, "-m", "automagik.demo", *where, on=host)
    fleet.wait_until(lambda: "http://" in server.tail(), seconds=30, what="LangFlow's stand-in")
    sources = SourceManager(desk.database, desk.settings)
    sources.add("demo", f"http://{host.address}:{PORT}", api_key=SecretStr(KEY))
    FlowSync(desk.database, desk.settings).sync()


def _start(fleet: Fleet, found: Mapping[str, Host]) -> Mapping[str, ChildProcess]:
    beat, worker = (*CELERY, "beat"), (*CELERY, "worker", "-c", "4")
    commands = dict.fromkeys(BEATS, beat) | dict.fromkeys(WORKERS, worker)
    processes = {
        name: fleet.program(name, *command, "--loglevel", "INFO", on=found[name])
        for name, command in commands.items()
    }
    for table, count in (("beats", len(BEATS)), ("workers", len(WORKERS))):
        query = f"SELECT count(DISTINCT hostname) = :count FROM {table}"
        fleet.wait_for(query, count=count, seconds=60)
    return processes


def test_everybody_comes_from_a_host_of_its_own(site: Site) -> None:
    query = "SELECT DISTINCT host(client_addr) AS address FROM pg_stat_activity"
    clients = {row.address for row in site.fleet.rows(query)}

    assert {site.hosts[name].address for name in (*BEATS, *WORKERS)} <= clients


def test_the_runs_of_a_worker_that_is_cut_off_end_elsewhere(site: Site) -> None:
    """When it is back, what it has got is dropped, and it goes on."""
    host, fleet = "worker-1", site.fleet
    for _ in range(SLOW_RUNS):
        site.desk.run("Slow", tweaks=SLOW)
    fleet.wait_for(AT_WORK, host=host)
    with site.hosts[host].cut_off():
        held = [row.id for row in fleet.rows(HELD, host=host)]
        assert held
        fleet.wait_for(ALL_COMPLETED, ids=held, seconds=RECOVERED)
        assert _ends_of(site, held) == {(host, "worker_lost"), ("elsewhere", "completed")}
        healed = site.now()
    lost = [f"Task {task_id}: lease lost, attempt" for task_id in held]
    fleet.wait_until(
        lambda: any(line in site.processes[host].tail(2000) for line in lost),
        seconds=NOTICED,
        what="the worker notices that it lost its runs",
    )
    fleet.wait_for(WORKED_SINCE, host=host, since=healed, seconds=RECOVERED)
    _comes_to_a_good_end(site)


def _ends_of(site: Site, tasks: list[UUID]) -> set[tuple[str, str]]:
    query = """
    SELECT CASE WHEN w.hostname = 'worker-1' THEN w.hostname ELSE 'elsewhere' END AS place,
        a.outcome
    FROM task_attempts a JOIN workers w ON w.id = a.worker_id WHERE a.task_id = ANY(:ids)
    """
    return {(row.place, row.outcome) for row in site.fleet.rows(query, ids=tasks)}


def test_schedules_go_on_while_a_beat_is_cut_off(site: Site) -> None:
    """The other one fires all of them; when it is back, both do."""
    cut, other = BEATS
    with site.hosts[cut].cut_off():
        # What was on its way when the cable went may still have arrived.
        since = site.now() + timedelta(seconds=1)
        _fires(site, other, since)
        actors = """
        SELECT DISTINCT e.actor FROM task_events e JOIN tasks t ON t.id = e.task_id
        WHERE e.from_state IS NULL AND t.scheduled_for > :since
        """
        assert [row.actor for row in site.fleet.rows(actors, since=since)] == [f"beat@{other}"]
        healed = site.now()
    _fires(site, cut, healed, enough=1)
    _comes_to_a_good_end(site)


def _fires(site: Site, beat: str, since: datetime, *, enough: int = ENOUGH) -> None:
    actor = f"beat@{beat}"
    site.fleet.wait_for(FIRED_SINCE, since=since, actor=actor, enough=enough, seconds=RECOVERED)


def test_occurrences_are_recorded_while_redis_is_cut_off_and_run_afterwards(site: Site) -> None:
    with site.hosts["redis"].cut_off():
        # What was on its way when the cable went may still have arrived.
        since = site.now() + timedelta(seconds=1)
        recorded = "SELECT count(*) >= :enough FROM tasks WHERE scheduled_for > :since"
        site.fleet.wait_for(recorded, since=since, enough=ENOUGH, seconds=RECOVERED)
        rows = site.fleet.rows("SELECT * FROM tasks WHERE scheduled_for > :since", since=since)
        assert [row.id for row in rows if row.started_at is not None] == []
        site.fleet.wait_until(
            lambda: any(NO_REDIS in site.processes[name].tail(200) for name in BEATS),
            seconds=NOTICED,
            what="a beat says that Redis is away",
        )
    ids = [row.id for row in rows]
    site.fleet.wait_for(ALL_COMPLETED, ids=ids, seconds=RECOVERED)
    _comes_to_a_good_end(site)


def test_a_source_that_is_cut_off_gets_no_more_runs_until_it_is_back(site: Site) -> None:
    """The attempts that found it away are made again."""
    fleet = site.fleet
    with site.hosts["langflow"].cut_off():
        since = site.now()
        fleet.wait_for(BREAKER_IS_OPEN, seconds=NOTICED)
        failed = "SELECT * FROM task_attempts WHERE started_at > :since AND outcome = 'failed'"
        attempts = fleet.rows(failed, since=since)
        assert attempts
        assert {row.error_code for row in attempts} <= WAYS_TO_BE_AWAY
    fleet.wait_for(f"SELECT NOT ({BREAKER_IS_OPEN})", seconds=RECOVERED)
    ids = list({row.task_id for row in attempts})
    fleet.wait_for(ALL_COMPLETED, ids=ids, seconds=RECOVERED)
    _comes_to_a_good_end(site)


def _comes_to_a_good_end(site: Site) -> None:
    """All that is due by now is done, everybody lives, and no promise was broken."""
    late = "SELECT count(*) = 0 FROM tasks WHERE run_at <= :now AND state <> 'completed'"
    site.fleet.wait_for(late, now=site.now(), seconds=RECOVERED)
    assert [process.poll() for process in site.processes.values()] == [None] * 5
    assert verify(site.desk.database, site.desk.settings).violations == []
