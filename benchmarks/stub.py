"""A server that answers runs at once, as LangFlow 1.13 answered a streamed run of its echo flow.

    uv run python -m benchmarks.stub --port 7860 [--delay 0] [--bytes 0] [--messages 2]

One process without a framework, so that it is not what is measured. A run with `--delay` begins at
once with its first event and ends later. GET /seen tells of all runs so far.
"""

import argparse
import asyncio
import gc
import json
import re
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.request import urlopen

if TYPE_CHECKING:
    from benchmarks.stack import Stack

_RECORDING = (
    Path(__file__).parents[1] / "tests/data/langflow/recordings/1.13.0/run_stream_echo.json"
)
_SAID = "hello"
_HEAD = (
    b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\n"
    b"transfer-encoding: chunked\r\n\r\n"
)
_LENGTH = re.compile(rb"content-length: *(\d+)", re.IGNORECASE)
_KEY = re.compile(rb"idempotency-key: *([^\r]+)", re.IGNORECASE)
_CLOSES = re.compile(rb"connection: *close", re.IGNORECASE)


@dataclass(frozen=True, kw_only=True, slots=True)
class Script:
    """What every run is answered with."""

    begin: bytes
    end: bytes
    delay: float

    @classmethod
    def of(cls, *, delay: float, result_bytes: int, messages: int) -> "Script":
        """The result becomes at least that large; the run says so many messages."""
        recording = json.loads(_RECORDING.read_text())
        said, answered, end, _ = recording["response"]["text"].split("\n\n")
        times = end.count(_SAID)
        end = end.replace(_SAID, _SAID * max(1, round(result_bytes / times / len(_SAID))))
        middle = [answered] * (messages - 1)
        return cls(
            begin=_HEAD + _chunk(said),
            end=b"".join(_chunk(event) for event in (*middle, end)) + b"0\r\n\r\n",
            delay=delay,
        )


@dataclass(kw_only=True, slots=True)
class Seen:
    """What the stub knows of its runs."""

    arrivals: dict[str, float] = field(default_factory=dict)
    """By idempotency key, on the clock of time.monotonic."""
    ended: int = 0


class Connection(asyncio.Protocol):
    """One request after the other; none is sent before the last was answered."""

    def __init__(self, script: Script, seen: Seen) -> None:
        self._script = script
        self._seen = seen
        self._received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, separator, body = self._received.partition(b"\r\n\r\n")
        length = _LENGTH.search(head)
        if not separator or len(body) < int(length[1] if length else 0):
            return
        self._received = b""
        if head.startswith(b"GET"):
            self._tell()
        else:
            self._run(head)

    def _run(self, head: bytes) -> None:
        if key := _KEY.search(head):
            self._seen.arrivals[key[1].decode()] = time.monotonic()
        closes = _CLOSES.search(head) is not None
        if self._script.delay:
            self._transport.write(self._script.begin)
            loop = asyncio.get_running_loop()
            loop.call_later(self._script.delay, self._end, self._script.end, closes)
        else:
            self._end(self._script.begin + self._script.end, closes)

    def _end(self, rest: bytes, closes: bool) -> None:  # noqa: FBT001  (call_later takes no names)
        if self._transport.is_closing():
            return
        self._transport.write(rest)
        self._seen.ended += 1
        if closes:
            self._transport.close()

    def _tell(self) -> None:
        body = json.dumps(asdict(self._seen)).encode()
        self._transport.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % len(body) + body)


@dataclass(frozen=True, kw_only=True, slots=True)
class Stub:
    """A running stub."""

    url: str
    pid: int

    def seen(self) -> Seen:
        with urlopen(f"{self.url}/seen") as answer:
            return Seen(**json.load(answer))

    def ended(self) -> int:
        return self.seen().ended


@contextmanager
def running_stub(
    stack: "Stack",
    name: str = "stub",
    *,
    delay: float = 0,
    result_bytes: int = 0,
    messages: int = 2,
) -> Iterator[Stub]:
    """Ready for runs, for the time of the block."""
    from automagik.core.embedded.ports import free_port, is_free

    port = free_port()
    options = {"port": port, "delay": delay, "bytes": result_bytes, "messages": messages}
    words = [word for key, value in options.items() for word in (f"--{key}", str(value))]
    argv = (sys.executable, "-m", "benchmarks.stub", *words)
    with stack.process(name, *argv, is_ready=lambda: not is_free(port)) as pid:
        yield Stub(url=f"http://127.0.0.1:{port}", pid=pid)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--delay", type=float, default=0, help="seconds until a run ends")
    parser.add_argument("--bytes", type=int, default=0, help="of a result, at least")
    parser.add_argument("--messages", type=int, default=2, help="that a run says")
    arguments = parser.parse_args()
    script = Script.of(
        delay=arguments.delay, result_bytes=arguments.bytes, messages=arguments.messages
    )
    gc.freeze()
    asyncio.run(serve(arguments.port, script))


async def serve(port: int, script: Script) -> None:
    seen = Seen()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(
        lambda: Connection(script, seen), "127.0.0.1", port, backlog=4096
    )
    await server.serve_forever()


def _chunk(event: str) -> bytes:
    data = f"{event}\n\n".encode()
    return b"%x\r\n%b\r\n" % (len(data), data)


if __name__ == "__main__":
    main()
