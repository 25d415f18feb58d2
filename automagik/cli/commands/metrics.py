"""`automagik metrics`: figures for Prometheus."""

import signal
from threading import Event
from types import FrameType
from typing import Annotated

import typer

from automagik.cli.context import printer, settings
from automagik.core.exceptions import Conflict

app = typer.Typer(no_args_is_help=True)

PORT = 9464


@app.command()
def serve(
    *,
    host: Annotated[
        str, typer.Option("--host", help="The address to listen on; 0.0.0.0 is every one.")
    ] = "127.0.0.1",
    port: Annotated[
        int, typer.Option("--port", min=0, max=65535, help="0 takes one that is free.")
    ] = PORT,
    flows: Annotated[
        int,
        typer.Option("--flows", min=0, help="So many have series of their own, the oldest first."),
    ] = 200,
) -> None:
    """Answer Prometheus over HTTP, without a password, until Ctrl-C.

    Counters begin with nothing at its start. Where it runs, and how many of them, changes nothing
    for beats and workers.

    Example: automagik metrics serve --host 0.0.0.0
    """
    from prometheus_client import CollectorRegistry, start_http_server

    from automagik.core.logs.streams import log_to_stderr
    from automagik.core.metrics.exporter import Exporter

    log_to_stderr(settings())
    exporter = Exporter(settings(), flows=flows)
    registry = CollectorRegistry()
    registry.register(exporter)
    try:
        server, thread = start_http_server(port, host, registry)
    except OSError as error:
        exporter.close()
        raise Conflict(
            f"It is not possible to listen on {host}:{port}: {error.strerror}",
            hint="Choose another address with --host and --port.",
        ) from error
    printer().say(f"Prometheus finds it at http://{_in_url(host)}:{server.server_port}/metrics")
    _told_to_stop().wait()
    server.shutdown()
    thread.join()
    exporter.close()


@app.command()
def show() -> None:
    """Print the gauges once, in Prometheus' format.

    What is counted over time, counters and histograms, only a server has.

    Example: automagik metrics show > /var/lib/node_exporter/automagik.prom
    """
    from prometheus_client import CollectorRegistry, generate_latest

    from automagik.core.metrics.exporter import Exporter

    exporter = Exporter(settings(), flows=None)
    registry = CollectorRegistry()
    registry.register(exporter)
    printer().raw(generate_latest(registry).decode())
    exporter.close()


def _told_to_stop() -> Event:
    """SIGINT as well: a shell starts background jobs with it ignored."""
    told = Event()

    def tell(_number: int, _frame: FrameType | None) -> None:
        told.set()

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, tell)
    return told


def _in_url(host: str) -> str:
    return f"[{host}]" if ":" in host else host
