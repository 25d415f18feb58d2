"""One HTTP/1.1 connection: reading requests, writing answers and streams."""

import json
import select
import socket
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler
from typing import Any, ClassVar
from urllib.parse import parse_qsl, urlsplit

IDLE_SECONDS = 2.0
"""How long an unused connection stays open: as on a real LangFlow."""
REQUEST_SECONDS = 30.0
JSON_TYPE = "application/json"
STREAM_TYPE = "text/event-stream; charset=utf-8"


class Connection(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version = "automagik-demo"
    disable_nagle_algorithm: ClassVar[bool] = True

    path_only: str
    query: Mapping[str, str]
    body: bytes

    def serve(self) -> None:
        """Answers the request that was read."""
        raise NotImplementedError

    def send_json(
        self, status: int, body: Any, *, headers: Mapping[str, str] | None = None
    ) -> None:
        encoded = json.dumps(body, separators=(",", ":"), ensure_ascii=False).encode()
        self.send_body(status, encoded, headers={"content-type": JSON_TYPE, **(headers or {})})

    def send_body(self, status: int, body: bytes, *, headers: Mapping[str, str]) -> None:
        self.begin(status, headers={**headers, "content-length": str(len(body))})
        self.wfile.write(body)

    def begin(self, status: int, *, headers: Mapping[str, str]) -> None:
        """Sends the status line and the headers."""
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()

    def send_chunk(self, chunk: bytes) -> None:
        """Sends a part of a chunked body; an empty part ends it."""
        self.wfile.write(b"%x\r\n%s\r\n" % (len(chunk), chunk))

    def client_is_gone(self) -> bool:
        """Whether the other side has closed the connection."""
        poll = select.poll()
        poll.register(self.connection, select.POLLIN)
        if not poll.poll(0):
            return False
        try:
            return not self.connection.recv(1, socket.MSG_PEEK)
        except ConnectionError:
            return True

    def handle_one_request(self) -> None:
        self.connection.settimeout(IDLE_SECONDS)
        super().handle_one_request()

    def parse_request(self) -> bool:
        self.connection.settimeout(REQUEST_SECONDS)
        return super().parse_request()

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        self.path_only = url.path
        self.query = dict(parse_qsl(url.query, keep_blank_values=True))
        length = self.headers.get("content-length", "0")
        if "transfer-encoding" in self.headers or not length.isdecimal():
            self.close_connection = True
            self.send_json(411, {"detail": "Length Required"})
            return
        self.body = self.rfile.read(int(length))
        self.serve()

    do_POST = do_PUT = do_PATCH = do_DELETE = do_GET  # noqa: N815

    def version_string(self) -> str:
        return self.server_version

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Says nothing."""
