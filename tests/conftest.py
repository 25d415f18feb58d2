"""Real servers for all tests: one PostgreSQL and one Redis per session, one database per test.

AUTOMAGIK_TEST_DATABASE_URL and AUTOMAGIK_TEST_REDIS_URL name servers to use instead.

All tests together are shared by two processes, each with its own servers: most of them wait more
than they compute. Chosen files, or a debugger, stay in the one process that was started.
"""

import os
import shutil
import signal
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import psycopg2
import pytest
import redis
from cryptography.fernet import Fernet

from automagik.core.config import Settings, get_settings
from automagik.core.database.migrate import upgrade
from automagik.core.embedded import ports
from automagik.core.embedded.lock import HomeLock, stack_is_running
from automagik.core.embedded.postgres import EmbeddedPostgres
from automagik.core.embedded.redis_server import EmbeddedRedis

CARELESS = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}
"""Test data need not survive a crash of the machine."""

TESTS = Path(__file__).parent
PROCESSES = 3
GROUPS = ("system", "langflow")
REDIS_URL = "AUTOMAGIK_TEST_REDIS_URL"

HOME_PREFIX = "automagik-tests-"
ABANDONED_AFTER_SECONDS = 600

SHORT_TIMES = {
    "AUTOMAGIK_LEASE_SECONDS": "2",
    "AUTOMAGIK_BEAT_MAX_WAIT_SECONDS": "0.5",
    "AUTOMAGIK_RECONCILE_SECONDS": "2",
    "AUTOMAGIK_RUN_TIMEOUT_SECONDS": "20",
    "AUTOMAGIK_CONNECT_TIMEOUT_SECONDS": "2",
}


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--full",
        action="store_true",
        help="Fault tests at their full size: thousands of runs, minutes of outage.",
    )


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    takes_all = config.args_source is pytest.Config.ArgsSource.TESTPATHS
    # A given Redis is emptied by every test, so it serves one process.
    return PROCESSES if takes_all and REDIS_URL not in os.environ else 0


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What shares processes stays together: a module of tests/system, all that ask LangFlow."""
    for item in items:
        room = item.path.relative_to(TESTS).parts[0]
        if room in GROUPS:
            name = item.path.stem if room == "system" else room
            item.add_marker(pytest.mark.xdist_group(name))


def pytest_configure() -> None:
    """In a shell's background both are ignored, which children inherit, and tests send them."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGQUIT, signal.SIG_DFL)


@pytest.fixture
def full_size(request: pytest.FixtureRequest) -> bool:
    """Whether a fault test takes its full size, or the small one that fits into every run."""
    return bool(request.config.getoption("--full"))


@pytest.fixture(scope="session")
def server_home() -> Iterator[Path]:
    _remove_abandoned_homes()
    with _home() as home:
        yield home


@pytest.fixture
def embedded_home() -> Iterator[Path]:
    """A home for servers of this test alone."""
    with _home() as home:
        yield home


@pytest.fixture(scope="session")
def used_home() -> Iterator[Path]:
    """A home for one test after the other, to save the second that a new database takes."""
    with _home() as home:
        yield home


@pytest.fixture(scope="session")
def postgres_server_url(server_home: Path) -> Iterator[str]:
    """A database of a running PostgreSQL, as a role that may create databases."""
    if url := os.environ.get("AUTOMAGIK_TEST_DATABASE_URL"):
        yield url
        return
    server = EmbeddedPostgres(server_home, options=CARELESS)
    try:
        yield server.start()
    finally:
        server.stop()


@pytest.fixture(scope="session")
def redis_server_url(server_home: Path) -> Iterator[str]:
    if url := os.environ.get(REDIS_URL):
        yield url
        return
    server = EmbeddedRedis(server_home)
    try:
        yield server.start()
    finally:
        server.stop()


@pytest.fixture(scope="session")
def migrated_template(postgres_server_url: str) -> Iterator[str]:
    """The name of a database with our schema, to copy."""
    name = f"automagik_template_{uuid.uuid4().hex}"
    _administrate(postgres_server_url, f"CREATE DATABASE {name}")
    try:
        upgrade(_with_database(postgres_server_url, name))
        _administrate(postgres_server_url, f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
        yield name
    finally:
        _administrate(postgres_server_url, f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def empty_database_url(postgres_server_url: str) -> Iterator[str]:
    """A database without tables, for tests of the migrations."""
    with new_database(postgres_server_url, template="template1") as url:
        yield url


@pytest.fixture
def database_url(postgres_server_url: str, migrated_template: str) -> Iterator[str]:
    """A database of this test alone, with our schema and no rows."""
    with new_database(postgres_server_url, template=migrated_template) as url:
        yield url


@pytest.fixture
def redis_url(redis_server_url: str) -> str:
    """An empty Redis."""
    with closing(redis.Redis.from_url(redis_server_url)) as client:
        client.flushdb()
    return redis_server_url


@pytest.fixture
def settings(
    database_url: str, redis_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Settings]:
    """Settings of this test alone, which child processes find in the environment, too."""
    urls = {"DATABASE_URL": database_url, "REDIS_URL": redis_url}
    with settings_in(monkeypatch, AUTOMAGIK_HOME=str(tmp_path / "home"), **urls) as settings:
        yield settings


@pytest.fixture
def free_port() -> int:
    return ports.free_port()


@contextmanager
def settings_in(patch: pytest.MonkeyPatch, **environment: str) -> Iterator[Settings]:
    """Settings with short times, and nothing else of the machine than this environment."""
    for name in ("LANGFLOW_API_URL", "LANGFLOW_API_KEY", "TIMEZONE", "AUTOMAGIK_PROFILE"):
        patch.delenv(name, raising=False)
    # Also child processes must not find the settings of who runs the tests.
    patch.setenv("XDG_CONFIG_HOME", os.devnull)
    secret = {"AUTOMAGIK_SECRET_KEY": Fernet.generate_key().decode()}
    for name, value in (SHORT_TIMES | secret | environment).items():
        patch.setenv(name, value)
    patch.setitem(Settings.model_config, "env_file", None)
    patch.setattr(Settings, "PROJECT_FILE", None)
    get_settings.cache_clear()
    yield get_settings()
    get_settings.cache_clear()


@contextmanager
def new_database(server_url: str, *, template: str) -> Iterator[str]:
    name = f"automagik_test_{uuid.uuid4().hex}"
    _administrate(server_url, f"CREATE DATABASE {name} TEMPLATE {template}")
    yield _with_database(server_url, name)
    _administrate(server_url, f"DROP DATABASE {name} WITH (FORCE)")


@contextmanager
def _home() -> Iterator[Path]:
    """A folder that the servers' account can enter, unlike pytest's own for root."""
    home = Path(tempfile.mkdtemp(prefix=HOME_PREFIX))
    home.chmod(0o711)
    with HomeLock(home / "session"):
        yield home
    shutil.rmtree(home)


def _remove_abandoned_homes() -> None:
    """Of test sessions that were killed."""
    for home in Path(tempfile.gettempdir()).glob(f"{HOME_PREFIX}*"):
        is_old = home.exists() and time.time() - home.stat().st_mtime > ABANDONED_AFTER_SECONDS
        if is_old and not stack_is_running(home / "session"):
            shutil.rmtree(home, ignore_errors=True)


def _administrate(server_url: str, statement: str) -> None:
    with closing(psycopg2.connect(server_url)) as connection:
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute(statement)


def _with_database(url: str, name: str) -> str:
    return urlunsplit(urlsplit(url)._replace(path=f"/{name}"))
