"""Which programs run under which user, and what is said when there is none."""

import os
import shutil
import traceback
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from automagik.core.embedded import accounts, binaries
from automagik.core.embedded.accounts import Account, server_account
from automagik.core.embedded.binaries import find_postgres, find_redis
from automagik.core.embedded.carried import runnable_program
from automagik.core.embedded.exceptions import EmbeddedError, NoServerProgram
from automagik.core.embedded.postgres import EmbeddedPostgres
from automagik.core.embedded.redis_server import EmbeddedRedis
from tests.core.embedded.servers import client, execute, running


def test_data_of_another_major_version_is_refused_by_name(embedded_home: Path) -> None:
    server = EmbeddedPostgres(embedded_home)
    server.data.mkdir()
    (server.data / "PG_VERSION").write_text("9\n")
    with pytest.raises(NoServerProgram, match="PostgreSQL 9 was not found: there is 1"):
        server.start()


def test_a_platform_without_programs_is_told_what_to_do(
    embedded_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for places in ("_POSTGRES_WHEELS", "_POSTGRES_PLACES"):
        monkeypatch.setattr(binaries, places, ())
    monkeypatch.setenv("PATH", str(embedded_home))
    with pytest.raises(NoServerProgram, match="PostgreSQL 14 or newer was not found") as error:
        EmbeddedPostgres(embedded_home).start()
    assert error.value.hint is not None
    assert error.value.hint.endswith("or set DATABASE_URL.")


def test_a_user_id_without_a_name_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 3_999_999)
    with pytest.raises(EmbeddedError, match="3999999 has no entry in /etc/passwd"):
        server_account()


def test_root_without_another_user_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(accounts, "UNPRIVILEGED", ("no-such-user",))
    with pytest.raises(EmbeddedError, match="there is no user no-such-user"):
        server_account()


def test_root_is_refused_a_home_that_the_servers_cannot_enter(embedded_home: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root starts servers as another user")
    closed = embedded_home / "closed"
    closed.mkdir(mode=0o700)
    with pytest.raises(EmbeddedError, match="cannot enter"):
        EmbeddedPostgres(closed).start()


def test_an_account_gets_a_copy_of_programs_it_cannot_read(embedded_home: Path) -> None:
    account = server_account()
    if account is None:
        pytest.skip("only root starts servers as another user")
    found = find_postgres()
    assert found.carrier is not None
    hidden = embedded_home / "hidden" / found.carrier.name
    for folder in (found.carrier, found.carrier.with_name(found.carrier.name + ".libs")):
        copy_by_links(folder, hidden.with_name(folder.name))
    hidden.parent.chmod(0o700)
    program = type(found)(
        path=hidden / found.path.relative_to(found.carrier), version=found.version, carrier=hidden
    )
    path = runnable_program(program, embedded_home, account=account)
    assert path.is_relative_to(embedded_home / "programs")
    assert account.can_run(path.with_name("initdb"), "--version")
    assert runnable_program(program, embedded_home, account=account) == path


def test_both_servers_run_as_an_ordinary_user(embedded_home: Path) -> None:
    account = server_account()
    if account is None:
        pytest.skip("the other tests run as an ordinary user already")
    found = [find_postgres(), find_redis()]
    programs = [runnable_program(p, embedded_home, account=account) for p in found]
    account.own(embedded_home)
    path = os.pathsep.join(str(program.parent) for program in programs)
    assert exit_code_as(account, lambda: run_servers(embedded_home), path=path) == 0


def run_servers(home: Path) -> None:
    with running(EmbeddedPostgres(home)) as url, running(EmbeddedRedis(home)) as redis_url:
        assert execute(url, "SELECT 1") == [(1,)]
        with closing(client(redis_url)) as connection:
            assert connection.ping()


def copy_by_links(source: Path, target: Path) -> None:
    shutil.copytree(source, target, copy_function=os.link)


def exit_code_as(account: Account, job: Callable[[], None], *, path: str) -> int:
    """Runs the job in a fork of this process: the interpreter may be where only root can read."""
    pid = os.fork()
    if pid == 0:
        os.environ["PATH"] = f"{path}{os.pathsep}{os.environ['PATH']}"
        os.setgroups([])
        os.setgid(account.gid)
        os.setuid(account.uid)
        code = 1
        try:
            job()
            code = 0
        finally:
            traceback.print_exc()
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
