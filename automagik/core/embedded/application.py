"""All that `automagik up` runs: servers, schema, worker, beat, and Flower on request."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import timedelta
from types import TracebackType
from typing import Self

from pydantic import SecretStr

from automagik.core.config import Settings
from automagik.core.database.migrate import create_database, upgrade
from automagik.core.database.news import News
from automagik.core.database.session import Database
from automagik.core.embedded import ports, services
from automagik.core.embedded.exceptions import EmbeddedError
from automagik.core.embedded.facts import Ready, Tell
from automagik.core.embedded.stack import Stack
from automagik.core.embedded.supervise import ProcessGroup
from automagik.core.tasks.activity import Activity, Happening

FLOWER_PORT = 5555
_CHILDREN_ARE_LOOKED_AT = timedelta(milliseconds=200)


class Application:
    """Inside `with`, everything runs. What started last stops first, the servers at the end.

    `beforehand` is called when the servers are there; what it starts stops after worker and beat.
    """

    settings: Settings
    """With the URLs of the servers that run."""
    database: Database
    environment: dict[str, str]
    """The whole environment for children."""

    def __init__(
        self,
        settings: Settings,
        *,
        flower: bool,
        tell: Tell,
        beforehand: Callable[["Application"], None] | None = None,
    ) -> None:
        self.settings = settings
        self._flower = flower
        self._tell = tell
        self._beforehand = beforehand
        self._stack = Stack(settings, tell=tell)
        self._exit = ExitStack()

    @property
    def processes(self) -> ProcessGroup:
        return self._stack.processes

    def __enter__(self) -> Self:
        """Raises AutomagikError; then nothing is left running."""
        with self._exit as exits:
            exits.enter_context(self._stack)
            self.environment = self._stack.environment() | self._log_format()
            urls = {"database_url": self._stack.database_url, "redis_url": self._stack.redis_url}
            secret = {name: SecretStr(url) for name, url in urls.items()}
            self.settings = self.settings.model_copy(update=secret)
            self._migrate()
            self.database = Database(self.settings.require_database_url())
            exits.callback(self.database.dispose)
            if self._beforehand is not None:
                self._beforehand(self)
            self._start_services()
            self._exit = exits.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._exit.close()

    def happenings(self) -> Iterator[Happening]:
        """What happens to tasks, for ever. Raises EmbeddedError when a child cannot be kept up."""
        with self.database.transaction() as connection:
            activity = Activity(connection)
        with News(self.database) as news:
            yield from self._happenings(activity, news)

    def _happenings(self, activity: Activity, news: News) -> Iterator[Happening]:
        while True:
            self.processes.check()
            if died := self.processes.given_up:
                raise EmbeddedError(
                    f"{died.name} {died.how}, again and again:\n{died.log_tail}",
                    hint=f"The whole log: {died.log_path}",
                )
            with self.database.transaction() as connection:
                happened = activity.news(connection)
            yield from happened
            news.wait(_CHILDREN_ARE_LOOKED_AT)

    def _log_format(self) -> dict[str, str]:
        """Logs are for whoever has started it all, though the children write into files."""
        form = self.settings.log_format.on(terminal=sys.stderr.isatty())
        return {"AUTOMAGIK_LOG_FORMAT": form}

    def _migrate(self) -> None:
        began = time.monotonic()
        create_database(self._stack.database_url)
        upgrade(self._stack.database_url)
        self._tell(Ready(name="schema", seconds=time.monotonic() - began))

    def _start_services(self) -> None:
        worker = services.worker(self.settings, self.environment)
        beat = services.beat(self.settings, self.environment)
        # Both take seconds to import; they do it side by side. Beat stops first: nothing new starts
        # while the worker drains.
        self.processes.launch(worker)
        self.processes.launch(beat)
        self.processes.await_ready(worker, ready=services.worker_is_up(self.database, worker))
        self.processes.await_ready(beat, ready=services.beat_is_up(self.database, beat))
        if self._flower:
            self._start_flower()

    def _start_flower(self) -> None:
        port = ports.free_port(FLOWER_PORT)
        url = f"http://{ports.LOOPBACK}:{port}"
        flower = services.flower(self.settings, self.environment, port=port)
        self.processes.start(flower, ready=services.answers(f"{url}/healthcheck"), url=url)
