"""`python -m automagik.demo`: serves the demo flows until it is told to stop."""

import argparse
import os
import signal
import sys
import threading
from pathlib import Path

from automagik.demo.flows import Flow, built_in_flows, load_flows, merged
from automagik.demo.server import DemoServer

KEY_VARIABLE = "AUTOMAGIK_DEMO_API_KEY"


def main() -> int:
    arguments = _parser().parse_args()
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    try:
        key = _api_key(arguments.api_key_file)
        flows = _flows(arguments.flows)
        server = DemoServer(flows=flows, api_key=key, host=arguments.host, port=arguments.port)
    except (OSError, ValueError) as error:
        sys.stderr.write(f"automagik demo server: {error}\n")
        return 2
    with server:
        sys.stdout.write(f"automagik demo server (not a real LangFlow) at {server.url}\n")
        sys.stdout.flush()
        stop.wait()
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m automagik.demo",
        description="A small server with LangFlow's HTTP interface, for demonstrations and tests.",
    )
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on")
    parser.add_argument("--port", type=int, default=0, help="port; 0 takes any free one")
    parser.add_argument(
        "--api-key-file",
        type=Path,
        help=f"file with the API key that clients must send; else {KEY_VARIABLE} is read",
    )
    parser.add_argument("--flows", type=Path, help="folder of flow files to serve as well")
    return parser


def _api_key(file: Path | None) -> str:
    """Raises OSError, ValueError."""
    key = file.read_text(encoding="utf-8") if file else os.environ.get(KEY_VARIABLE, "")
    if not key.strip():
        source = file or KEY_VARIABLE
        raise ValueError(f"no API key in {source}")
    return key.strip()


def _flows(folder: Path | None) -> list[Flow]:
    """Raises OSError, ValueError."""
    return merged(load_flows(folder), built_in_flows()) if folder else built_in_flows()


if __name__ == "__main__":
    sys.exit(main())
