"""One session for all calls of a process."""

import gc
import select
import socket
import struct
import warnings

import pytest
from requests import Request
from requests.utils import DEFAULT_CA_BUNDLE_PATH

from automagik.core.flows.transport import _tls_context, session


def test_what_urllib3_keeps_of_a_source_is_still_there_after_calls_to_fifty_others() -> None:
    """To make it anew takes longer than a call."""

    def kept(source: int) -> object:
        request = Request("POST", f"http://source-{source}.example").prepare()
        adapter = session().get_adapter("http://")
        return adapter.get_connection_with_tls_context(request, verify=True)  # type: ignore[attr-defined]

    first = kept(0)
    others = [kept(source) for source in range(1, 51)]

    assert kept(0) is first
    assert first not in others


def test_a_peer_that_resets_before_the_handshake_leaves_no_socket_open() -> None:
    """What is left open shows when it is collected."""
    at_once = struct.pack("ii", 1, 0)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        connection = socket.create_connection(listener.getsockname())
        accepted, _ = listener.accept()
        accepted.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, at_once)
        accepted.close()
    reset = select.poll()
    reset.register(connection, select.POLLIN)
    assert reset.poll(10_000)

    with pytest.raises(ConnectionResetError):
        _tls_context(DEFAULT_CA_BUNDLE_PATH).wrap_socket(connection, server_hostname="localhost")
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        gc.collect()
    assert [warning for warning in told if "SSLSocket" in str(warning.message)] == []
