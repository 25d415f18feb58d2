"""HTTP connections that another thread can break off at any moment.

`requests` cannot be stopped from outside, and its timeouts are per read: a server that sends a byte
a second holds a thread for ever. Here every connection leaves its socket with the call's
RunHandle. LangFlow stops a streamed run when its connection closes.
"""

import logging
import os
import ssl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from errno import EINPROGRESS
from functools import lru_cache
from http.client import HTTPResponse
from http.cookiejar import DefaultCookiePolicy
from pathlib import Path
from queue import Empty, SimpleQueue
from socket import (
    AI_NUMERICHOST,
    IPPROTO_TCP,
    SO_ERROR,
    SOCK_STREAM,
    SOL_SOCKET,
    TCP_NODELAY,
    gaierror,
    getaddrinfo,
    socket,
)
from threading import Thread, local
from typing import Any, cast

import requests
from requests.adapters import HTTPAdapter
from requests.utils import DEFAULT_CA_BUNDLE_PATH
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool
from urllib3.exceptions import ConnectTimeoutError, NameResolutionError, NewConnectionError
from urllib3.util.ssl_ import create_urllib3_context
from urllib3.util.wait import wait_for_write

from automagik.core.flows.run_handle import RunHandle

POLL_SECONDS = 0.1
MOST_AT_ONCE = 4096
"""Calls of one process to one source, of which urllib3 keeps the closed connections."""
MOST_SOURCES = 1024
"""Called in turn: for one more urllib3 makes a place for as many calls anew, which takes long."""

# It quotes headers that it cannot read, which may be the API key sent back. Whatever else it warns
# of is raised as well.
logging.getLogger("urllib3.connection").setLevel(logging.ERROR)


class _Calling(local):
    """What the current thread does."""

    handle: RunHandle


_calling = _Calling()


@lru_cache(maxsize=1)
def session() -> requests.Session:
    """For all calls of the process: no kept connection, no cookie, no retry.

    LangFlow closes idle connections after two seconds, so a kept one breaks now and then under a
    request that must not be sent twice; and with its login cookie a wrong key passes.
    """
    session = _Session()
    session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=()))
    session.headers["connection"] = "close"
    session.adapters.clear()
    adapter = _AbortableAdapter(
        pool_connections=MOST_SOURCES, pool_maxsize=MOST_AT_ONCE, max_retries=0
    )
    session.mount("http://", adapter)
    session.mount("https://", adapter)
    return session


class _Session(requests.Session):
    def get_redirect_target(self, resp: requests.Response) -> None:
        """A redirect is an answer like others. `requests` would read all of it, however long."""


@contextmanager
def held_by(handle: RunHandle) -> Iterator[None]:
    """What this thread connects to in the block can be broken off by the handle."""
    _calling.handle = handle
    try:
        yield
    finally:
        del _calling.handle


class _AbortableAdapter(HTTPAdapter):
    def get_connection_with_tls_context(self, *args: Any, **kwargs: Any) -> HTTPConnectionPool:
        pool = cast("Any", super().get_connection_with_tls_context(*args, **kwargs))
        plain = pool.scheme == "http"
        pool.ConnectionCls = _AbortableConnection if plain else _AbortableTLSConnection
        return cast("HTTPConnectionPool", pool)

    def build_connection_pool_key_attributes(
        self, request: requests.PreparedRequest, verify: Any, cert: Any = None
    ) -> Any:
        """Verification is always on; the environment only chooses which authorities are trusted."""
        host, _ = super().build_connection_pool_key_attributes(request, verify, cert)
        if host["scheme"] != "https":
            return host, {}
        bundle = verify if isinstance(verify, str) else DEFAULT_CA_BUNDLE_PATH
        return host, {"ssl_context": _tls_context(bundle), "cert_reqs": "CERT_REQUIRED"}

    def cert_verify(self, *args: Any, **kwargs: Any) -> None:
        """Nothing is left to do: the shared context holds the authorities."""


@lru_cache(maxsize=8)
def _tls_context(bundle: str) -> ssl.SSLContext:
    """Shared, because reading the authorities costs more than the rest of a call."""
    context = create_urllib3_context()
    context.sslsocket_class = _TLSSocket
    where = "capath" if Path(bundle).is_dir() else "cafile"
    context.load_verify_locations(**{where: bundle})
    return context


class _TLSSocket(ssl.SSLSocket):
    def recv(self, buflen: int = 1024, flags: int = 0) -> bytes:
        """Python asks before the handshake, and leaves what the peer has reset by then open."""
        try:
            return super().recv(buflen, flags)
        except ConnectionResetError:
            self.close()
            raise


class _LastResponse(HTTPResponse):
    def begin(self) -> None:
        """The connection ends with it, also where the server would keep it."""
        super().begin()
        self.will_close = True


class _AbortableConnection(HTTPConnection):
    response_class = _LastResponse

    def connect(self) -> None:
        """With the tunnel through a proxy and the TLS handshake, before the request is sent."""
        super().connect()
        _calling.handle.note_connected()

    def _new_conn(self) -> socket:
        """Raises urllib3's errors, which `requests` translates."""
        try:
            return _dial(self.host, self.port, timeout=self.timeout or 0, handle=_calling.handle)
        except gaierror as error:
            raise NameResolutionError(self.host, self, error) from error
        except TimeoutError as error:
            raise ConnectTimeoutError(self, f"no connection in {self.timeout} s") from error
        except OSError as error:
            raise NewConnectionError(self, f"no connection: {error}") from error


class _AbortableTLSConnection(_AbortableConnection, HTTPSConnection):
    """The handshake runs on the socket that the handle already has."""


def _dial(host: str, port: int, *, timeout: float, handle: RunHandle) -> socket:
    """Tries each address of the host; `timeout` is for all of them together."""
    deadline = time.monotonic() + timeout
    failure: OSError = gaierror("the name has no address")
    addresses = _resolve(host.strip("[]"), port, deadline=deadline, handle=handle)
    for family, kind, protocol, _, address in addresses:
        _refuse_if_aborted(handle)
        connection = socket(family, kind, protocol)
        try:
            _connect(connection, address, deadline=deadline, handle=handle)
            handle.attach(connection)
        except OSError as error:
            connection.close()
            failure = error
        else:
            return connection
    raise failure


def _connect(connection: socket, address: Any, *, deadline: float, handle: RunHandle) -> None:
    """Waits in slices: a connection in the making cannot be shut down everywhere."""
    connection.settimeout(0)
    outcome = connection.connect_ex(address)
    if outcome == EINPROGRESS:
        while not wait_for_write(connection, timeout=POLL_SECONDS):
            _refuse_if_aborted(handle)
            if time.monotonic() > deadline:
                raise TimeoutError
        outcome = connection.getsockopt(SOL_SOCKET, SO_ERROR)
    if outcome:
        raise OSError(outcome, os.strerror(outcome))
    connection.settimeout(max(deadline - time.monotonic(), POLL_SECONDS))
    connection.setsockopt(IPPROTO_TCP, TCP_NODELAY, 1)


def _resolve(host: str, port: int, *, deadline: float, handle: RunHandle) -> list[Any]:
    """The addresses. A name server is asked in a thread, since that cannot be broken off."""
    _refuse_if_aborted(handle)
    try:
        return getaddrinfo(host, port, type=SOCK_STREAM, flags=AI_NUMERICHOST)
    except gaierror:
        answers: SimpleQueue[list[Any] | OSError] = SimpleQueue()
    Thread(
        target=_ask_name_server, args=(host, port), kwargs={"answers": answers}, daemon=True
    ).start()
    while time.monotonic() < deadline:
        try:
            answer = answers.get(timeout=POLL_SECONDS)
        except Empty:
            _refuse_if_aborted(handle)
            continue
        if isinstance(answer, OSError):
            raise answer
        return answer
    raise TimeoutError


def _ask_name_server(host: str, port: int, *, answers: "SimpleQueue[list[Any] | OSError]") -> None:
    try:
        answers.put(getaddrinfo(host, port, type=SOCK_STREAM))
    except (OSError, UnicodeError) as error:
        answers.put(error if isinstance(error, OSError) else gaierror(str(error)))


def _refuse_if_aborted(handle: RunHandle) -> None:
    if handle.reason is not None:
        raise ConnectionAbortedError
