"""PostgreSQL runs, but refuses: everybody says so in one line, and goes on when it is over."""

import json
import os
import secrets
import signal
import subprocess
import sys
import uuid
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import psycopg2
import pytest
import redis
from pydantic import SecretStr

from automagik.core.config import Settings, with_driver
from automagik.core.database.exceptions import (
    ConnectionsExhausted,
    DatabaseBusy,
    DatabaseFull,
    DatabaseReadOnly,
    DatabaseUnreachable,
)
from automagik.core.database.migrate import upgrade
from automagik.core.embedded.cluster import ROLE
from automagik.core.embedded.postgres import EmbeddedPostgres
from automagik.core.embedded.processes import ChildProcess
from automagik.core.embedded.redis_server import EmbeddedRedis
from automagik.demo.server import DemoServer
from tests.conftest import new_database, settings_in
from tests.system.conftest import Desk, desk_at
from tests.system.fleet import Fleet, fleet_of, kill
from tests.system.history import violations
from tests.system.troubles import (
    Place,
    Trouble,
    full_disk,
    no_connections,
    read_only,
    small_disk,
    timeout_at_a_lock,
)

pytestmark = pytest.mark.system

UNDER_WAY, QUEUED, SLOTS = 2, 8, 5
SLOW = {"SleepComponent-slow": {"seconds": 1.5}}
LONG = secrets.token_hex(50_000)
"""Does not fit into what room a table has left, nor does the answer to it."""
REFUSED = "refused"
TRIES = 3
"""A worker says each of them; a beat says it once, and when it is over."""

TROUBLES: dict[str, tuple[Trouble, type[DatabaseUnreachable], str]] = {
    "connection limit": (no_connections, ConnectionsExhausted, "too many connections"),
    "read-only": (read_only, DatabaseReadOnly, "read-only transaction"),
    "statement timeout": (
        timeout_at_a_lock("statement_timeout"),
        DatabaseBusy,
        "due to statement timeout",
    ),
    "lock timeout": (timeout_at_a_lock("lock_timeout"), DatabaseBusy, "due to lock timeout"),
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Stage:
    """A beat and a worker of the role that gets into trouble, and what they run."""

    place: Place
    fleet: Fleet
    desk: Desk
    source: DemoServer
    beat: ChildProcess
    worker: ChildProcess


@pytest.fixture(scope="module")
def stage(
    postgres_server_url: str,
    redis_server_url: str,
    migrated_template: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Stage]:
    """One for all troubles: each must leave it as it was."""
    with (
        _role(postgres_server_url) as (role, password),
        new_database(postgres_server_url, template=migrated_template) as url,
    ):
        _grant_all(url, role)
        own_url = _as_role(url, role, password)
        folder = tmp_path_factory.mktemp("stage")
        with _staged(own_url, url, redis_server_url, folder, role=role) as stage:
            yield stage


@pytest.fixture
def stage_on_a_small_disk(embedded_home: Path, tmp_path: Path) -> Iterator[Stage]:
    """The whole cluster is on it: data, write-ahead log and all.

    With a Redis of its own: the other stage's worker may be there, and takes what it finds.
    """
    with small_disk(embedded_home / "disk") as disk, ExitStack() as stack:
        server, own_redis = EmbeddedPostgres(disk), EmbeddedRedis(embedded_home)
        stack.callback(server.stop)
        stack.callback(own_redis.stop)
        url, redis_url = server.start(), own_redis.start()
        upgrade(with_driver(url))
        yield stack.enter_context(_staged(url, url, redis_url, tmp_path, role=ROLE, disk=disk))


@pytest.mark.parametrize(("trouble", "kind", "words"), TROUBLES.values(), ids=TROUBLES.keys())
def test_a_trouble_of_the_server_passes(
    stage: Stage, trouble: Trouble, kind: type[DatabaseUnreachable], words: str
) -> None:
    _passes(stage, trouble, kind, words)


def test_a_full_disk_passes(stage_on_a_small_disk: Stage) -> None:
    """What a schedule comes to meanwhile finds no room either."""
    stage = stage_on_a_small_disk
    schedule = stage.desk.schedule("Echo", "interval", "1s", text=LONG)
    _passes(stage, full_disk, DatabaseFull, "No space left on device")
    made_up = "SELECT next_run_at > now() FROM schedules WHERE id = :id"
    stage.fleet.wait_for(made_up, id=schedule.id)
    assert violations(stage.fleet.database) == []


def _passes(stage: Stage, trouble: Trouble, kind: type[DatabaseUnreachable], words: str) -> None:
    """Runs end in it, deliveries arrive in it, somebody asks in it: no run is lost or repeated."""
    begun = {child: child.log_path.stat().st_size for child in (stage.beat, stage.worker)}
    tasks = [stage.desk.run("Slow", LONG, tweaks=SLOW).id for _ in range(UNDER_WAY)]
    begun_ones = {str(task) for task in tasks}
    stage.source.wait_for_runs(
        lambda runs: begun_ones <= {run.session_id for run in runs}, seconds=20
    )
    kill(stage.worker, signal.SIGSTOP)
    tasks += [stage.desk.run("Echo", LONG).id for _ in range(QUEUED)]
    queued = "SELECT count(*) = :all FROM tasks WHERE id = ANY(:ids) AND state = 'queued'"
    stage.fleet.wait_for(queued, ids=tasks, all=QUEUED)

    with trouble(stage.place):
        kill(stage.worker, signal.SIGCONT)
        refused = _ask_for_a_run()
        for child, times in ((stage.beat, 1), (stage.worker, TRIES)):
            stage.fleet.wait_until(
                partial(_has_said, child, begun[child], words, times=times),
                seconds=60,
                what=f"{child.name} says {words!r} {times} times",
            )

    _are_completed(stage, tasks)
    assert refused.returncode == kind.exit_code
    assert [line for line in refused.stderr.splitlines() if words in line], refused.stderr
    assert " ".join(str(kind.default_hint).split()) in " ".join(refused.stderr.split())
    for child, start in begun.items():
        _spoke_in_lines(_said(child, start), words)
    _each_ran_once(stage, tasks)
    _is_forgotten(stage, words)


def _are_completed(stage: Stage, tasks: list[uuid.UUID]) -> None:
    completed = "SELECT count(*) = :all FROM tasks WHERE id = ANY(:ids) AND state = 'completed'"
    stage.fleet.wait_for(completed, ids=tasks, all=len(tasks), seconds=60)


def _is_forgotten(stage: Stage, words: str) -> None:
    """A connection from the time of the trouble may fail once, and takes the others with it."""
    for _ in range(2):
        begun = {child: child.log_path.stat().st_size for child in (stage.beat, stage.worker)}
        _are_completed(stage, [stage.desk.run("Echo").id for _ in range(2 * SLOTS)])
    for child, start in begun.items():
        assert words not in _said(child, start)


def _each_ran_once(stage: Stage, tasks: list[uuid.UUID]) -> None:
    attempts = "SELECT DISTINCT attempt FROM tasks WHERE id = ANY(:ids)"
    assert [row.attempt for row in stage.fleet.rows(attempts, ids=tasks)] == [1]
    calls = Counter(run.session_id for run in stage.source.runs)
    assert {calls[str(task)] for task in tasks} == {1}
    assert stage.fleet.value("SELECT count(*) FROM tasks WHERE input_value LIKE 'refused%'") == 0
    assert violations(stage.fleet.database) == []


def _ask_for_a_run() -> "subprocess.CompletedProcess[str]":
    """What a person gets who wants something in the middle of it."""
    return subprocess.run(
        [sys.executable, "-m", "automagik", "flows", "run", "Echo", "--input", "-"],
        input=REFUSED + LONG,
        env=os.environ,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def _said(child: ChildProcess, start: int) -> str:
    with child.log_path.open("rb") as log:
        log.seek(start)
        return log.read().decode(errors="replace")


def _has_said(child: ChildProcess, start: int, words: str, *, times: int) -> bool:
    return _said(child, start).count(words) >= times


def _spoke_in_lines(said: str, words: str) -> None:
    """Each complaint is one warning, and nothing else has gone wrong."""
    assert "Traceback" not in said, said
    records = [json.loads(line) for line in said.splitlines()]
    assert {record["level"] for record in records if words in record["event"]} == {"warning"}, said
    assert {record["level"] for record in records} <= {"info", "warning"}, said


@contextmanager
def _staged(
    url: str,
    lords_url: str,
    redis_url: str,
    folder: Path,
    *,
    role: str,
    disk: Path | None = None,
) -> Iterator[Stage]:
    with closing(redis.Redis.from_url(redis_url)) as client:
        client.flushdb()
    # No lease ends in any of this: a repeated run would have no excuse.
    environment = {
        "AUTOMAGIK_HOME": str(folder / "home"),
        "DATABASE_URL": url,
        "REDIS_URL": redis_url,
        "AUTOMAGIK_LEASE_SECONDS": "60",
        "AUTOMAGIK_RUN_TIMEOUT_SECONDS": "60",
    }
    with (
        pytest.MonkeyPatch.context() as patch,
        settings_in(patch, **environment) as settings,
        fleet_of(_looking_on(settings, lords_url), folder / "logs") as fleet,
        DemoServer() as source,
    ):
        yield Stage(
            place=Place(lord=fleet.database, role=role, disk=disk),
            fleet=fleet,
            desk=desk_at(fleet, settings, source),
            source=source,
            beat=fleet.beat(),
            worker=fleet.worker("-c", str(SLOTS)),
        )


def _looking_on(settings: Settings, url: str) -> Settings:
    return settings.model_copy(update={"database_url": SecretStr(url)})


@contextmanager
def _role(server_url: str) -> Iterator[tuple[str, str]]:
    """An account without privileges: limits do not hit a superuser."""
    name, password = f"automagik_test_{uuid.uuid4().hex}", uuid.uuid4().hex
    _execute(server_url, f"CREATE ROLE {name} LOGIN PASSWORD '{password}'")
    yield name, password
    _execute(server_url, f"DROP ROLE {name}")


def _grant_all(url: str, role: str) -> None:
    for what in ("TABLES", "SEQUENCES"):
        _execute(url, f"GRANT ALL ON ALL {what} IN SCHEMA public TO {role}")


def _execute(url: str, statement: str) -> None:
    with closing(psycopg2.connect(url)) as connection:
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute(statement)


def _as_role(url: str, name: str, password: str) -> str:
    parts = urlsplit(url)
    address = parts.netloc.rpartition("@")[2]
    return urlunsplit(parts._replace(netloc=f"{name}:{password}@{address}"))
