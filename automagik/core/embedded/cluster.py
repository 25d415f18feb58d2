"""The data folder of a PostgreSQL: made in one step, with a password that only we know."""

import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from automagik.core.embedded.accounts import Account, run_as, server_environment
from automagik.core.embedded.exceptions import EmbeddedError
from automagik.core.embedded.processes import ChildProcess
from automagik.core.embedded.state import write_private

ROLE = "automagik"
_LOCALE = "C.UTF-8" if sys.platform == "linux" else "en_US.UTF-8"


def major_version(data: Path) -> int | None:
    """Which PostgreSQL made the data folder; None when there is none yet."""
    try:
        return int((data / "PG_VERSION").read_text())
    except FileNotFoundError:
        return None


def create_cluster(
    data: Path, initdb: Path, *, password: str, account: Account | None, log_path: Path
) -> None:
    """Runs initdb beside the final place: what a killed initdb leaves is never taken for data.

    Raises EmbeddedError with the end of its log.
    """
    unfinished = data.with_name(data.name + ".new")
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(mode=0o700)
    if account:
        account.own(unfinished)
    with _password_file(data.with_name("password"), password, account=account) as file:
        _initdb(unfinished, initdb, file=file, account=account, log_path=log_path)
    unfinished.rename(data)


def set_password(data: Path, postgres: Path, *, password: str, account: Account | None) -> None:
    """Gives a stopped cluster a new password, for a home whose `state.json` was lost."""
    sql = f"ALTER ROLE {ROLE} PASSWORD '{password}'\n"
    done = run_as(account, postgres, "--single", "-D", data, "postgres", stdin=sql)
    if done.returncode:
        raise EmbeddedError(f"The password of {data} could not be set: {done.stderr.strip()}")


def _initdb(
    data: Path, initdb: Path, *, file: Path, account: Account | None, log_path: Path
) -> None:
    who = [f"--username={ROLE}", "--auth=scram-sha-256", f"--pwfile={file}"]
    child = ChildProcess(
        "initdb",
        [initdb, "-D", data, *who, "--encoding=UTF8", f"--locale={_LOCALE}", "--no-instructions"],
        log_path=log_path,
        env=server_environment(),
        account=account,
        cwd=Path("/"),
    )
    child.start()
    if child.wait():
        raise EmbeddedError(
            f"The database could not be created in {data}:\n{child.tail()}",
            hint=f"The whole log: {log_path}",
        )


@contextmanager
def _password_file(path: Path, password: str, *, account: Account | None) -> Iterator[Path]:
    write_private(path, password)
    try:
        if account:
            account.own(path)
        yield path
    finally:
        path.unlink()
