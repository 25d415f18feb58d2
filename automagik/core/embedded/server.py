"""What PostgreSQL and Redis have in common when we run them ourselves."""

from abc import ABC, abstractmethod
from contextlib import ExitStack
from pathlib import Path
from typing import Any, ClassVar

from automagik.core.embedded.accounts import server_account
from automagik.core.embedded.binaries import ServerProgram
from automagik.core.embedded.carried import runnable_program
from automagik.core.embedded.exceptions import ChildDied, EmbeddedError
from automagik.core.embedded.ports import LOOPBACK, free_port, is_free
from automagik.core.embedded.processes import ChildProcess
from automagik.core.embedded.state import StateFile

_READY_SECONDS = 120.0  # there may be a crash to recover from
_PORT_TRIES = 3


class EmbeddedServer(ABC):
    """A server with its data in `home/<name>`, its password and port in the home's state.

    It listens on the loopback interface only. The caller holds the lock of the home.
    """

    name: ClassVar[str]

    def __init__(self, home: Path) -> None:
        self.home = home.resolve()
        self.data = self.home / self.name
        self.child: ChildProcess | None = None
        self._state = StateFile(self.home)
        self._account = server_account()

    def start(self) -> str:
        """Returns the URL of the server, which answers. The port of the last run is kept if free.

        Ends a left-over server in the same folder first: two would write to the same files.
        Raises EmbeddedError; then nothing is left running.
        """
        try:
            self._end_left_over()
            program = self._program()
            self._prepare(program)
            with ExitStack() as on_failure:
                on_failure.callback(self.stop)
                self._run(program)
                on_failure.pop_all()
        except OSError as error:  # a full disk, a wrong owner
            raise EmbeddedError(f"{self.name} could not be started: {error}") from error
        return self.url

    def stop(self) -> None:
        """Tolerates a server that was never started or is stopped already."""
        if self.child:
            self.child.stop()

    @property
    @abstractmethod
    def url(self) -> str:
        """With the password."""

    @abstractmethod
    def is_ready(self) -> bool:
        """Whether the child answers."""

    @abstractmethod
    def _find(self) -> ServerProgram: ...

    @abstractmethod
    def _prepare(self, program: Path) -> None:
        """Sees that there are a data folder and a password that fits it."""

    @abstractmethod
    def _child(self, program: Path, port: int) -> ChildProcess: ...

    @abstractmethod
    def _end_left_over(self) -> None: ...

    def _program(self) -> Path:
        if self._account:
            self._account.require_path(self.home)
        return runnable_program(self._find(), self.home, account=self._account)

    def _run(self, program: Path) -> None:
        for _ in range(_PORT_TRIES):
            port = free_port(self._known.get("port"))
            self._remember(port=port)
            if self._runs_on(port, program):
                return
        raise EmbeddedError(f"{self.name} found its port taken {_PORT_TRIES} times.")

    def _runs_on(self, port: int, program: Path) -> bool:
        """False when somebody else took the port in the meantime."""
        self.child = self._child(program, port)
        self.child.start()
        try:
            self.child.wait_until(self.is_ready, seconds=_READY_SECONDS)
        except ChildDied:
            if is_free(port):
                raise
            return False
        return True

    @property
    def _known(self) -> dict[str, Any]:
        return dict(self._state.read().get(self.name, {}))

    def _remember(self, **values: Any) -> None:
        self._state.update(**{self.name: self._known | values})

    @property
    def _address(self) -> str:
        return f"{LOOPBACK}:{self._known['port']}"
