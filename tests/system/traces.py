"""What running processes leave behind, place by place, and the search for a text in it."""

import base64
import html
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from threading import Thread
from urllib.parse import quote

import psutil
import redis
import requests

from tests.system.fleet import Fleet

Traces = Mapping[str, str]
"""Texts by the place where they were found."""

_END = "end-of-the-capture"


def places_of(text: str, traces: Traces) -> list[str]:
    """Where the text is, plain or in one of its disguises."""
    forms = _disguises(text)
    return sorted(place for place, found in traces.items() if any(f in found for f in forms))


def _disguises(text: str) -> set[str]:
    """As it is, in hexadecimal, in a URL, and in base64 at any place of a longer text."""
    raw = text.encode()
    encoded = {
        # The characters at both ends also depend on the neighbours.
        base64.b64encode(b"\0" * lead + raw).decode()[4 if lead else 0 : -4]
        for lead in range(3)
    }
    return {text, raw.hex(), quote(text, safe=""), *encoded}


def table_traces(fleet: Fleet) -> dict[str, str]:
    """Every column of every table, as text."""
    tables = fleet.rows(
        "SELECT format('%I.%I', table_schema, table_name) AS name FROM information_schema.tables"
        " WHERE table_schema NOT IN ('pg_catalog', 'information_schema')"
    )
    found: dict[str, list[str]] = {}
    for table in tables:
        cells = f"SELECT c.key, c.value FROM {table.name} t, jsonb_each_text(to_jsonb(t)) c"
        for cell in fleet.rows(cells):
            place = f"{table.name.removeprefix('public.')}.{cell.key}"
            found.setdefault(place, []).append(str(cell.value))
    return {place: "\n".join(values) for place, values in found.items()}


def redis_traces(url: str) -> dict[str, str]:
    """Every key and what it holds."""
    with closing(redis.Redis.from_url(url, encoding_errors="backslashreplace")) as client:
        keys: list[bytes] = list(client.scan_iter())
        return {f"redis {key.decode()}": f"{key!r} {_held(client, key)}" for key in keys}


def _held(client: redis.Redis, key: bytes) -> str:
    match client.type(key):
        case b"string":
            held: object = client.get(key)
        case b"list":
            held = client.lrange(key, 0, -1)
        case b"set":
            held = client.smembers(key)
        case b"zset":
            held = client.zrange(key, 0, -1)
        case b"hash":
            held = client.hgetall(key)
        case kind:
            raise AssertionError(f"{key!r} is a {kind!r}, which nobody looks into")
    return repr(held)


@contextmanager
def redis_commands(url: str) -> Iterator[list[str]]:
    """Every command that Redis gets meanwhile; complete after the block."""
    commands: list[str] = []
    with (
        closing(redis.Redis.from_url(url)) as client,
        client.monitor() as monitor,  # type: ignore[no-untyped-call]
    ):

        def listen() -> None:
            while _END not in (command := repr(monitor.connection.read_response())):
                commands.append(command)

        thread = Thread(target=listen)
        thread.start()
        try:
            yield commands
        finally:
            client.echo(_END)
            thread.join(10)
    assert not thread.is_alive()


def file_traces(folders: Iterable[Path]) -> dict[str, str]:
    """Every file below the folders."""
    files = (file for folder in folders for file in folder.rglob("*") if file.is_file())
    return {str(file): file.read_bytes().decode(errors="backslashreplace") for file in files}


def command_lines() -> dict[str, str]:
    """Of all processes that this one has started, and of their children."""
    children = psutil.Process(os.getpid()).children(recursive=True)
    return {f"process {child.pid}": " ".join(child.cmdline()) for child in children}


def flower_traces(
    url: str, *, worker: str, task_ids: Iterable[object], auth: tuple[str, str] | None = None
) -> dict[str, str]:
    """Every page and answer of Flower that says something of workers and tasks."""
    table = "draw=1&start=0&length=50&order[0][column]=0&columns[0][data]=name&order[0][dir]=asc"
    paths = [
        *("/", "/workers?json=1", f"/worker/{worker}", "/broker", "/metrics"),
        *("/tasks", f"/tasks/datatable?{table}", "/api/tasks", "/api/task/types"),
        *("/api/workers?refresh=true", "/api/queues/length"),
        *(f"{place}/{task_id}" for place in ("/task", "/api/task/info") for task_id in task_ids),
    ]
    pages = {}
    for path in paths:
        page = requests.get(url + path, auth=auth, timeout=20)
        assert page.status_code == requests.codes.ok, f"{path}: {page.status_code} {page.text}"
        # As a browser shows it: without the entities of HTML.
        pages[f"flower {path}"] = html.unescape(page.text)
    return pages
