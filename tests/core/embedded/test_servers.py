"""Embedded PostgreSQL and Redis keep their data, their port and their secrets."""

import socket
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path
from urllib.parse import urlsplit

import psutil
import psycopg2
import pytest
import redis

from automagik.core.embedded.accounts import Account, server_account
from automagik.core.embedded.exceptions import EmbeddedError
from automagik.core.embedded.postgres import EmbeddedPostgres
from automagik.core.embedded.redis_server import EmbeddedRedis
from automagik.core.embedded.state import StateFile
from tests.core.embedded.servers import client, execute, running

NEW_TABLE = "DROP TABLE IF EXISTS kept; CREATE TABLE kept AS SELECT 42 AS answer"


def test_postgres_keeps_rows_port_and_password_over_a_restart(used_home: Path) -> None:
    with running(EmbeddedPostgres(used_home)) as first:
        execute(first, NEW_TABLE)
    with running(EmbeddedPostgres(used_home)) as second:
        assert execute(second, "SELECT answer FROM kept") == [(42,)]
    assert second == first


def test_redis_keeps_keys_port_and_password_over_a_restart(used_home: Path) -> None:
    with running(EmbeddedRedis(used_home)) as first, closing(client(first)) as before:
        before.set("kept", "42")
    with running(EmbeddedRedis(used_home)) as second, closing(client(second)) as after:
        assert after.get("kept") == "42"
    assert second == first


def test_postgres_ends_a_left_over_server_and_keeps_its_rows(used_home: Path) -> None:
    """The left-over one is not reaped here, so that its zombie is met, too."""
    left_over = EmbeddedPostgres(used_home)
    execute(left_over.start(), NEW_TABLE)
    with running(EmbeddedPostgres(used_home)) as url:
        assert execute(url, "SELECT answer FROM kept") == [(42,)]
        assert left_over.child is not None
        assert left_over.child.wait() == 0


def test_postgres_recovers_after_all_its_processes_were_killed(used_home: Path) -> None:
    killed = EmbeddedPostgres(used_home)
    execute(killed.start(), NEW_TABLE)
    for process in processes_in(killed.data):
        # The others end by themselves when the first has gone.
        with suppress(psutil.NoSuchProcess):
            process.kill()
    killed.stop()
    with running(EmbeddedPostgres(used_home)) as url:
        assert execute(url, "SELECT answer FROM kept") == [(42,)]


def test_redis_ends_a_left_over_server(used_home: Path) -> None:
    left_over = EmbeddedRedis(used_home)
    left_over.start()
    with running(EmbeddedRedis(used_home)) as url, closing(client(url)) as new:
        assert new.ping()
        assert left_over.child is not None
        assert left_over.child.wait() == 0


def test_redis_ends_a_left_over_server_whose_password_is_lost(used_home: Path) -> None:
    left_over = EmbeddedRedis(used_home)
    left_over.start()
    StateFile(used_home).remove("redis")
    with running(EmbeddedRedis(used_home)) as url, closing(client(url)) as new:
        assert new.ping()
        assert left_over.child is not None
        assert left_over.child.wait() == 0


def test_redis_ends_a_left_over_server_without_psutil(
    used_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    left_over = EmbeddedRedis(used_home)
    left_over.start()
    monkeypatch.setitem(sys.modules, "psutil", None)
    with running(EmbeddedRedis(used_home)) as url, closing(client(url)) as new:
        assert new.ping()
        assert left_over.child is not None
        assert left_over.child.wait() == 0


def test_postgres_names_a_process_that_it_cannot_judge_without_psutil(
    used_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with running(EmbeddedPostgres(used_home)):
        monkeypatch.setitem(sys.modules, "psutil", None)
        pid = (used_home / "postgres" / "postmaster.pid").read_text().split()[0]
        with pytest.raises(EmbeddedError, match=f"Process {pid} may be a postgres"):
            EmbeddedPostgres(used_home).start()


def test_a_pid_that_was_used_again_is_left_alone(used_home: Path) -> None:
    """PostgreSQL alone would take any living process of its user for a running server."""
    server = EmbeddedPostgres(used_home)
    with running(server):
        pid_file = (server.data / "postmaster.pid").read_text()
    stranger = start_sleeper(server_account())
    try:
        lines = [str(stranger.pid), *pid_file.splitlines()[1:]]
        (server.data / "postmaster.pid").write_text("\n".join(lines))
        with running(EmbeddedPostgres(used_home)) as url:
            assert execute(url, "SELECT 1") == [(1,)]
        assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait()


def test_another_port_is_taken_when_the_old_one_is_not_free(used_home: Path) -> None:
    with running(EmbeddedRedis(used_home)) as first:
        port = client_port(first)
    with socket.create_server(("127.0.0.1", port)), running(EmbeddedRedis(used_home)) as second:
        assert client_port(second) != port


def test_a_lost_state_costs_the_passwords_but_not_the_rows(used_home: Path) -> None:
    with running(EmbeddedPostgres(used_home)) as first:
        execute(first, NEW_TABLE)
    (used_home / "state.json").write_text("{damaged")
    with running(EmbeddedPostgres(used_home)) as second:
        assert execute(second, "SELECT answer FROM kept") == [(42,)]
    assert password(second) != password(first)


def test_what_a_killed_initdb_left_is_no_data(embedded_home: Path) -> None:
    unfinished = embedded_home / "postgres.new"
    unfinished.mkdir()
    (unfinished / "PG_VERSION").write_text("18")
    with running(EmbeddedPostgres(embedded_home)) as url:
        assert execute(url, "SELECT 1") == [(1,)]
    assert not unfinished.exists()


def test_secrets_are_in_private_files_and_in_no_argument(used_home: Path) -> None:
    postgres, cache = EmbeddedPostgres(used_home), EmbeddedRedis(used_home)
    with running(postgres) as database_url, running(cache) as redis_url:
        for secret in (password(database_url), password(redis_url)):
            assert not [p.pid for p in psutil.process_iter() if secret in arguments(p)]
            holders = [p for p in text_files(used_home) if secret in p.read_text()]
            assert holders
            assert {stat.S_IMODE(p.stat().st_mode) for p in holders} == {0o600}


def test_a_server_needs_its_password_and_listens_on_loopback_only(used_home: Path) -> None:
    postgres, cache = EmbeddedPostgres(used_home), EmbeddedRedis(used_home)
    with running(postgres) as database_url, running(cache) as redis_url:
        with pytest.raises(psycopg2.OperationalError, match="authentication failed"):
            execute(database_url.replace(password(database_url), "wrong"), "SELECT 1")
        stranger = client(redis_url.replace(password(redis_url), "wrong"))
        with closing(stranger), pytest.raises(redis.AuthenticationError):
            stranger.ping()
        for server in (postgres, cache):
            assert server.child is not None
            listening = psutil.Process(server.child.pid).net_connections()
            assert {c.laddr.ip for c in listening if c.status == "LISTEN"} == {"127.0.0.1"}


def test_servers_see_none_of_our_environment(
    used_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AUTOMAGIK_SECRET_KEY", "canary")
    server = EmbeddedRedis(used_home)
    with running(server):
        assert server.child is not None
        assert "AUTOMAGIK_SECRET_KEY" not in psutil.Process(server.child.pid).environ()


def test_a_failing_initdb_shows_the_end_of_its_log(embedded_home: Path) -> None:
    """A limit on the size of files stands for a full disk."""
    program = (
        "import resource, sys; from pathlib import Path;"
        "from automagik.core.embedded.postgres import EmbeddedPostgres;"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000));"
        "EmbeddedPostgres(Path(sys.argv[1])).start()"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, embedded_home], capture_output=True, text=True, check=False
    )
    assert "EmbeddedError: The database could not be created" in done.stderr
    assert "removing contents of data directory" in done.stderr
    assert not (embedded_home / "postgres").exists()


def client_port(url: str) -> int:
    port = urlsplit(url).port
    assert port is not None
    return port


def password(url: str) -> str:
    secret = urlsplit(url).password
    assert secret
    return secret


def processes_in(data: Path) -> list[psutil.Process]:
    return [p for p in psutil.process_iter(["cwd"]) if p.info["cwd"] == str(data)]


def arguments(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except psutil.Error:
        return ""


def text_files(home: Path) -> Iterator[Path]:
    """The files of a stack but for PostgreSQL's own, which hold the password hashed."""
    for path in home.rglob("*"):
        if path.is_file() and path.suffix in {".json", ".conf", ".log", ".pid", ""}:
            is_binary = b"\0" in path.read_bytes()
            if not is_binary:
                yield path


def start_sleeper(account: Account | None) -> subprocess.Popen[bytes]:
    owner = account.uid if account else None
    return subprocess.Popen(["sleep", "60"], user=owner)
