"""The failing network of the tests fails as it says."""

import socket
from collections.abc import Iterator
from contextlib import closing

import pytest

from tests.system.proxy import LOOPBACK, Proxy

SECONDS = 5.0
SILENCE_SECONDS = 0.3


@pytest.fixture
def server() -> Iterator[socket.socket]:
    with socket.create_server((LOOPBACK, 0)) as server:
        server.settimeout(SECONDS)
        yield server


@pytest.fixture
def proxy(server: socket.socket) -> Iterator[Proxy]:
    proxy = Proxy(server.getsockname()[1])
    yield proxy
    proxy.stop()


def test_it_carries_both_ways_and_hands_on_the_end(proxy: Proxy, server: socket.socket) -> None:
    client, served = _connected(proxy, server)
    with client, served:
        _carries(client, served)
        _carries(served, client)
        client.close()
        assert served.recv(1) == b""


def test_swallowed_connections_are_silent_for_good(proxy: Proxy, server: socket.socket) -> None:
    """Neither bytes nor the end of the other side arrive, not even when new ones work again."""
    client, served = _connected(proxy, server)
    with client, served:
        proxy.swallow()
        with closing(_connect(proxy)) as newcomer:
            for each in (client, newcomer, served):
                each.sendall(b"x" * 100_000)
            assert _is_silent(newcomer)
        proxy.forward()
        client.sendall(b"x")
        client.close()
        assert _is_silent(served)
        later, served_later = _connected(proxy, server)
        with later, served_later:
            _carries(later, served_later)


def test_refused_and_taken_again(proxy: Proxy, server: socket.socket) -> None:
    client, served = _connected(proxy, server)
    with client, served:
        proxy.refuse()
        with pytest.raises(ConnectionRefusedError):
            _connect(proxy)
        _carries(client, served)
        proxy.forward()
        later, served_later = _connected(proxy, server)
        with later, served_later:
            _carries(later, served_later)


def test_a_cut_ends_both_sides(proxy: Proxy, server: socket.socket) -> None:
    client, served = _connected(proxy, server)
    with client, served:
        proxy.cut()
        assert client.recv(1) == b""
        assert served.recv(1) == b""


def _connect(proxy: Proxy) -> socket.socket:
    return socket.create_connection((LOOPBACK, proxy.port), timeout=SECONDS)


def _connected(proxy: Proxy, server: socket.socket) -> tuple[socket.socket, socket.socket]:
    client = _connect(proxy)
    served, _ = server.accept()
    served.settimeout(SECONDS)
    _carries(client, served)
    return client, served


def _carries(source: socket.socket, sink: socket.socket) -> None:
    source.sendall(b"hello")
    assert sink.recv(5, socket.MSG_WAITALL) == b"hello"


def _is_silent(each: socket.socket) -> bool:
    each.settimeout(SILENCE_SECONDS)
    try:
        return each.recv(1) == b"nothing comes"
    except TimeoutError:
        return True
