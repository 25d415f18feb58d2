"""Health checks: does the beat, or a worker, of this host give signs of life?"""

import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from pydantic import SecretStr
from sqlalchemy import text

from automagik.core.config import Settings
from automagik.core.database.exceptions import DatabaseUnreachable, SchemaOutdated
from automagik.core.database.session import Database
from automagik.core.tasks.exceptions import NotAlive
from automagik.core.tasks.liveness import LIVE_LEASES, SignOfLife, beat_of, worker_of
from automagik.core.tasks.presence import register_beat
from tests.core.records import add_worker

BOTH = pytest.mark.parametrize("kind", ["beat", "worker"])
ASK: dict[str, Callable[..., SignOfLife]] = {"beat": beat_of, "worker": worker_of}


@pytest.fixture
def database(settings: Settings) -> Iterator[Database]:
    opened = Database(settings.require_database_url())
    yield opened
    opened.dispose()


def add(database: Database, kind: str) -> None:
    """On the host named here."""
    if kind == "worker":
        add_worker(database)
        return
    with database.transaction() as connection:
        register_beat(connection, hostname="here", pid=1)


def change(database: Database, kind: str, what: str) -> None:
    seen = "last_tick_at" if kind == "beat" else "heartbeat_at"
    with database.transaction() as connection:
        connection.execute(text(f"UPDATE {kind}s SET {what.format(seen=seen)}"))


@BOTH
def test_who_gave_a_sign_of_life_is_alive(
    database: Database, settings: Settings, kind: str
) -> None:
    add(database, kind)
    found = ASK[kind](settings, host="here")

    assert found.name == f"{kind}@here"
    assert timedelta() <= found.age < timedelta(seconds=30)


@BOTH
def test_who_is_silent_for_longer_than_leases_last_is_not(
    database: Database, settings: Settings, kind: str
) -> None:
    add(database, kind)
    silence = LIVE_LEASES * settings.lease_seconds + 1
    change(database, kind, f"{{seen}} = now() - interval '{silence} s'")

    with pytest.raises(NotAlive, match=rf"{kind}@here has stopped or is silent"):
        ASK[kind](settings, host="here")


@BOTH
def test_who_said_goodbye_is_not(database: Database, settings: Settings, kind: str) -> None:
    add(database, kind)
    gone = "stopped_at = now()" + (", status = 'stopped'" if kind == "worker" else "")
    change(database, kind, gone)

    with pytest.raises(NotAlive):
        ASK[kind](settings, host="here")


@BOTH
def test_one_that_started_again_speaks_for_the_dead_of_its_host(
    database: Database, settings: Settings, kind: str
) -> None:
    add(database, kind)
    change(database, kind, "{seen} = now() - interval '1 h'")
    add(database, kind)

    assert ASK[kind](settings, host="here").name == f"{kind}@here"


@BOTH
def test_those_of_other_hosts_do_not_count(
    database: Database, settings: Settings, kind: str
) -> None:
    add(database, kind)

    with pytest.raises(NotAlive, match=f"nothing of a {kind} on the host there"):
        ASK[kind](settings, host="there")


def test_a_worker_that_drains_is_alive_and_one_of_many_can_be_meant(
    database: Database, settings: Settings
) -> None:
    add_worker(database, "one@here")
    add_worker(database, "two@here")
    change(database, "worker", "status = CASE name WHEN 'one@here' THEN 'draining' ELSE 'lost' END")

    assert worker_of(settings, host="here", name="one@here").name == "one@here"
    assert worker_of(settings, host="here").name == "one@here"
    with pytest.raises(NotAlive, match="two@here"):
        worker_of(settings, host="here", name="two@here")


def test_a_database_that_does_not_answer_is_told_from_silence(
    settings: Settings, free_port: int
) -> None:
    nobody = SecretStr(f"postgresql://user@127.0.0.1:{free_port}/name")

    with pytest.raises(DatabaseUnreachable):
        beat_of(settings.model_copy(update={"database_url": nobody}), host="here")


def test_a_database_without_our_tables_is_named(
    settings: Settings, empty_database_url: str
) -> None:
    empty = settings.model_copy(update={"database_url": SecretStr(empty_database_url)})

    with pytest.raises(SchemaOutdated, match="empty"):
        beat_of(empty, host="here")


@BOTH
def test_a_check_imports_nothing_heavy(database: Database, kind: str) -> None:
    add(database, kind)
    code = (
        "import sys; from automagik.cli.cli import main;"
        "code = main(sys.argv[1:]); print(code, *sys.modules)"
    )
    words = [f"{kind}s", "check", "--host", "here"]
    answer = subprocess.run(
        [sys.executable, "-c", code, *words], capture_output=True, text=True, check=True
    )
    exit_code, *modules = answer.stdout.split()
    heavy: set[Any] = {"sqlalchemy", "celery", "kombu", "redis", "rich", "requests", "alembic"}

    assert exit_code == "0", answer.stderr
    assert f"✓ {kind}@here" in answer.stderr
    assert heavy & set(modules) == set()
