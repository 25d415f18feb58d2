"""Recorded exchanges with LangFlow 1.0 to 1.13, and a server that gives the same answers again."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.parse import urlsplit

LANGFLOW = Path(__file__).parents[2] / "data" / "langflow"
RECORDINGS = LANGFLOW / "recordings"
FLOWS = LANGFLOW / "flows"
VERSIONS = ("1.0.19", "1.2.0", "1.4.3", "1.7.3", "1.13.0")
SINCE_1_2 = VERSIONS[1:]


def recording(version: str, name: str) -> dict[str, Any]:
    return dict(json.loads((RECORDINGS / version / f"{name}.json").read_text()))


def answer_of(version: str, name: str) -> Any:
    return recording(version, name)["response"]["json"]


def flow_files() -> list[Path]:
    return sorted(FLOWS.rglob("*.json"))


def definition(name: str) -> dict[str, Any]:
    return dict(json.loads((FLOWS / f"{name}.json").read_text())["data"])


@dataclass
class Replay:
    """Answers every request with one response, or by path; keeps what it was asked."""

    response: dict[str, Any]
    by_path: dict[str, dict[str, Any]] = field(default_factory=dict)
    requests: list[dict[str, Any]] = field(default_factory=list)
    url: str = ""

    def answer(self, path: str) -> dict[str, Any]:
        return self.by_path.get(urlsplit(path).path, self.response)


@contextmanager
def replayed(
    response: dict[str, Any], by_path: dict[str, dict[str, Any]] | None = None
) -> Iterator[Replay]:
    replay = Replay(response=response, by_path=by_path or {})
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(replay))
    replay.url = f"http://127.0.0.1:{server.server_port}"
    thread = Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield replay
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _handler(replay: Replay) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def answer(self) -> None:
            size = int(self.headers.get("content-length") or 0)
            replay.requests.append(
                {
                    "method": self.command,
                    "path": self.path,
                    "headers": {name.lower(): value for name, value in self.headers.items()},
                    "body": self.rfile.read(size),
                }
            )
            self._send(replay.answer(self.path))

        do_GET = do_POST = answer  # noqa: N815 - named by the standard library

        def _send(self, response: dict[str, Any]) -> None:
            text = response["text"] if "text" in response else json.dumps(response.get("json"))
            body = response.get("body", text.encode())
            self.send_response(response["status"])
            for name, value in response.get("headers", {}).items():
                self.send_header(name, value)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            """Stays quiet."""

    return Handler
