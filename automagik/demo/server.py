"""A small server with LangFlow's HTTP interface, for demonstrations and tests.

It is not a LangFlow: it interprets the few component types that `components.py` lists, and keeps
everything in memory. Its answers are held to recordings of LangFlow 1.13.0 by a contract test.
"""

import re
import secrets
import socket
import sys
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from http.server import ThreadingHTTPServer
from threading import Thread, current_thread
from types import TracebackType
from typing import Any, Self

from automagik.demo.connection import Connection
from automagik.demo.faults import Fault
from automagik.demo.flows import Flow, built_in_flows
from automagik.demo.journal import RunRecord
from automagik.demo.resources import find_resource
from automagik.demo.runs import answer_run
from automagik.demo.world import Refused, World

JOIN_SECONDS = 5.0


class DemoServer:
    """The server, started by `start()` or as a context manager.

    Without flows it has the built-in ones, without a key it makes one, port 0 is any free port.
    `faults` maps endpoint names of flows, or paths, to faults; it may change while the server runs.
    """

    def __init__(
        self,
        *,
        flows: Iterable[Flow] | None = None,
        api_key: str | None = None,
        host: str = "127.0.0.1",
        port: int = 0,
        faults: Mapping[str, Fault] | None = None,
    ) -> None:
        self._world = World(
            flows=built_in_flows() if flows is None else list(flows),
            api_key=api_key or secrets.token_urlsafe(24),
            faults={} if faults is None else faults,
        )
        self._http = _HTTPServer((host, port), self._world)
        self._thread = Thread(target=self._http.serve_forever, args=(0.05,), name="demo-server")

    @property
    def url(self) -> str:
        host, port = self._http.server_address[:2]
        return f"http://{host!s}:{port}"

    @property
    def api_key(self) -> str:
        return self._world.api_key

    @property
    def runs(self) -> list[RunRecord]:
        """The runs so far, oldest first."""
        return self._world.journal.runs

    def wait_for_runs(
        self, holds: Callable[[list[RunRecord]], bool], *, seconds: float = 5.0
    ) -> list[RunRecord]:
        """The runs, as soon as they fulfil a condition. Raises TimeoutError."""
        return self._world.journal.wait_until(holds, seconds=seconds)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Ends the runs, closes all connections and the port."""
        self._world.stopping.set()
        if self._thread.is_alive():
            self._http.shutdown()
            self._thread.join()
        self._http.server_close()
        self._http.close_connections()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()


class _HTTPServer(ThreadingHTTPServer):
    request_queue_size = 256

    def __init__(self, address: tuple[str, int], world: World) -> None:
        self.world = world
        self.open: dict[socket.socket, Thread] = {}
        super().__init__(address, _Conversation)

    def close_connections(self) -> None:
        for connection, thread in list(self.open.items()):
            with suppress(OSError):  # The client may have been faster.
                connection.shutdown(socket.SHUT_RDWR)
            thread.join(JOIN_SECONDS)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that leaves is no error."""
        if not isinstance(sys.exc_info()[1], ConnectionError | TimeoutError):
            super().handle_error(request, client_address)


class _Conversation(Connection):
    server: _HTTPServer

    def setup(self) -> None:
        super().setup()
        self.server.open[self.connection] = current_thread()

    def finish(self) -> None:
        self.server.open.pop(self.connection, None)
        super().finish()

    def serve(self) -> None:
        world = self.server.world
        fault = world.faults.get(self.path_only)
        try:
            if fault:
                fault(self, world.stopping)
            elif run := re.fullmatch("/api/v1/run/([^/]+)", self.path_only):
                self._run(world, run[1])
            else:
                self._read(world)
        except Refused as refusal:
            self.send_json(refusal.status, {"detail": refusal.detail})

    def _run(self, world: World, identifier: str) -> None:
        if self.command != "POST":
            raise Refused(405, "Method Not Allowed")
        self._check_key(
            missing="An API key must be passed as query or header",
            wrong="Invalid or missing API key",
        )
        answer_run(self, world, identifier)

    def _read(self, world: World) -> None:
        if self.path_only == "/api/v1/flows":
            place = f"http://{self.headers.get('host', '')}/api/v1/flows/"
            self.send_body(307, b"", headers={"location": place})
            return
        public = find_resource(self.path_only, public=True)
        found = public or find_resource(self.path_only, public=False)
        if found is None:
            raise Refused(404, "Not Found")
        if public is None:
            self._check_key(
                missing="No authentication credentials provided", wrong="Invalid API key"
            )
        if self.command != "GET":
            raise Refused(405, "Method Not Allowed")
        resource, rest = found
        self.send_json(200, resource(world, self.query, rest))

    def _check_key(self, *, missing: str, wrong: str) -> None:
        key = self.headers.get("x-api-key") or self.query.get("x-api-key")
        if not key:
            bearer = self.headers.get("authorization", "").lower().startswith("bearer ")
            raise Refused(401, "Invalid token") if bearer else Refused(403, missing)
        if not secrets.compare_digest(key.encode(), self.server.world.api_key.encode()):
            raise Refused(403, wrong)
