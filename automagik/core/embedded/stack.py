"""The servers of a home: those that the settings name, or our own while the stack runs."""

import os
import time
from contextlib import ExitStack
from types import TracebackType
from typing import Self

from pydantic import SecretStr

from automagik.core.config import Settings
from automagik.core.embedded.facts import Given, Ready, Tell, without_password
from automagik.core.embedded.lock import HomeLock
from automagik.core.embedded.postgres import EmbeddedPostgres
from automagik.core.embedded.redis_server import EmbeddedRedis
from automagik.core.embedded.state import StateFile
from automagik.core.embedded.supervise import ProcessGroup, RestartPolicy

_PUBLISHED = ("database_url", "redis_url")


class Stack:
    """Inside `with`, both URLs answer, and `processes` holds our servers first.

    Start beat, worker and the like through `processes`: what is started last stops first, and the
    servers stop after everything else. While the stack runs, `get_settings` of other processes
    finds its URLs in the home.
    """

    def __init__(
        self, settings: Settings, *, tell: Tell, policy: RestartPolicy | None = None
    ) -> None:
        self.home = settings.home.absolute()
        self.database_url = ""
        self.redis_url = ""
        self.processes = ProcessGroup(tell=tell, policy=policy or RestartPolicy())
        self._settings = settings
        self._tell = tell
        self._state = StateFile(self.home)
        self._exit = ExitStack()

    def __enter__(self) -> Self:
        """Raises HomeInUse and EmbeddedError; then nothing is left running."""
        with self._exit as exits:
            exits.enter_context(HomeLock(self.home))
            self._state.remove(*_PUBLISHED)  # of a stack that was killed
            exits.callback(self._state.remove, *_PUBLISHED)
            exits.callback(self.processes.stop)
            self.database_url = self._start(self._settings.database_url, EmbeddedPostgres)
            self.redis_url = self._start(self._settings.redis_url, EmbeddedRedis)
            self._publish()
            self._exit = exits.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._exit.close()

    def environment(self) -> dict[str, str]:
        """The whole environment for a child that shall use these servers and the same profile."""
        profile = {"AUTOMAGIK_PROFILE": self._settings.profile} if self._settings.profile else {}
        return (
            os.environ
            | profile
            | {
                "AUTOMAGIK_HOME": str(self.home),
                "DATABASE_URL": self.database_url,
                "REDIS_URL": self.redis_url,
            }
        )

    def _start(
        self, given: SecretStr | None, kind: type[EmbeddedPostgres] | type[EmbeddedRedis]
    ) -> str:
        if given:
            url = given.get_secret_value()
            self._tell(Given(name=kind.name, url=without_password(url)))
            return url
        began = time.monotonic()
        server = kind(self.home)
        url = server.start()
        if server.child:
            self.processes.add(server.child)
        shown, seconds = without_password(url), time.monotonic() - began
        self._tell(Ready(name=kind.name, seconds=seconds, url=shown))
        return url

    def _publish(self) -> None:
        urls = {"database_url": self.database_url, "redis_url": self.redis_url}
        given = {name for name in _PUBLISHED if getattr(self._settings, name)}
        self._state.update(**{k: v for k, v in urls.items() if k not in given})
