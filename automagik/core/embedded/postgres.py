"""A PostgreSQL of our own."""

import secrets
import signal
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path

import psycopg2

from automagik.core.embedded.accounts import server_environment
from automagik.core.embedded.binaries import ServerProgram, find_postgres
from automagik.core.embedded.cluster import ROLE, create_cluster, major_version, set_password
from automagik.core.embedded.exceptions import EmbeddedError
from automagik.core.embedded.left_over import end_left_over
from automagik.core.embedded.ports import LOOPBACK
from automagik.core.embedded.processes import ChildProcess
from automagik.core.embedded.server import EmbeddedServer

DATABASE = "automagik"
STOP_SIGNALS = ((signal.SIGINT, 20.0), (signal.SIGQUIT, 5.0))
"""PostgreSQL's fast shutdown, then its immediate one."""

_SETTINGS = {
    "listen_addresses": LOOPBACK,
    "unix_socket_directories": "",
    "shared_buffers": "32MB",
    "max_connections": "200",
    "timezone": "UTC",
}
_STATUS_LINE = 7


class EmbeddedPostgres(EmbeddedServer):
    """Keeps the major version that made its data.

    Args:
        home: the data folder of the stack; it exists.
        options: server settings on top of ours.
    """

    name = "postgres"

    def __init__(self, home: Path, *, options: Mapping[str, str] | None = None) -> None:
        super().__init__(home)
        self._options = _SETTINGS | dict(options or {})

    @property
    def url(self) -> str:
        return self._url(DATABASE)

    def is_ready(self) -> bool:
        """What the server itself says in its pid file."""
        lines = self._pid_file()
        mine = self.child is not None and lines[:1] == [str(self.child.pid)]
        return mine and lines[_STATUS_LINE:] != [] and lines[_STATUS_LINE].strip() == "ready"

    def _url(self, database: str) -> str:
        return f"postgresql://{ROLE}:{self._known['password']}@{self._address}/{database}"

    def _find(self) -> ServerProgram:
        return find_postgres(major_version(self.data))

    def _prepare(self, program: Path) -> None:
        if self.data.exists() and "password" in self._known:
            return
        password = secrets.token_urlsafe(24)
        if self.data.exists():
            set_password(self.data, program, password=password, account=self._account)
        else:
            create_cluster(
                self.data,
                program.with_name("initdb"),
                password=password,
                account=self._account,
                log_path=self.home / "logs" / "initdb.log",
            )
        self._remember(password=password)

    def _child(self, program: Path, port: int) -> ChildProcess:
        settings = [word for k, v in self._options.items() for word in ("-c", f"{k}={v}")]
        return ChildProcess(
            self.name,
            [program, "-D", self.data, "-p", str(port), *settings],
            log_path=self.home / "logs" / "postgres.log",
            env=server_environment(),
            stop_signals=STOP_SIGNALS,
            death_signal=signal.SIGINT,
            account=self._account,
            cwd=Path("/"),
        )

    def _run(self, program: Path) -> None:
        super()._run(program)
        try:
            with closing(psycopg2.connect(self._url("postgres"), connect_timeout=10)) as connection:
                connection.autocommit = True
                with connection.cursor() as cursor:
                    cursor.execute("SELECT 1 FROM pg_database WHERE datname = %s", (DATABASE,))
                    if cursor.fetchone() is None:
                        cursor.execute(f"CREATE DATABASE {DATABASE}")
        except psycopg2.Error as error:
            raise EmbeddedError(f"PostgreSQL runs but does not serve: {error}") from error

    def _end_left_over(self) -> None:
        """Also removes the pid file of a server that is gone: it may name anybody's process now."""
        lines = self._pid_file()
        pid = int(lines[0]) if lines and lines[0].isdigit() else None
        if lines and end_left_over(self.data, self.name, main_pid=pid, asking=STOP_SIGNALS):
            (self.data / "postmaster.pid").unlink(missing_ok=True)

    def _pid_file(self) -> list[str]:
        try:
            return (self.data / "postmaster.pid").read_text().splitlines()
        except FileNotFoundError:
            return []
