"""A stack belongs to one living process: it ends with it, however that ends, and keeps its data."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any, Self

import psutil
import psycopg2
import pytest
import redis
from pydantic import SecretStr

from automagik.core.config import Settings, get_settings
from automagik.core.embedded.exceptions import ChildDied, HomeInUse
from automagik.core.embedded.facts import Fact, Given, Ready, without_password
from automagik.core.embedded.lock import HomeLock, stack_is_running
from automagik.core.embedded.stack import Stack
from automagik.core.embedded.state import StateFile
from automagik.core.exceptions import ConfigurationError
from tests.core.embedded.patience import alive, eventually, survivors

SUPERVISOR = Path(__file__).with_name("supervisor.py")
SLEEPER = ["sleep", "600"]
GONE_SECONDS = 10.0


@pytest.fixture
def home(used_home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A home for this process and for a supervisor, with nothing else in the environment."""
    for name in ("DATABASE_URL", "REDIS_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AUTOMAGIK_HOME", str(used_home))
    monkeypatch.chdir(used_home)
    get_settings.cache_clear()
    yield used_home
    get_settings.cache_clear()


def test_a_killed_supervisor_leaves_nothing_running_and_the_next_finds_all_data(
    home: Path,
) -> None:
    with Supervisor(home, SLEEPER) as killed:
        killed.write_rows()
        family = killed.family()
        killed.process.kill()
        assert survivors(family, seconds=GONE_SECONDS) == []
    with Supervisor(home, SLEEPER) as next_one:
        assert next_one.read_rows() == ("kept", "kept")


def test_a_start_right_after_everything_was_killed_finds_all_data(home: Path) -> None:
    with Supervisor(home, SLEEPER) as killed:
        killed.write_rows()
        for process in [psutil.Process(killed.process.pid), *killed.family()]:
            with suppress(psutil.NoSuchProcess):  # it may have followed the first already
                process.kill()
    with Supervisor(home, SLEEPER) as next_one:
        assert next_one.read_rows() == ("kept", "kept")


def test_a_start_beside_servers_that_are_still_stopping_waits_for_them(home: Path) -> None:
    with Supervisor(home, SLEEPER) as killed:
        killed.write_rows()
        killed.process.kill()
        killed.process.wait()
        with Supervisor(home, SLEEPER) as next_one:
            assert next_one.read_rows() == ("kept", "kept")


def test_the_processes_of_a_prefork_worker_die_with_the_supervisor(home: Path) -> None:
    (home / "tiny.py").write_text("from celery import Celery\napp = Celery(broker='memory://')\n")
    worker = [
        sys.executable,
        "-m",
        "celery",
        "-A",
        "tiny",
        "worker",
        "-P",
        "prefork",
        "-c2",
        "-lINFO",
    ]
    with Supervisor(home, worker) as killed:
        log = home / "logs" / "child.log"
        assert eventually(lambda: " ready." in log.read_text(), seconds=30), log.read_text()
        assert sum("celery" in " ".join(p.cmdline()) for p in killed.family()) == 3
        family = killed.family()
        killed.process.kill()
        assert survivors(family, seconds=GONE_SECONDS) == []


def test_sigterm_stops_the_youngest_first_and_the_servers_last(home: Path) -> None:
    with Supervisor(home, SLEEPER) as supervisor:
        family = supervisor.family()
        facts = supervisor.terminate()
        assert alive(family) == []
    stopped = [fact["name"] for fact in facts if fact["fact"] == "Stopped"]
    assert stopped == ["child", "redis", "postgres"]
    assert supervisor.process.returncode == 0


def test_a_second_stack_in_the_same_home_is_refused_and_names_the_first(home: Path) -> None:
    with Supervisor(home, SLEEPER) as first:
        with (
            pytest.raises(HomeInUse, match=f"process {first.process.pid}\\."),
            Stack(Settings(home=home), tell=ignore),
        ):
            pass
        assert first.read("SELECT 1") == 1


def test_other_processes_find_the_urls_for_as_long_as_the_stack_runs(home: Path) -> None:
    with Supervisor(home, SLEEPER) as supervisor:
        found = get_settings()
        assert found.database_url == SecretStr(supervisor.up["database_url"])
        assert found.redis_url == SecretStr(supervisor.up["redis_url"])
        supervisor.terminate()
    get_settings.cache_clear()
    with pytest.raises(ConfigurationError, match="no embedded stack runs"):
        get_settings().require_database_url()
    assert "database_url" not in (home / "state.json").read_text()


def test_the_urls_of_a_killed_stack_are_not_believed(home: Path) -> None:
    StateFile(home).update(database_url="postgresql://stale")
    (home / "lock").write_text("1")
    assert get_settings().database_url is None
    with HomeLock(home):
        get_settings.cache_clear()
        assert get_settings().database_url == SecretStr("postgresql://stale")


def test_servers_that_the_settings_name_are_not_started(home: Path) -> None:
    given = Settings(
        home=home,
        database_url=SecretStr("postgresql://me:secret@db/automagik"),
        redis_url=SecretStr("redis://:secret@cache:6379/0"),
    )
    facts: list[Fact] = []
    with Stack(given, tell=facts.append) as stack:
        assert stack_is_running(home)
        assert stack.database_url == "postgresql://me:secret@db/automagik"
        assert stack.environment()["REDIS_URL"] == "redis://:secret@cache:6379/0"
    assert facts == [
        Given(name="postgres", url="postgresql://me:***@db/automagik"),
        Given(name="redis", url="redis://:***@cache:6379/0"),
    ]
    assert not stack_is_running(home)


def test_a_failed_start_stops_what_was_started_and_frees_the_home(embedded_home: Path) -> None:
    home = embedded_home
    (home / "redis").mkdir()
    (home / "redis" / "appendonlydir").write_text("in the way")
    facts: list[Fact] = []
    with pytest.raises(ChildDied, match="redis stopped with exit code 1") as raised:
        Stack(Settings(home=home), tell=facts.append).__enter__()
    assert raised.value.hint == f"The whole log: {home / 'logs' / 'redis.log'}"
    assert isinstance(facts[0], Ready)
    assert not (home / "postgres" / "postmaster.pid").exists()
    assert not stack_is_running(home)


@pytest.mark.parametrize(
    "url, shown",
    [
        ("postgresql://me:secret@db:5432/x?a=b", "postgresql://me:***@db:5432/x?a=b"),
        ("redis://:secret@cache/0", "redis://:***@cache/0"),
        ("redis://cache/0", "redis://cache/0"),
        ("postgresql://me@db/x", "postgresql://me@db/x"),
    ],
)
def test_shown_urls_have_no_password(url: str, shown: str) -> None:
    assert without_password(url) == shown


class Supervisor:
    """`supervisor.py` as a process, inside `with` from its being up to its being gone."""

    def __init__(self, home: Path, argv: list[str]) -> None:
        self.process = subprocess.Popen(
            [sys.executable, SUPERVISOR, home, *argv], stdout=subprocess.PIPE, text=True, cwd=home
        )
        self.facts: list[dict[str, Any]] = []

    def __enter__(self) -> Self:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.facts.append(json.loads(line))
            if self.facts[-1]["fact"] == "Up":
                return self
        self.process.wait()
        pytest.fail(f"the supervisor did not come up: {self.facts}")

    def __exit__(self, *_: object) -> None:
        self.terminate()

    @property
    def up(self) -> dict[str, Any]:
        return next(fact for fact in self.facts if fact["fact"] == "Up")

    def terminate(self) -> list[dict[str, Any]]:
        """Asks it to stop; returns the facts of its stopping."""
        self.process.terminate()
        rest, _ = self.process.communicate(timeout=60)
        return [json.loads(line) for line in rest.splitlines()]

    def family(self) -> list[psutil.Process]:
        return psutil.Process(self.process.pid).children(recursive=True)

    def read(self, query: str) -> object:
        opened = closing(psycopg2.connect(self.up["database_url"]))
        with opened as connection, connection, connection.cursor() as cursor:
            cursor.execute(query)
            row = cursor.fetchone() if cursor.description else None
        return row[0] if row else None

    def write_rows(self) -> None:
        self.read("DROP TABLE IF EXISTS rows; CREATE TABLE rows AS SELECT 'kept' AS word")
        with closing(self._redis()) as client:
            client.set("word", "kept")
            client.waitaof(1, 0, 5000)

    def read_rows(self) -> tuple[object, object]:
        with closing(self._redis()) as client:
            return self.read("SELECT word FROM rows"), client.get("word")

    def _redis(self) -> redis.Redis:
        return redis.Redis.from_url(self.up["redis_url"], decode_responses=True)


def ignore(fact: Fact) -> None:
    pass
