"""A Redis of our own: Valkey, or Redis itself."""

import json
import secrets
import signal
from contextlib import closing
from pathlib import Path

import redis

from automagik.core.embedded.accounts import server_environment
from automagik.core.embedded.binaries import ServerProgram, find_redis
from automagik.core.embedded.left_over import end_left_over, eventually
from automagik.core.embedded.ports import LOOPBACK, is_free
from automagik.core.embedded.processes import ChildProcess
from automagik.core.embedded.server import EmbeddedServer
from automagik.core.embedded.state import write_private

STOP_SIGNALS = ((signal.SIGTERM, 15.0),)
_SHUTDOWN_SECONDS = 15.0
_CONFIG = """\
bind {address}
port {port}
requirepass {password}
dir {data}
appendonly yes
appendfsync everysec
save ""
maxmemory-policy noeviction
daemonize no
"""


class EmbeddedRedis(EmbeddedServer):
    """Keeps what it holds over restarts and crashes, but for the last second."""

    name = "redis"

    @property
    def url(self) -> str:
        return f"redis://:{self._known['password']}@{self._address}/0"

    def is_ready(self) -> bool:
        try:
            with closing(self._client()) as client:
                return bool(client.ping())
        except (redis.ConnectionError, redis.TimeoutError):
            return False

    def _client(self) -> redis.Redis:
        return redis.Redis.from_url(self.url, socket_timeout=5, decode_responses=True)

    def _find(self) -> ServerProgram:
        return find_redis()

    def _prepare(self, program: Path) -> None:  # noqa: ARG002  # PostgreSQL's needs it
        self.data.mkdir(mode=0o700, exist_ok=True)
        if self._account:
            self._account.own(self.data)
        if "password" not in self._known:
            self._remember(password=secrets.token_urlsafe(24))

    def _child(self, program: Path, port: int) -> ChildProcess:
        return ChildProcess(
            self.name,
            [program, self._write_config(port)],
            log_path=self.home / "logs" / "redis.log",
            env=server_environment(),
            stop_signals=STOP_SIGNALS,
            death_signal=signal.SIGTERM,
            account=self._account,
            cwd=Path("/"),
        )

    def _write_config(self, port: int) -> Path:
        """The password is in a file because everybody can read arguments."""
        path = self.home / "redis.conf"  # root changes no owner in a folder of somebody else
        password = self._known["password"]
        data = json.dumps(str(self.data), ensure_ascii=False)
        text = _CONFIG.format(address=LOOPBACK, port=port, password=password, data=data)
        write_private(path, text)
        if self._account:
            self._account.own(path)
        return path

    def _end_left_over(self) -> None:
        """Asks on the old port only when the processes cannot be looked at.

        Whoever listens there need not be ours, and would be told the password.
        """
        is_gone = end_left_over(self.data, "-server", main_pid=None, asking=STOP_SIGNALS)
        if not is_gone and {"password", "port"} <= self._known.keys():
            self._shut_down()

    def _shut_down(self) -> None:
        """Not the server of a copy of this home, which has the same password.

        A server closes its port when it has written everything.
        """
        try:
            with closing(self._client()) as client:
                if client.config_get("dir") != {"dir": str(self.data)}:
                    return
                client.shutdown(nosave=True)
        except redis.RedisError:
            return
        eventually(lambda: is_free(self._known["port"]), seconds=_SHUTDOWN_SECONDS)
