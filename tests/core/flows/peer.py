"""A peer on a socket that does exactly what a test says, plain or with TLS."""

import datetime as dt
import ipaddress
import socket
import ssl
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event, Thread

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

STREAM_BEGUN = (
    b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
    b'21\r\n{"event": "token", "data": {} }\n\n\r\n'
)


@dataclass
class Peer:
    """`reached` is set once the script has done its part; then it waits for the client to go."""

    url: str
    reached: Event = field(default_factory=Event)
    left: Event = field(default_factory=Event)
    received: bytes = b""


@contextmanager
def peer(
    script: Callable[[socket.socket], None], *, certificate: Path | None = None
) -> Iterator[Peer]:
    """Serves one connection. With TLS the handshake comes before the script."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        scheme = "https" if certificate else "http"
        served = Peer(url=f"{scheme}://127.0.0.1:{listener.getsockname()[1]}")
        how = {"script": script, "certificate": certificate}
        thread = Thread(target=_serve, args=(listener, served), kwargs=how)
        thread.start()
        yield served
        with suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
        thread.join(10)
        assert not thread.is_alive()


@contextmanager
def full_backlog() -> Iterator[str]:
    """An address whose connections are neither accepted nor refused."""
    with ExitStack() as stack:
        listener = stack.enter_context(socket.socket())
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(3):
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)  # noqa: FBT003 - the name of the method says it
            waiting.connect_ex(listener.getsockname())
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"


def read_request(connection: socket.socket) -> bytes:
    data = b""
    while b"\r\n\r\n" not in data:
        data += connection.recv(65536)
    return data


def certificate_for_loopback(folder: Path) -> Path:
    """A self-signed certificate and its key in one file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = dt.datetime.now(dt.UTC)
    address = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(address, critical=False)
        .sign(key, hashes.SHA256())
    )
    path = folder / "loopback.pem"
    path.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        + certificate.public_bytes(serialization.Encoding.PEM)
    )
    return path


def _serve(
    listener: socket.socket,
    served: Peer,
    *,
    script: Callable[[socket.socket], None],
    certificate: Path | None,
) -> None:
    # The client may break off at any point; then the test looks at the client alone.
    with suppress(OSError):
        connection, _ = listener.accept()
        with _secured(connection, certificate) as secured:
            secured.settimeout(10)
            script(secured)
            served.reached.set()
            while data := secured.recv(65536):
                served.received += data
    served.left.set()


def _secured(connection: socket.socket, certificate: Path | None) -> socket.socket:
    if certificate is None:
        return connection
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    with connection:
        return context.wrap_socket(connection, server_side=True)
