"""A real LangFlow: echo runs through AutoMagik against a bare script with the same parallelism.

    uv run python -m benchmarks.langflow_echo [--runs 200] [--parallel 8] [--rounds 3]

LangFlow runs from the tests' cached installation, AutoMagik with its default settings. The script
sends the same body with requests in as many threads as the source has parallel runs, streamed, too.
Both take turns; the time is from the first request, or the commit of the tasks' rows, to the last
end. Also compared: the processor time of both sides for one run.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from uuid import uuid4

import psutil
import requests
from sqlalchemy import text

from benchmarks.report import Figure, report, say
from benchmarks.rows import add_tasks
from benchmarks.spending import Spending
from benchmarks.stack import Stack, wait_until
from benchmarks.throughput import Throughput
from tests.langflow.server import LangflowServer, running_langflow

FLOW, INPUT = "Echo", "hello"
_WARM_UP = 16
_WAIT_SECONDS = 600
_LOOK_SECONDS = 0.5
"""Often enough to see the end, and seldom enough to cost nothing beside."""
_COMPLETED = text("SELECT count(*) FROM tasks WHERE state = 'completed'")
_FAILED = text("SELECT count(*) FROM task_attempts WHERE outcome <> 'completed'")
# Of the tasks that were added last.
_SPAN = text("""
SELECT extract(epoch FROM max(finished_at) - min(created_at))
FROM (SELECT created_at, finished_at FROM tasks ORDER BY id DESC LIMIT :runs) last
""")
_PLACES = text("UPDATE sources SET max_parallel_runs = :parallel")


def main() -> None:
    arguments = _arguments()
    with Stack() as stack, langflow() as (server, pid):
        sync(stack, server)
        with stack.database.transaction() as connection:
            connection.execute(_PLACES, {"parallel": arguments.parallel})
        with stack.beat() as beat, stack.worker() as worker:
            processes = {"langflow": [pid], "worker": [worker], "beat": [beat]}
            ways: dict[str, Callable[[int], float]] = {
                "script": lambda runs: run_script(server, runs, parallel=arguments.parallel),
                "ours": lambda runs: run_ours(stack, runs),
            }
            for way in ways.values():
                way(_WARM_UP)
            rounds: dict[str, list[Throughput]] = {name: [] for name in ways}
            for name, way in list(ways.items()) * arguments.rounds:
                spending = Spending(stack, **processes)
                seconds = way(arguments.runs)
                found = Throughput.of(arguments.runs, seconds, spending.seconds())
                rounds[name].append(found)
                say(f"{name}: {found.per_second:.1f} runs/s")
        if failed := stack.scalar(_FAILED):
            raise RuntimeError(f"{failed} attempts failed")
    report("langflow echo", list(figures(**rounds)), setting=vars(arguments))


@contextmanager
def langflow() -> Iterator[tuple[LangflowServer, int]]:
    """With the process that all of it descends from."""
    here = psutil.Process()
    before = set(here.children())
    with (
        tempfile.TemporaryDirectory(prefix="automagik-benchmark-") as folder,
        running_langflow(Path(folder)) as server,
    ):
        [process] = set(here.children()) - before
        yield server, process.pid


def sync(stack: Stack, server: LangflowServer) -> None:
    automagik = (sys.executable, "-m", "automagik")
    environment = os.environ | stack.environment
    for words in (
        ("sources", "add", "langflow", server.url, "--api-key-stdin"),
        ("flows", "sync"),
    ):
        subprocess.run(
            (*automagik, *words),
            env=environment,
            input=server.api_key.encode(),
            stdout=subprocess.DEVNULL,
            check=True,
        )


def run_ours(stack: Stack, runs: int) -> float:
    """How many seconds they took."""
    before = stack.scalar(_COMPLETED)
    add_tasks(stack.database, FLOW, runs, input_value=INPUT)
    wait_until(
        lambda: stack.scalar(_COMPLETED) == before + runs,
        what="the runs",
        seconds=_WAIT_SECONDS,
        pause=_LOOK_SECONDS,
    )
    with stack.database.transaction() as connection:
        return float(connection.scalar(_SPAN, {"runs": runs}))


def run_script(server: LangflowServer, runs: int, *, parallel: int) -> float:
    """How many seconds they took."""

    def ask(_: int) -> None:
        # One connection each, as LangFlow closes idle ones.
        answer = requests.post(
            f"{server.url}/api/v1/run/echo",
            params={"stream": "true"},
            json={
                "session_id": str(uuid4()),
                "input_type": "chat",
                "output_type": "any",
                "input_value": INPUT,
            },
            headers={"x-api-key": server.api_key},
            timeout=_WAIT_SECONDS,
        )
        answer.raise_for_status()
        if '"event": "end"' not in answer.text:
            raise RuntimeError(answer.text)

    begun = time.monotonic()
    with ThreadPoolExecutor(parallel) as pool:
        list(pool.map(ask, range(runs)))
    return time.monotonic() - begun


def figures(script: list[Throughput], ours: list[Throughput]) -> Iterator[Figure]:
    yield Figure(
        what="echo runs",
        unit="1/s",
        ours=median(each.per_second for each in ours),
        peers={"script": median(each.per_second for each in script)},
        least_ratio={"script": 0.95},
    )
    spent = {name: median(each.cpu_ms[name] for each in ours) for name in ours[0].cpu_ms}
    langflows = spent.pop("langflow")
    yield Figure(
        what="worker + postgresql per run",
        unit="ms CPU",
        ours=spent["worker"] + spent["postgresql"],
        peers={"langflow": langflows},
        most_ratio={"langflow": 0.1},
    )
    for name, ms in spent.items():
        yield Figure(what=f"{name} per run", unit="ms CPU", ours=ms, peers={"langflow": langflows})
    yield Figure(
        what="langflow per run",
        unit="ms CPU",
        ours=langflows,
        peers={"script": median(each.cpu_ms["langflow"] for each in script)},
    )


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=200)
    parser.add_argument("--parallel", type=int, default=8, help="runs at a time")
    parser.add_argument("--rounds", type=int, default=3, help="of both, of which medians are taken")
    return parser.parse_args()


if __name__ == "__main__":
    main()
